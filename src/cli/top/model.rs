//! What is shown, apart from how: it takes samples and commands, and knows neither the terminal nor the agent.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use svcnat_rules::describe::BackendSummary;
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::Protocol;

use super::listing::{Browse, Listing, Move};
use crate::agent_api::FrontendConnections;

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServicePort {
    pub(super) service: ObjectName,
    pub(super) port: Name,
    pub(super) protocol: Protocol,
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.service, suffix(&self.port, self.protocol))
    }
}

/// `:http`, or `:dns/UDP`; TCP goes without saying, and so does a port without a name.
fn suffix(port: &Name, protocol: Protocol) -> String {
    let name = if port.is_empty() { String::new() } else { format!(":{port}") };
    if protocol == Protocol::Tcp { name } else { format!("{name}/{}", protocol.api_name()) }
}

/// Where clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// None for a node port.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}", SocketAddr::new(address, self.port)),
            None => write!(f, "node port {}", self.port),
        }
    }
}

/// A frontend of one Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Frontend {
    pub(super) port: Name,
    pub(super) protocol: Protocol,
    pub(super) place: Place,
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)
    }
}

/// A backend of one Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Backend {
    pub(super) port: Name,
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
}

impl Backend {
    /// The service port that it serves.
    pub(super) fn service_port(&self) -> (Name, Protocol) {
        (self.port.clone(), self.protocol)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}

/// What was read at a time.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// The frontends of all Services, where they were asked for.
    pub(super) services: Option<Vec<FrontendConnections>>,
    /// One Service, where it was asked for.
    pub(super) service: Option<OneService>,
}

/// What was read of one Service.
#[derive(Debug)]
pub(super) struct OneService {
    pub(super) name: ObjectName,
    /// With backends.
    pub(super) frontends: Vec<FrontendConnections>,
    /// What else is known of its backends.
    pub(super) backends: Vec<BackendSummary>,
}

/// One Service with its backends and frontends.
#[derive(Debug)]
pub(super) struct Drilled {
    pub(super) service: ObjectName,
    pub(super) backends: Listing<Backend, Place>,
    pub(super) frontends: Listing<Frontend, ()>,
    /// What else is known of backends.
    pub(super) known: BTreeMap<Backend, BackendSummary>,
    /// Whether keys are for the frontends.
    pub(super) in_frontends: bool,
    /// Whether there has been an answer.
    pub(super) is_read: bool,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) services: Listing<ServicePort, Place>,
    pub(super) drilled: Option<Drilled>,
    /// What Services are filtered by, as it was typed.
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) typing: bool,
    pub(super) help: bool,
    pub(super) paused: bool,
    /// Why the latest look failed.
    pub(super) problem: Option<String>,
    /// The time between two looks.
    pub(super) interval: Duration,
    /// The namespace that is looked at; none for all.
    pub(super) namespace: Option<String>,
}

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Go(Move),
    NextSort,
    PreviousSort,
    Reverse,
    /// Goes into what the cursor is on.
    Enter,
    /// The other table of a Service.
    OtherTable,
    /// Goes back; at the outermost it takes the filter away.
    Back,
    /// Goes back, and at the outermost ends.
    Leave,
    Quit,
    Pause,
    Help,
    Filter,
    Type(char),
    Erase,
    EraseAll,
    Suspend,
}

/// What is to be done about a command, beside drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// Read what is shown newly.
    Read,
    Suspend,
    Quit,
}

impl Model {
    pub(super) fn new(interval: Duration, namespace: Option<String>, service: Option<ObjectName>) -> Self {
        Self {
            services: Listing::new(),
            drilled: service.map(Drilled::new),
            filter: String::new(),
            typing: false,
            help: false,
            paused: false,
            problem: None,
            interval,
            namespace,
        }
    }

    /// The Service whose backends are to be read.
    pub(super) fn wanted(&self) -> Option<&ObjectName> {
        self.drilled.as_ref().map(|drilled| &drilled.service)
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, sample: Sample) {
        self.problem = None;
        let at = sample.at;
        if let Some(frontends) = sample.services {
            self.services.look(at, frontends.iter().map(|of| (service_port(of), place(of), of.connections)));
        }
        // The answer may be about a Service that was left meanwhile.
        if let Some(one) = sample.service
            && let Some(drilled) = &mut self.drilled
            && one.name == drilled.service
        {
            drilled.take(at, one);
        }
    }

    /// Does what a key says.
    pub(super) fn apply(&mut self, command: Command) -> Effect {
        match command {
            Command::Quit => return Effect::Quit,
            Command::Suspend => return Effect::Suspend,
            Command::Help => self.help = !self.help,
            Command::Pause => self.paused = !self.paused,
            Command::Type(letter) => self.edit(|filter| filter.push(letter)),
            Command::Erase => self.edit(|filter| {
                filter.pop();
            }),
            Command::EraseAll => self.edit(String::clear),
            Command::Filter => self.typing = self.drilled.is_none(),
            Command::Enter => return self.enter(),
            Command::Back => {
                self.back();
            }
            Command::Leave if !self.back() => return Effect::Quit,
            Command::Leave => {}
            Command::Go(way) => self.table().go(way),
            Command::NextSort => self.table().next_sort(),
            Command::PreviousSort => self.table().previous_sort(),
            Command::Reverse => self.table().reverse(),
            Command::OtherTable => {
                if let Some(drilled) = &mut self.drilled {
                    drilled.in_frontends = !drilled.in_frontends;
                }
            }
        }
        Effect::Nothing
    }

    /// The table that keys are for.
    fn table(&mut self) -> &mut dyn Browse {
        match &mut self.drilled {
            None => &mut self.services,
            Some(Drilled { in_frontends: true, frontends, .. }) => frontends,
            Some(Drilled { backends, .. }) => backends,
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut String)) {
        change(&mut self.filter);
        self.services.filter(&self.filter);
    }

    fn enter(&mut self) -> Effect {
        if self.help || std::mem::take(&mut self.typing) {
            self.help = false;
            return Effect::Nothing;
        }
        match self.services.selected() {
            Some(port) if self.drilled.is_none() => {
                self.drilled = Some(Drilled::new(port.service.clone()));
                Effect::Read
            }
            _ => Effect::Nothing,
        }
    }

    /// Closes the innermost that is open; whether anything was.
    fn back(&mut self) -> bool {
        if std::mem::take(&mut self.help) {
            return true;
        }
        if std::mem::take(&mut self.typing) || self.drilled.is_none() {
            let was_filtered = !self.filter.is_empty();
            self.edit(String::clear);
            return was_filtered;
        }
        self.drilled.take().is_some()
    }
}

impl Drilled {
    fn new(service: ObjectName) -> Self {
        Self {
            service,
            backends: Listing::new(),
            frontends: Listing::new(),
            known: BTreeMap::new(),
            in_frontends: false,
            is_read: false,
        }
    }

    fn take(&mut self, at: Instant, one: OneService) {
        self.is_read = true;
        let frontend = |of: &FrontendConnections| Frontend {
            port: of.port_name.clone(),
            protocol: of.protocol,
            place: place(of),
        };
        self.frontends.look(at, one.frontends.iter().map(|of| (frontend(of), (), of.connections)));
        let backends = one.frontends.iter().flat_map(|of| {
            of.backends.iter().map(move |backend| {
                let address = SocketAddr::new(backend.address, backend.port);
                let key = Backend { port: of.port_name.clone(), protocol: of.protocol, address };
                (key, place(of), backend.connections)
            })
        });
        self.backends.look(at, backends);
        let known = one.backends.into_iter().map(|known| {
            let key = Backend { port: known.port.clone(), protocol: known.protocol, address: known.address };
            (key, known)
        });
        self.known = known.collect();
    }

    /// Whether the Service has more than one port, which tables then tell.
    pub(super) fn has_ports(&self) -> bool {
        let mut ports = self.frontends.keys().map(|of| (&of.port, of.protocol));
        let first = ports.next();
        ports.any(|port| Some(port) != first)
    }

    /// The rates of all backends of each service port, together, in a thousand seconds.
    pub(super) fn sums(&self) -> BTreeMap<(Name, Protocol), u64> {
        let mut sums = BTreeMap::new();
        for (backend, meter) in self.backends.all() {
            let Some(rate) = meter.rate() else { continue };
            *sums.entry(backend.service_port()).or_default() += rate.thousandths();
        }
        sums
    }
}

fn service_port(of: &FrontendConnections) -> ServicePort {
    ServicePort {
        service: ObjectName::new(&of.namespace, &of.service),
        port: of.port_name.clone(),
        protocol: of.protocol,
    }
}

fn place(of: &FrontendConnections) -> Place {
    Place { address: of.address, port: of.port }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::agent_api::BackendConnections;

    /// A frontend, `namespace/service:port ADDRESS:PORT` or without an address `namespace/service:port PORT`, and
    /// what it and its backends have counted.
    pub(in super::super) fn frontend(
        text: &str,
        connections: u64,
        backends: &[(&str, u64)],
    ) -> FrontendConnections {
        let (service, at) = text.split_once(' ').unwrap();
        let (service, port_name) = service.split_once(':').unwrap_or((service, ""));
        let (namespace, service) = service.split_once('/').unwrap();
        let at: Result<SocketAddr, u16> = at.parse().map_err(|_| at.parse().unwrap());
        let backends = backends.iter().map(|(address, connections)| {
            let address: SocketAddr = address.parse().unwrap();
            BackendConnections { address: address.ip(), port: address.port(), connections: *connections }
        });
        FrontendConnections {
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            port_name: Name::from(port_name),
            protocol: Protocol::Tcp,
            address: at.ok().map(|at| at.ip()),
            port: at.map_or_else(|port| port, |at| at.port()),
            connections,
            backends: backends.collect(),
        }
    }

    pub(in super::super) fn model() -> Model {
        Model::new(Duration::from_secs(1), None, None)
    }

    /// A sample of all Services, and perhaps of one.
    pub(in super::super) fn sample(
        at: Instant,
        services: Vec<FrontendConnections>,
        one: Option<(&str, Vec<FrontendConnections>)>,
    ) -> Sample {
        let service = one.map(|(name, frontends)| OneService {
            name: ObjectName::parse(name).unwrap(),
            frontends,
            backends: Vec::new(),
        });
        Sample { at, services: Some(services), service }
    }

    fn rows(listing: &Listing<impl Ord + fmt::Display, impl PartialEq>) -> Vec<String> {
        let row = |(key, meter): (&_, &super::super::meter::Meter<_>)| {
            let rate = meter.rate().map_or_else(|| "-".to_owned(), |rate| rate.to_string());
            format!("{key} {rate} {}", meter.total())
        };
        listing.all().map(row).collect()
    }

    fn web(cluster_ip: u64, node_port: u64, backends: [u64; 2]) -> Vec<FrontendConnections> {
        let [first, second] = backends;
        let of_node_port = [("10.244.0.2:8080", node_port)];
        let of_cluster_ip = [("10.244.0.2:8080", first), ("10.244.0.3:8080", second)];
        vec![
            frontend("shop/web:http 10.96.0.10:80", cluster_ip, &of_cluster_ip),
            frontend("shop/web:http 30080", node_port, &of_node_port),
        ]
    }

    #[test]
    fn the_frontends_of_a_service_port_and_the_backends_of_all_frontends_are_summed() {
        let (mut model, at) = (model(), Instant::now());
        let mut api = vec![frontend("shop/api 10.96.0.11:80", 0, &[])];
        api.extend(web(10, 5, [4, 6]));
        model.take(sample(at, api.clone(), None));
        assert_eq!(rows(&model.services), ["shop/web:http - 15", "shop/api - 0"]);
        assert_eq!(model.apply(Command::Enter), Effect::Read);
        assert_eq!(model.wanted(), ObjectName::parse("shop/web").as_ref());
        assert!(!model.drilled.as_ref().unwrap().is_read);
        model.take(Sample {
            services: None,
            ..sample(at, Vec::new(), Some(("shop/web", web(10, 5, [4, 6]))))
        });
        let at = at + Duration::from_secs(2);
        model.take(sample(at, web(16, 7, [10, 6]), Some(("shop/web", web(16, 7, [10, 6])))));
        let drilled = model.drilled.as_ref().unwrap();
        assert_eq!(rows(&model.services), ["shop/web:http 4.0 23"]);
        assert_eq!(rows(&drilled.backends), ["10.244.0.2:8080 4.0 17", "10.244.0.3:8080 0 6"]);
        assert_eq!(rows(&drilled.frontends), ["10.96.0.10:80 3.0 16", "node port 30080 1.0 7"]);
        assert_eq!(drilled.sums().into_values().collect::<Vec<_>>(), [4_000]);
        assert!(!drilled.has_ports());
        // An answer about a Service that was left is passed over.
        assert_eq!(model.apply(Command::Back), Effect::Nothing);
        model.take(sample(at, web(16, 7, [10, 6]), Some(("shop/web", web(16, 7, [10, 6])))));
        assert!(model.drilled.is_none());
    }

    #[test]
    fn keys_are_for_the_table_that_is_shown() {
        let mut model = model();
        let mut frontends = web(10, 5, [4, 6]);
        frontends.push(frontend("shop/api 10.96.0.11:80", 0, &[]));
        model.take(sample(Instant::now(), frontends, None));
        model.apply(Command::Go(Move::Down));
        assert_eq!(model.services.selected().unwrap().to_string(), "shop/api");
        model.apply(Command::Go(Move::Up));
        model.apply(Command::Enter);
        model.take(sample(Instant::now(), web(10, 5, [4, 6]), Some(("shop/web", web(10, 5, [4, 6])))));
        model.apply(Command::Go(Move::Down));
        model.apply(Command::OtherTable);
        model.apply(Command::Reverse);
        let drilled = model.drilled.as_ref().unwrap();
        assert_eq!(drilled.backends.selected().unwrap().to_string(), "10.244.0.3:8080");
        assert_eq!(drilled.frontends.selected().unwrap().to_string(), "node port 30080");
        // There is nothing inside of a backend, and nothing to filter.
        assert_eq!(model.apply(Command::Enter), Effect::Nothing);
        model.apply(Command::Filter);
        assert!(!model.typing);
    }

    #[test]
    fn going_back_closes_the_innermost_and_leaving_ends_at_the_outermost() {
        let mut model = model();
        model.take(sample(Instant::now(), web(10, 5, [4, 6]), None));
        let state = |model: &Model| (model.help, model.typing, model.filter.clone(), model.drilled.is_some());
        let mut check = |commands: &[Command], expected: (bool, bool, &str, bool)| {
            for command in commands {
                assert_ne!(model.apply(*command), Effect::Quit, "{command:?}");
            }
            let (help, typing, filter, drilled) = expected;
            assert_eq!(state(&model), (help, typing, filter.to_owned(), drilled), "{commands:?}");
        };
        let typed = [Command::Filter, Command::Type('w'), Command::Type('x'), Command::Erase];
        check(&typed, (false, true, "w", false));
        check(&[Command::Enter], (false, false, "w", false));
        check(&[Command::Enter], (false, false, "w", true));
        check(&[Command::Help], (true, false, "w", true));
        check(&[Command::Leave], (false, false, "w", true));
        check(&[Command::Leave], (false, false, "w", false));
        check(&[Command::Leave], (false, false, "", false));
        check(&[Command::Filter, Command::Type('x'), Command::Back], (false, false, "", false));
        check(&[Command::Filter, Command::Type('x'), Command::EraseAll], (false, true, "", false));
        check(&[Command::Back, Command::Back], (false, false, "", false));
        assert_eq!(model.apply(Command::Leave), Effect::Quit);
    }
}
