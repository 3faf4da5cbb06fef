//! `svcnat backends`: the backends of one Service, and why each is used here or not.

use clap::{Args, ValueEnum};
use svcnat_rules::cluster::Conditions;
use svcnat_rules::describe::{BackendSummary, Use};
use svcnat_rules::name::ObjectName;

use super::Failure;
use super::output::{is_coloured, print, print_json, print_yaml};
use super::source::SourceOptions;
use super::table::{Cell, Table, UNKNOWN, known};
use crate::agent_api::List;

const NOTES: &str = "\
Each of the last three columns says whether the backend is used, and why or why not, for connections
  INTERNAL  to the ClusterIP (internalTrafficPolicy)
  EXTERNAL  from outside to external addresses and node ports (externalTrafficPolicy)
  LOCAL     of pods and of this node itself to external addresses and node ports, which externalTrafficPolicy: Local
            does not bind
- is for what the Service does not have, or what is not known.

The JSON is a list of backends; its members are described by the type BackendSummary of the crate svcnat-rules.

Examples:
  svcnat backends shop/api
  svcnat backends api -n shop -o json
  svcnat backends shop/api --kernel";

/// Show the backends of a Service: nodes, zones, conditions, and why each is used on this node or not
///
/// The agent is asked; with -f, it is what manifests say, and with --kernel what the rules tell.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
#[command(mut_arg("filenames", |arg| arg.required(false)))]
#[command(mut_group("ManifestOptions", |group| group.requires("filenames")))]
#[command(mut_group("RuleOptions", |group| group.requires("filenames")))]
pub(super) struct Backends {
    /// The Service: NAMESPACE/NAME, or NAME in the namespace of -n
    #[arg(value_parser = service)]
    service: String,
    /// The namespace of a Service that is given by its name alone
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// The form of the answer [default: a table]
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    source: SourceOptions,
}

/// A form in which backends are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For programs
    Json,
    /// For programs and people
    Yaml,
}

/// Names are letters, digits, `-` and `.`, as Kubernetes has them.
pub(super) fn service(text: &str) -> Result<String, String> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [name] if is_name(name) => Ok(text.to_owned()),
        [namespace, name] if is_name(namespace) && is_name(name) => Ok(text.to_owned()),
        _ => Err("must be NAMESPACE/NAME or NAME".to_owned()),
    }
}

impl Backends {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let service = ObjectName::parse(&self.service)
            .unwrap_or_else(|| ObjectName::new(&self.namespace, &self.service));
        let source = self.source.open()?;
        let backends = source.backends(&service)?.ok_or_else(|| Failure::NoService(service.clone()))?;
        match self.output {
            Some(Format::Json) => print_json(&List::backends(backends)),
            Some(Format::Yaml) => print_yaml(&List::backends(backends)),
            None if backends.is_empty() => {
                tracing::warn!("Service {service} has no backends");
                Ok(())
            }
            None => {
                let headings =
                    ["PORT", "ADDRESS", "POD", "NODE", "ZONE", "CONDITIONS", "INTERNAL", "EXTERNAL", "LOCAL"];
                let mut table = Table::new(is_coloured(), &headings);
                backends.iter().for_each(|backend| table.add(row(backend)));
                print(table)
            }
        }
    }
}

fn row(backend: &BackendSummary) -> Vec<Cell> {
    let protocol = backend.protocol.api_name();
    let port =
        if backend.port.is_empty() { protocol.to_owned() } else { format!("{}/{protocol}", backend.port) };
    let mut row = vec![
        Cell::from(port),
        Cell::from(backend.address),
        Cell::from(known(backend.pod.as_ref())),
        Cell::from(known(backend.node.as_ref())),
        Cell::from(known(backend.zone.as_ref())),
        Cell::from(backend.conditions.map_or_else(|| UNKNOWN.to_owned(), conditions)),
    ];
    row.extend([backend.internal, backend.external, backend.local].map(used));
    row
}

/// The conditions that hold; one that is ready serves.
fn conditions(conditions: Conditions) -> String {
    let all = [
        (conditions.ready, "ready"),
        (conditions.serving && !conditions.ready, "serving"),
        (conditions.terminating, "terminating"),
    ];
    let hold: Vec<&str> = all.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
    if hold.is_empty() { "not ready".to_owned() } else { hold.join(",") }
}

fn used(of: Option<Use>) -> Cell {
    match of {
        None => Cell::from(UNKNOWN),
        Some(Use { used: true, reason }) => Cell::from(format!("yes: {reason}")),
        Some(Use { used: false, reason }) => Cell::from(format!("no: {reason}")).red_if(true),
    }
}
