//! The packet on its way, and sets of ways that it may have taken to the same point.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};

use super::{Connection, Effect, Environment, Origin, Packet, Probability};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::Hook;

/// All that rules can change about a packet and its connection. Two ways with equal transits have the same future.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Transit {
    pub(crate) source: IpAddr,
    /// `None` once it is a random one.
    pub(crate) source_port: Option<u16>,
    pub(crate) destination: SocketAddr,
    /// `None` on the way out of this host.
    pub(crate) interface: Option<Name>,
    pub(crate) mark: u32,
    pub(crate) dnat: Mapping,
    pub(crate) snat: Mapping,
    /// Whether connection tracking has taken the connection into its table (`IPS_CONFIRMED`).
    pub(crate) confirmed: bool,
    pub(crate) effects: Vec<Effect>,
}

/// How far the kernel is with one of a connection's two address translations (`nf_nat_initialized`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mapping {
    /// No nat hook has been passed that decides on it.
    Undecided,
    /// The address stays (`nf_nat_alloc_null_binding`).
    Kept,
    /// The address changes.
    Changed,
}

impl Mapping {
    fn changed(changed: bool) -> Self {
        if changed { Self::Changed } else { Self::Kept }
    }
}

/// Which of the two translations a nat hook decides on (`HOOK2MANIP`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manip {
    Source,
    Destination,
}

impl Manip {
    pub(crate) fn of(hook: Hook) -> Option<Self> {
        match hook {
            Hook::Prerouting | Hook::Output => Some(Self::Destination),
            Hook::Input | Hook::Postrouting => Some(Self::Source),
            Hook::Forward => None,
        }
    }
}

impl Transit {
    pub(crate) fn new(packet: &Packet) -> Self {
        let interface = match &packet.origin {
            Origin::Network { interface } => Some(interface.clone()),
            Origin::Host => None,
        };
        let (dnat, snat) = match packet.connection {
            Connection::New => (Mapping::Undecided, Mapping::Undecided),
            Connection::Established { dnat, masqueraded } => {
                (Mapping::changed(dnat.is_some()), Mapping::changed(masqueraded))
            }
        };
        Self {
            source: packet.source.ip(),
            source_port: Some(packet.source.port()),
            destination: packet.destination,
            interface,
            mark: packet.mark,
            dnat,
            snat,
            confirmed: packet.connection != Connection::New,
            effects: Vec::new(),
        }
    }

    pub(crate) fn mapping(&self, manip: Manip) -> Mapping {
        match manip {
            Manip::Source => self.snat,
            Manip::Destination => self.dnat,
        }
    }

    /// The null binding of a nat hook none of whose chains said anything.
    pub(crate) fn keep(&mut self, manip: Manip) {
        let mapping = match manip {
            Manip::Source => &mut self.snat,
            Manip::Destination => &mut self.dnat,
        };
        if *mapping == Mapping::Undecided {
            *mapping = Mapping::Kept;
        }
    }

    /// Gives the packet a new destination. The connection counts as translated only where that differs from what the
    /// packet was sent to (`nf_nat_setup_info`).
    pub(crate) fn redirect(&mut self, destination: SocketAddr) {
        self.dnat = Mapping::changed(self.destination != destination);
        self.destination = destination;
    }

    /// Gives the packet a source of this host and a random port.
    pub(crate) fn masquerade(&mut self, environment: &Environment) {
        self.snat = Mapping::Changed;
        self.source = environment.masquerade_source(Family::of(self.source)).unwrap_or(self.source);
        self.source_port = None;
    }
}

/// One way to somewhere: how likely it is, and the steps that it took.
#[derive(Clone)]
pub(crate) struct Way<T> {
    pub(crate) probability: Probability,
    pub(crate) trail: T,
}

/// Ways by what they lead to; ways to the same are one.
pub(crate) struct Ways<K, T>(BTreeMap<K, Way<T>>);

/// Packets at one point of the program.
pub(crate) type Flows<T> = Ways<Transit, T>;

impl<K, T> Default for Ways<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, T> Ways<K, T> {
    /// Adds a way; where there is one already, that one's trail stays.
    pub(crate) fn add(&mut self, key: K, way: Way<T>) {
        match self.0.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(way);
            }
            Entry::Occupied(mut entry) => entry.get_mut().probability.add(&way.probability),
        }
    }

    pub(crate) fn add_all(&mut self, others: Self) {
        for (key, way) in others {
            self.add(key, way);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parts the ways that satisfy the condition from the others.
    pub(crate) fn partition(self, condition: impl Fn(&K) -> bool) -> (Self, Self) {
        let (yes, no) = self.0.into_iter().partition(|(key, _)| condition(key));
        (Self(yes), Self(no))
    }

    /// Changes what the ways lead to; those that then lead to the same become one.
    pub(crate) fn map<L: Ord>(self, mut change: impl FnMut(K, &mut T) -> L) -> Ways<L, T> {
        let mut changed = Ways::default();
        for (key, mut way) in self {
            let key = change(key, &mut way.trail);
            changed.add(key, way);
        }
        changed
    }
}

impl<K, T> IntoIterator for Ways<K, T> {
    type Item = (K, Way<T>);
    type IntoIter = std::collections::btree_map::IntoIter<K, Way<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
