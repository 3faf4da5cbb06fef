//! What became of a packet, said by the simulator and seen in the network, in the same words.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use svcnat_lab::{Outcome, Protocol, Unreachable};
use svcnat_rules::ruleset::Reject;
use svcnat_rules::simulate::{Fate, Outcomes};

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// It arrived at this address, with its own source or with one of the node's.
    Arrived { at: SocketAddr, masqueraded: bool },
    /// Its sender got a reset.
    Reset,
    /// Its sender got "port unreachable".
    Unreachable,
    /// It vanished.
    Silence,
}

/// Everything that can happen, as the simulator says.
pub fn possible(outcomes: &Outcomes) -> BTreeSet<Fact> {
    let fact = |fate: &Fate| match fate {
        Fate::Delivered(delivery) => {
            Fact::Arrived { at: delivery.destination, masqueraded: delivery.masqueraded }
        }
        Fate::Dropped { .. } => Fact::Silence,
        Fate::Rejected { how: Reject::TcpReset, .. } => Fact::Reset,
        Fate::Rejected { how: Reject::PortUnreachable, .. } => Fact::Unreachable,
    };
    outcomes.keys().map(|outcome| fact(&outcome.fate)).collect()
}

/// A connection that the node tracks: who sent what where, and who answers whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracked {
    protocol: u8,
    original: [SocketAddr; 2],
    reply: [SocketAddr; 2],
}

impl Tracked {
    /// Reads a line of `conntrack -L`; nothing if it is about a protocol without ports.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let protocol = words.nth(1)?.parse().ok()?;
        let mut tuples = words.filter_map(|word| word.split_once('='));
        let mut tuple = || -> Option<[SocketAddr; 2]> {
            let mut value =
                |key: &str| tuples.next().filter(|(name, _)| *name == key).map(|(_, value)| value);
            let addresses: [IpAddr; 2] = [value("src")?.parse().ok()?, value("dst")?.parse().ok()?];
            let ports: [u16; 2] = [value("sport")?.parse().ok()?, value("dport")?.parse().ok()?];
            Some([(addresses[0], ports[0]).into(), (addresses[1], ports[1]).into()])
        };
        Some(Self { protocol, original: tuple()?, reply: tuple()? })
    }

    /// Whether it began with a packet from here to there.
    pub fn began(&self, protocol: Protocol, from: SocketAddr, to: SocketAddr) -> bool {
        self.protocol == protocol.number() && self.original == [from, to]
    }
}

/// What happened: what the sender saw, and what the node tracks of it. The two must agree.
///
/// # Errors
///
/// Where they do not, or the sender saw what no rule says.
pub fn seen(source: SocketAddr, outcome: &Outcome, tracked: Option<&Tracked>) -> Result<Fact, String> {
    match (outcome, tracked) {
        (Outcome::Answered(answer), Some(tracked)) if tracked.reply[1] == answer.saw => {
            Ok(Fact::Arrived { at: tracked.reply[0], masqueraded: answer.saw != source })
        }
        (Outcome::Reset, None) => Ok(Fact::Reset),
        (Outcome::Unreachable(Unreachable::Port), None) => Ok(Fact::Unreachable),
        (Outcome::Timeout, None) => Ok(Fact::Silence),
        _ => Err(format!("{outcome}, tracked: {tracked:?}")),
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrived { at, masqueraded: true } => write!(f, "arrives at {at}, masqueraded"),
            Self::Arrived { at, masqueraded: false } => write!(f, "arrives at {at}"),
            Self::Reset => f.write_str("is reset"),
            Self::Unreachable => f.write_str("is refused by ICMP"),
            Self::Silence => f.write_str("vanishes"),
        }
    }
}

#[test]
fn tracked_connections_are_read() {
    let check = |line: &str, expected: Option<(u8, [&str; 4])>| {
        let socket = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let expected = expected.map(|(protocol, [from, to, by, whom])| Tracked {
            protocol,
            original: [socket(from), socket(to)],
            reply: [socket(by), socket(whom)],
        });
        assert_eq!(Tracked::parse(line), expected, "{line}");
    };
    check(
        "tcp      6 9 CLOSE src=10.244.0.2 dst=10.96.0.1 sport=4 dport=80 src=10.244.1.2 dst=192.168.1.2 sport=8080 \
         dport=77 [ASSURED] mark=0 use=1",
        Some((6, ["10.244.0.2:4", "10.96.0.1:80", "10.244.1.2:8080", "192.168.1.2:77"])),
    );
    check(
        "udp      17 29 src=fd00::2 dst=fd00::3 sport=4 dport=80 [UNREPLIED] src=fd00::3 dst=fd00::2 sport=80 dport=4 \
         mark=0 use=1",
        Some((17, ["[fd00::2]:4", "[fd00::3]:80", "[fd00::3]:80", "[fd00::2]:4"])),
    );
    check(
        "icmpv6   58 29 src=fd00::2 dst=fd00::3 type=128 code=0 id=9 src=fd00::3 dst=fd00::2 type=129 code=0",
        None,
    );
    check("", None);
}
