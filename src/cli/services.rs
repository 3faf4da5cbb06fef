//! `svcnat services`: the Services, and what becomes of them on this node.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use svcnat_rules::cluster::{ServiceType, TrafficPolicy};
use svcnat_rules::describe::{PortSummary, ServiceSummary};

use super::output::{is_coloured, print, print_json, print_yaml};
use super::source::{Source, SourceOptions};
use super::table::{Cell, NONE, Table, UNKNOWN, known, list};
use super::{Failure, namespace::Namespace};
use crate::agent_api::{Change, LabelSelector, List, WatchEvent};

const NOTES: &str = "\
Columns:
  READY, LOCAL, TOTAL  backends that are ready, those of them on this node, and all
  POLICY               Local for both traffic policies, external=Local or internal=Local for one, else Cluster
  CONFLICTS            frontends that the Service wants and an older one has; -o wide says which and whose
  -                    not known; <none> there is none

The JSON is a list of Services; its members are described by the type ServiceSummary of the crate svcnat-rules. With
--watch it is one object a line: {\"type\": \"ADDED\", \"object\": {...}}.

Examples:
  svcnat services -A
  svcnat services -n shop -o wide --watch
  svcnat services -A -l 'app=web,tier in (front, back)'
  svcnat services -A -f manifests/ --hostname-override node-a";

/// Show the Services: types, addresses, ports, backends, policies and conflicts, as seen from this node
///
/// The agent is asked; with -f, it is what manifests say, and with --kernel what the rules tell.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
#[command(mut_arg("filenames", |arg| arg.required(false)))]
#[command(mut_group("ManifestOptions", |group| group.requires("filenames")))]
#[command(mut_group("RuleOptions", |group| group.requires("filenames")))]
pub(super) struct Services {
    #[command(flatten)]
    namespace: Namespace,
    /// Only Services with such labels, as kubectl takes them: app=web,tier!=db
    ///
    /// Rules do not tell labels, so not with --kernel.
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<LabelSelector>,
    /// The form of the answer [default: a table]
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Go on and show Services as they change; only the agent can tell
    #[arg(short, long, conflicts_with_all = ["filenames", "kernel"])]
    watch: bool,
    #[command(flatten)]
    source: SourceOptions,
}

/// A form in which Services are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table with more columns
    Wide,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
    /// Names alone
    Name,
}

impl Services {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let namespace = self.namespace.chosen();
        let selector = self.selector.as_ref();
        let source = self.source.open()?;
        if self.watch {
            let Source::Agent(client) = &source else { return Ok(()) };
            let mut watching = Watching::new(self);
            client.watch(namespace, selector, |event| watching.tell(&event))?;
            return watching.end();
        }
        let services = source.services(namespace, selector)?;
        match self.output {
            Some(Format::Json) => print_json(&List::services(services)),
            Some(Format::Yaml) => print_yaml(&List::services(services)),
            _ if services.is_empty() => {
                self.namespace.tell_of_none(selector.is_some());
                Ok(())
            }
            Some(Format::Name) => print(services.iter().map(named).collect::<String>()),
            None | Some(Format::Wide) => {
                let mut table = Table::new(is_coloured(), &self.columns().headings());
                services.iter().for_each(|service| table.add(self.columns().row(service)));
                print(table)
            }
        }
    }

    fn columns(&self) -> Columns {
        Columns {
            namespace: self.namespace.all(),
            wide: self.output == Some(Format::Wide),
            now: Timestamp::now().as_second(),
        }
    }
}

fn named(service: &ServiceSummary) -> String {
    format!("service/{}\n", service.name)
}

/// What a table shows of Services.
#[derive(Debug, Clone, Copy)]
struct Columns {
    namespace: bool,
    wide: bool,
    /// Seconds since 1970.
    now: i64,
}

impl Columns {
    fn headings(self) -> Vec<&'static str> {
        let mut headings = if self.namespace { vec!["NAMESPACE"] } else { Vec::new() };
        headings.extend(["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "READY", "LOCAL", "TOTAL"]);
        headings.extend(["POLICY", "AFFINITY", "CONFLICTS", "AGE"]);
        if self.wide {
            headings.extend(["SOURCE-RANGES", "HEALTH-CHECK"]);
        }
        headings
    }

    fn row(self, service: &ServiceSummary) -> Vec<Cell> {
        let mut row: Vec<Cell> =
            if self.namespace { vec![Cell::from(&service.namespace)] } else { Vec::new() };
        let external = service.load_balancer_ips.iter().chain(&service.external_ips);
        row.extend([
            Cell::from(&service.name),
            Cell::from(service.kind.map_or(UNKNOWN, kind)),
            Cell::from(list(&service.cluster_ips)),
            Cell::from(list(external)),
            Cell::from(list(service.ports.iter().map(port))),
            Cell::from(service.backends.ready).red_if(service.backends.ready == 0),
            Cell::from(known(service.backends.local)),
            Cell::from(known(service.backends.total)),
            Cell::from(policy(service)),
            Cell::from(affinity(service)),
            self.conflicts(service),
            Cell::from(known(service.created.map(|created| age(self.now - created)))),
        ]);
        if self.wide {
            let ranges = service.load_balancer_source_ranges.as_ref();
            row.push(Cell::from(known(ranges.map(list))));
            row.push(Cell::from(match (service.health_check_node_port, service.kind) {
                (Some(port), _) => port.to_string(),
                (None, Some(_)) => NONE.to_owned(),
                (None, None) => UNKNOWN.to_owned(),
            }));
        }
        row
    }

    fn conflicts(self, service: &ServiceSummary) -> Cell {
        let Some(conflicts) = &service.conflicts else { return Cell::from(UNKNOWN) };
        let is_wrong = !conflicts.is_empty();
        if self.wide && is_wrong {
            let each = conflicts
                .iter()
                .map(|lost| format!("{}/{}:{}", lost.frontend, lost.protocol.api_name(), lost.winner));
            return Cell::from(list(each).replace("node port ", "node-port-")).red_if(true);
        }
        Cell::from(conflicts.len()).red_if(is_wrong)
    }
}

fn kind(kind: ServiceType) -> &'static str {
    match kind {
        ServiceType::ClusterIp => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

/// `80/TCP`, or `80:30080/TCP` with a node port.
fn port(port: &PortSummary) -> String {
    let number = known(port.port);
    let protocol = port.protocol.api_name();
    match port.node_port {
        Some(node_port) => format!("{number}:{node_port}/{protocol}"),
        None => format!("{number}/{protocol}"),
    }
}

fn policy(service: &ServiceSummary) -> &'static str {
    let is_local = |policy: Option<TrafficPolicy>| policy == Some(TrafficPolicy::Local);
    let policies = (service.internal_traffic_policy, service.external_traffic_policy);
    match (is_local(policies.0), is_local(policies.1)) {
        _ if policies == (None, None) => UNKNOWN,
        (true, true) => "Local",
        (true, false) => "internal=Local",
        (false, true) => "external=Local",
        (false, false) => "Cluster",
    }
}

/// Rules without backends do not tell.
fn affinity(service: &ServiceSummary) -> String {
    match service.affinity_seconds {
        Some(seconds) => format!("{seconds}s"),
        None if service.kind.is_none() && service.backends.ready == 0 => UNKNOWN.to_owned(),
        None => NONE.to_owned(),
    }
}

/// An age in its largest unit that says enough, as kubectl has it.
pub(super) fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Prints changes as they come.
struct Watching<'a> {
    services: &'a Services,
    table: Table,
    /// Whether all that existed at the start has been told.
    synced: bool,
    failed: Option<io::Error>,
}

impl<'a> Watching<'a> {
    fn new(services: &'a Services) -> Self {
        let mut headings = vec!["EVENT"];
        headings.extend(services.columns().headings());
        Self { services, table: Table::new(is_coloured(), &headings), synced: false, failed: None }
    }

    /// Whether to go on.
    fn tell(&mut self, event: &WatchEvent) -> bool {
        let text = match self.services.output {
            Some(Format::Json) => serde_json::to_string(event).map(|line| line + "\n").unwrap_or_default(),
            Some(Format::Yaml) => {
                serde_saphyr::to_string(event).map(|text| format!("---\n{text}")).unwrap_or_default()
            }
            Some(Format::Name) => event.object.as_ref().map(named).unwrap_or_default(),
            None | Some(Format::Wide) => self.rows(event),
        };
        let mut out = io::stdout().lock();
        self.failed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).err();
        self.failed.is_none()
    }

    /// What was there at the start is printed together, so that columns are wide enough for all of it.
    fn rows(&mut self, event: &WatchEvent) -> String {
        self.synced |= event.change == Change::Synced;
        if let Some(service) = &event.object {
            let mut row = vec![Cell::from(match event.change {
                Change::Added => "ADDED",
                Change::Modified => "MODIFIED",
                Change::Deleted => "DELETED",
                Change::Synced => "SYNCED",
            })];
            row.extend(self.services.columns().row(service));
            self.table.add(row);
        }
        if self.synced { self.table.take() } else { String::new() }
    }

    /// A reader that has seen enough is no error.
    fn end(self) -> Result<(), Failure> {
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_have_one_unit() {
        for (seconds, expected) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (86_400 * 400, "400d"),
        ] {
            assert_eq!(age(seconds), expected, "{seconds}");
        }
    }
}
