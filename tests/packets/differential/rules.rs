//! The rules that the kernel holds in a world: of nftables in one of its layouts, or of iptables in one of its variants.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;

use svcnat::iptables::{Iptables, Variant};
use svcnat::netlink::{Netlink, Options, encode};
use svcnat_oracle::{Packet, World};
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::diff::diff;
use svcnat_rules::iptables::{self, Match, Target};
use svcnat_rules::layout::{set, slots_in};
use svcnat_rules::name::Name;
use svcnat_rules::ruleset::{Ruleset, Value};
use svcnat_rules::simulate::{self, Environment, Outcomes, simulate};
use svcnat_rules::verify::verify;

/// How rules are made.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Nftables(Layout),
    Iptables(Variant),
}

impl Way {
    pub const ALL: [Self; 4] = [
        Self::Nftables(Layout::Chains),
        Self::Nftables(Layout::Maps),
        Self::Iptables(Variant::Nft),
        Self::Iptables(Variant::Legacy),
    ];
}

/// Rules that the kernel holds.
pub enum Rules {
    Nftables(Ruleset),
    Iptables(iptables::Ruleset),
}

/// Where the kernel shows the lists of `-m recent` of the calling thread's namespace.
const LISTS: &str = "/proc/thread-self/net/xt_recent";

impl Rules {
    /// Makes the kernel of the calling thread's namespace hold what a world compiles to, by the difference to what it
    /// holds, and nothing else of ours.
    pub fn install(world: &World, way: Way) -> Result<Self, String> {
        let rules = match way {
            Way::Nftables(layout) => {
                let config = Config { layout, ..world.config.clone() };
                Self::Nftables(nftables(|slots| compile(&world.cluster, &config, slots).ruleset)?)
            }
            Way::Iptables(_) => {
                let wanted = iptables::compile(&world.cluster, &world.config).ruleset;
                if let Some(violation) = iptables::verify(&wanted).first() {
                    return Err(violation.to_string());
                }
                Self::Iptables(wanted)
            }
        };
        let nothing = iptables::Ruleset::default();
        for iptables in Iptables::installed().map_err(|error| error.to_string())? {
            let wanted = match (&rules, way) {
                (Self::Iptables(wanted), Way::Iptables(variant)) if iptables.variant() == variant => wanted,
                _ => &nothing,
            };
            apply(&iptables, wanted)?;
        }
        if let Way::Iptables(_) = way {
            nftables(|_| Ruleset::default())?;
        }
        Ok(rules)
    }

    pub fn simulate(&self, environment: &Environment, packet: &simulate::Packet) -> Result<Outcomes, String> {
        match self {
            Self::Nftables(ruleset) => simulate(ruleset, environment, packet),
            Self::Iptables(ruleset) => iptables::simulate(ruleset, environment, packet),
        }
        .map_err(|error| error.to_string())
    }

    /// The backends that the kernel is to remember: one for each client and frontend, where there is room for it.
    pub fn remembered<'a>(&self, packets: &'a [Packet]) -> Vec<(&'a Packet, SocketAddr)> {
        let mut keys = BTreeSet::new();
        let with_entry = packets.iter().filter_map(|packet| Some((packet, packet.affinity?)));
        with_entry
            .filter(|(packet, backend)| {
                let exists = match self {
                    Self::Nftables(ruleset) => {
                        let table = ruleset.tables.get(&packet.family());
                        table.is_some_and(|table| table.sets.contains_key(set::AFFINITY))
                    }
                    // What another packet of this client does at the same time might count before.
                    Self::Iptables(ruleset) => {
                        packets.iter().filter(|other| other.source == packet.source).count() == 1
                            && !lists(ruleset, packet, *backend).is_empty()
                    }
                };
                exists && keys.insert((packet.source, packet.destination, packet.protocol, packet.port))
            })
            .collect()
    }

    /// What the simulator is told of them.
    pub fn tell(&self, environment: &mut Environment, packet: &Packet, backend: SocketAddr) {
        match self {
            Self::Nftables(_) => {
                let key = Value::new().addr(packet.source).addr(packet.destination);
                let key = key.protocol(packet.protocol).port(packet.port);
                let data = Value::new().addr(backend.ip()).port(backend.port());
                environment.insert(packet.family(), Name::from(set::AFFINITY), key, data);
            }
            Self::Iptables(ruleset) => {
                for list in lists(ruleset, packet, backend) {
                    let client = Value::new().addr(packet.source);
                    environment.insert(packet.family(), list, client, Value::new());
                }
            }
        }
    }

    /// Puts a client into the lists of its backend, in the calling thread's namespace.
    pub fn remember_in_lists(&self, packet: &Packet, backend: SocketAddr) -> Result<(), String> {
        let Self::Iptables(ruleset) = self else { return Ok(()) };
        lists(ruleset, packet, backend)
            .iter()
            .try_for_each(|list| write(list, &format!("+{}", packet.source)))
    }
}

/// Empties all lists of the calling thread's namespace.
pub fn forget_lists() -> Result<(), String> {
    // Without any list the folder may be missing.
    let Ok(lists) = fs::read_dir(LISTS) else { return Ok(()) };
    lists.flatten().try_for_each(|list| write(&list.file_name().to_string_lossy(), "/"))
}

fn write(list: &str, line: &str) -> Result<(), String> {
    fs::write(format!("{LISTS}/{list}"), line).map_err(|error| format!("{list}: {error}"))
}

/// The lists of those clients that this backend knows by this protocol.
fn lists(ruleset: &iptables::Ruleset, packet: &Packet, backend: SocketAddr) -> BTreeSet<Name> {
    let tables = ruleset.families.get(&packet.family()).into_iter().flat_map(BTreeMap::values);
    let rules = tables.flat_map(|table| table.chains.values()).flat_map(|chain| &chain.rules);
    let to_backend =
        rules.filter(|rule| rule.target == Target::Dnat(backend) && rule.protocol == Some(packet.protocol));
    to_backend
        .flat_map(|rule| &rule.matches)
        .filter_map(|condition| match condition {
            Match::Recent { list, .. } => Some(list.clone()),
            _ => None,
        })
        .collect()
}

fn apply(kernel: &Iptables, wanted: &iptables::Ruleset) -> Result<(), String> {
    let say = |error: svcnat::iptables::Error| error.to_string();
    let installed = kernel.read().map_err(say)?;
    let change = iptables::diff(wanted, &installed);
    kernel.apply(&change).map_err(|error| format!("{error}\n{change}"))?;
    let installed = kernel.read().map_err(say)?;
    let left = iptables::diff(wanted, &installed);
    if left.is_empty() { Ok(()) } else { Err(format!("still to do: {left}")) }
}

fn nftables(make: impl FnOnce(&svcnat_rules::layout::Slots) -> Ruleset) -> Result<Ruleset, String> {
    let say = |error: svcnat::netlink::Error| error.to_string();
    let mut kernel = Netlink::open().map_err(say)?;
    let installed = kernel.read().map_err(say)?;
    let ruleset = make(&slots_in(&installed));
    if let Some(violation) = verify(&ruleset).first() {
        return Err(violation.to_string());
    }
    let transaction = diff(&ruleset, &installed);
    let options = Options { generation: Some(installed.generation), ..Options::default() };
    let batch = encode(&transaction, &options).map_err(|error| error.to_string())?;
    kernel.apply(&batch).map_err(|error| format!("{error}\n{transaction:#?}"))?;
    let installed = kernel.read().map_err(say)?;
    let left = diff(&ruleset, &installed);
    if left.is_empty() { Ok(ruleset) } else { Err(format!("still to do: {left:#?}")) }
}
