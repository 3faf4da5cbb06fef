//! Whose a chain or an element is: a Service's, several Services', the program's, or nobody's that we know.

use std::fmt;

use super::line::printable;
use crate::config::Config;
use crate::installed::InstalledTable;
use crate::layout::{ProgramNeeds, is_shared_chain, program, service_of_chain, service_of_element, set};
use crate::name::Name;
use crate::net::{Family, Protocol};
use crate::resolve::View;
use crate::ruleset::{Elements, Table, Value};

/// Whose something in our tables is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner<'a> {
    /// The service port with this name, `namespace/name/port`.
    Service(&'a str),
    /// Elements that several Services may want.
    Shared,
    /// What serves all Services and names none.
    Program,
    /// What svcnat does not make.
    NotOurs,
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(port) => f.write_str(&printable(port)),
            Self::Shared => f.write_str("shared"),
            Self::Program => f.write_str("program"),
            Self::NotOurs => f.write_str("not ours"),
        }
    }
}

/// What the elements of a set are about, which its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The address frontend that their key begins with.
    Address,
    /// The node port that their key begins with.
    NodePort,
    Shared,
    Program,
    NotOurs,
}

fn subject(name: &str) -> Subject {
    match name {
        set::FRONTENDS
        | set::NO_ENDPOINTS
        | set::BACKENDS
        | set::LOCAL_BACKENDS
        | set::SOURCE_RESTRICTED
        | set::SOURCE_ALLOWED
        | set::FRONTEND_CONNECTIONS
        | set::BACKEND_CONNECTIONS => Subject::Address,
        set::NODE_PORT_FRONTENDS
        | set::NODE_PORT_NO_ENDPOINTS
        | set::NODE_PORT_BACKENDS
        | set::NODE_PORT_LOCAL_BACKENDS
        | set::NODE_PORT_FRONTEND_CONNECTIONS
        | set::NODE_PORT_BACKEND_CONNECTIONS => Subject::NodePort,
        set::CLUSTER_IPS | set::HAIRPIN => Subject::Shared,
        set::NODE_PORT_IPS | set::AFFINITY => Subject::Program,
        name if set::is_sticky(name) => Subject::Address,
        name if set::is_sticky_node_ports(name) => Subject::NodePort,
        _ => Subject::NotOurs,
    }
}

/// A side of the patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Installed,
    Desired,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Installed => Self::Desired,
            Self::Desired => Self::Installed,
        }
    }
}

/// The names of all chains of all programs, those that Services share aside.
pub(super) struct ProgramChains(Table);

impl ProgramChains {
    pub(super) fn new() -> Self {
        let config = Config { counters: true, ..Config::default() };
        let affinity = [(0, Protocol::Tcp)].into();
        let needs = ProgramNeeds { affinity, ..ProgramNeeds::default() };
        Self(program(View { config: &config, node: None }, Family::Ipv4, &needs))
    }

    fn has(&self, name: &str) -> bool {
        self.0.chains.contains_key(name) || is_shared_chain(name)
    }
}

/// Tells owners in the table of one family.
pub(super) struct Owners<'a, 'p> {
    pub(super) family: Family,
    pub(super) desired: Option<&'a Table>,
    pub(super) installed: Option<&'a InstalledTable>,
    pub(super) program: &'p ProgramChains,
}

impl<'a> Owners<'a, '_> {
    pub(super) fn of_chain(&self, name: &'a Name) -> Owner<'a> {
        match service_of_chain(name) {
            Some(port) => Owner::Service(port),
            None if self.program.has(name) => Owner::Program,
            None => Owner::NotOurs,
        }
    }

    /// Whose the declaration of a set is.
    pub(super) fn of_set(name: &Name) -> Owner<'a> {
        if subject(name) == Subject::NotOurs { Owner::NotOurs } else { Owner::Program }
    }

    /// Whose an element is that is on this side.
    pub(super) fn of_element(&self, side: Side, set: &Name, key: &Value) -> Owner<'a> {
        let (maps, len) = match subject(set) {
            // Each field is padded to four bytes.
            Subject::Address => {
                ([set::FRONTENDS, set::NO_ENDPOINTS], usize::from(self.family.address_len()) + 8)
            }
            Subject::NodePort => ([set::NODE_PORT_FRONTENDS, set::NODE_PORT_NO_ENDPOINTS], 8),
            Subject::Shared => return Owner::Shared,
            Subject::Program => return Owner::Program,
            Subject::NotOurs => return Owner::NotOurs,
        };
        let Some(frontend) = key.as_bytes().get(..len).map(Value::from_bytes) else { return Owner::NotOurs };
        let of = |side, map| service_of_element(self.elements(side, map)?.get(&frontend)?);
        // The element itself may tell, where it is one of a frontend.
        let own = maps.contains(&set.as_str()).then(|| of(side, set)).flatten();
        let sides = [side, side.other()];
        let others = || sides.into_iter().flat_map(|side| maps.map(|map| (side, map)));
        let port = own.or_else(|| others().find_map(|(side, map)| of(side, map)));
        // Others' comments may say anything.
        port.filter(|port| port.contains('/')).map_or(Owner::NotOurs, Owner::Service)
    }

    fn elements(&self, side: Side, set: &str) -> Option<&'a Elements> {
        match side {
            Side::Desired => self.desired?.sets.get(set).map(|set| &set.elements),
            Side::Installed => self.installed?.sets.get(set).map(|set| &set.elements),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Picker, Picking, SharedChain};
    use crate::route::Pool;

    #[test]
    fn chains_belong_to_whom_their_name_says() {
        let program = ProgramChains::new();
        let owners = Owners { family: Family::Ipv4, desired: None, installed: None, program: &program };
        let check = |name: &str, owner| assert_eq!(owners.of_chain(&Name::from(name)), owner, "{name}");
        check("service-shop/api/https", Owner::Service("shop/api/https"));
        check("local-shop/api", Owner::Service("shop/api"));
        check("external-shop/api/https", Owner::Service("shop/api/https"));
        check("services", Owner::Program);
        check("nat-postrouting", Owner::Program);
        check("remember-client", Owner::Program);
        check("count-connection", Owner::Program);
        check("count-postrouting", Owner::Program);
        for name in ["pick-", "pick-x", "pick-local-", "external-4", "external-local-x-pick-4", "my-pick-4"] {
            check(name, Owner::NotOurs);
        }
    }

    #[test]
    fn chains_that_services_share_belong_to_the_program() {
        let program = ProgramChains::new();
        let owners = Owners { family: Family::Ipv4, desired: None, installed: None, program: &program };
        for (node_port, sticky) in [(false, false), (false, true), (true, false), (true, true)] {
            for pool in [Pool::Cluster, Pool::Local] {
                let every = Picker { node_port, pool, sticky, size: 16 };
                for chain in [
                    SharedChain::Pick(every),
                    SharedChain::External(every),
                    SharedChain::ExternalLocal { every, local: None },
                    SharedChain::ExternalLocal { every, local: Some(4) },
                ] {
                    assert_eq!(owners.of_chain(&chain.name()), Owner::Program, "{}", chain.name());
                }
            }
        }
    }

    #[test]
    fn every_set_of_ours_is_known_by_its_name() {
        let config = Config { counters: true, ..Config::default() };
        for picking in [Picking::Chains, Picking::Maps] {
            let affinity = [(60, Protocol::Tcp), (10_800, Protocol::Udp)].into();
            let needs = ProgramNeeds { picking, affinity, ..ProgramNeeds::default() };
            let table = program(View { config: &config, node: None }, Family::Ipv6, &needs);
            for name in table.sets.keys() {
                assert_ne!(subject(name), Subject::NotOurs, "{name}");
            }
        }
        for name in ["sticky-", "sticky-x", "sticky-node-ports-", "numbers"] {
            assert_eq!(subject(name), Subject::NotOurs, "{name}");
        }
    }

    #[test]
    fn others_cannot_steer_the_terminal_by_names() {
        assert_eq!(Owner::Service("a/\u{1b}[2Jb\n").to_string(), "a/?[2Jb?");
    }
}
