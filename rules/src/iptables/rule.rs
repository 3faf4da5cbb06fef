//! A rule: what it matches and what becomes of the packet. Printed as `iptables-save` prints it.

use std::fmt;
use std::net::SocketAddr;

use crate::name::Name;
use crate::net::{Cidr, Protocol};
use crate::ruleset::Reject;

/// A rule. What is `None` or empty matches everything; the fields are matched in this order.
///
/// The order of rules is that of their fields, so rules without a destination come before those with one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// `-s`: never of prefix 0, which iptables does not keep.
    pub source: Option<Cidr>,
    /// `-d`: never of prefix 0.
    pub destination: Option<Cidr>,
    /// `-i`.
    pub interface: Option<Interface>,
    /// `-p`.
    pub protocol: Option<Protocol>,
    /// `--dport`, which needs a protocol.
    pub port: Option<u16>,
    /// `--comment`, at most [`MAX_COMMENT`](crate::ruleset::MAX_COMMENT) bytes.
    pub comment: Option<Name>,
    /// Other matches in order: one that does not match keeps those behind it from being asked.
    pub matches: Vec<Match>,
    /// What becomes of a packet that matches.
    pub target: Target,
}

/// The name of an interface, or how it begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// This one.
    Named(Name),
    /// `-i veth+`: all whose names begin so.
    Prefix(Name),
}

/// A match of one of iptables' modules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// `-m addrtype`: the source or destination is an address of this host.
    Local(AddressType),
    /// `-m conntrack --ctstate`.
    State(State),
    /// `-m mark`: all these bits of the packet's mark are set.
    Mark(u32),
    /// `-m statistic --mode random`.
    Random(Odds),
    /// `-m recent --rsource`: a list of clients.
    Recent {
        /// The name of the list, unique on the host, families included.
        list: Name,
        /// What is done with it.
        action: Recent,
    },
}

/// Which address `-m addrtype` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressType {
    /// `--src-type LOCAL`.
    Source,
    /// `--dst-type LOCAL`.
    Destination,
}

/// What connection tracking says about a packet's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// This is its first packet, or no answer has come yet.
    New,
    /// Its destination was translated.
    Dnat,
}

/// What is done with a list of `-m recent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recent {
    /// `--set`: the client is noted; always matches.
    Set,
    /// `--update --seconds N --reap`: matches a client that was noted in the last so many seconds and notes it again; one
    /// that was idle for longer than that is dropped from the list.
    Update {
        /// How many seconds.
        seconds: u32,
    },
}

/// A probability in the kernel's steps: so many of 2^31 (`u.random.probability` of
/// `include/uapi/linux/netfilter/xt_statistic.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Odds(u32);

impl Odds {
    /// How many steps are certainty.
    pub const CERTAIN: u32 = 1 << 31;

    /// What is never drawn.
    pub const NEVER: Self = Self(0);

    /// 1/n, rounded as iptables does. Drawing among none is certainty as well.
    #[must_use]
    pub fn one_in(n: u32) -> Self {
        let n = n.max(1);
        Self((Self::CERTAIN + n / 2) / n)
    }

    /// What `--probability` takes; `None` outside of 0 to 1.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        let probability: f64 = text.parse().ok()?;
        if !(0.0..=1.0).contains(&probability) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 2^31 and not negative"
        )]
        Some(Self((probability * f64::from(Self::CERTAIN)).round() as u32))
    }

    /// So many steps of [`Odds::CERTAIN`].
    #[must_use]
    pub fn steps(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Odds {
    /// Eleven digits, as `iptables-save` prints it; they suffice to tell every step from the next one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.11}", f64::from(self.0) / f64::from(Self::CERTAIN))
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// It enters a chain and comes back at its end.
    Jump(Name),
    /// It enters a chain, at whose end it comes back to where this chain was jumped to.
    Goto(Name),
    /// Back to where this chain was jumped to.
    Return,
    /// Thrown away in silence.
    Drop,
    /// Thrown away, and its sender is told.
    Reject(Reject),
    /// It gets this destination, and leaves the table.
    Dnat(SocketAddr),
    /// It gets a source address of this host and a random port, and leaves the table.
    Masquerade,
    /// Its mark changes: `(mark & !clear) ^ flip`.
    Mark {
        /// Bits that are cleared first.
        clear: u32,
        /// Bits that are flipped then.
        flip: u32,
    },
}

impl Target {
    /// The chain that it leads to.
    #[must_use]
    pub fn chain(&self) -> Option<&Name> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            _ => None,
        }
    }
}

impl Rule {
    /// A rule for every packet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            source: None,
            destination: None,
            interface: None,
            protocol: None,
            port: None,
            comment: None,
            matches: Vec::new(),
            target,
        }
    }

    /// `-j CHAIN`.
    #[must_use]
    pub fn jump(chain: impl Into<Name>) -> Self {
        Self::new(Target::Jump(chain.into()))
    }

    /// `-g CHAIN`.
    #[must_use]
    pub fn goto(chain: impl Into<Name>) -> Self {
        Self::new(Target::Goto(chain.into()))
    }

    /// Only from this network; from everywhere where that holds every address.
    #[must_use]
    pub fn from(self, network: Cidr) -> Self {
        Self { source: Some(network).filter(|network| network.prefix() > 0), ..self }
    }

    /// Only to this network.
    #[must_use]
    pub fn to(self, network: Cidr) -> Self {
        Self { destination: Some(network).filter(|network| network.prefix() > 0), ..self }
    }

    /// Only by this protocol to this port.
    #[must_use]
    pub fn on(self, protocol: Protocol, port: u16) -> Self {
        Self { protocol: Some(protocol), port: Some(port), ..self }
    }

    /// Only what this matches too.
    #[must_use]
    pub fn when(mut self, condition: Match) -> Self {
        self.matches.push(condition);
        self
    }

    /// With a comment.
    #[must_use]
    pub fn comment(self, comment: Option<Name>) -> Self {
        Self { comment, ..self }
    }
}

impl fmt::Display for Rule {
    /// What stands behind `-A CHAIN`, with a space in front of each word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = self.source {
            write!(f, " -s {source}")?;
        }
        if let Some(destination) = self.destination {
            write!(f, " -d {destination}")?;
        }
        match &self.interface {
            Some(Interface::Named(name)) => write!(f, " -i {name}")?,
            Some(Interface::Prefix(prefix)) => write!(f, " -i {prefix}+")?,
            None => {}
        }
        if let Some(protocol) = self.protocol {
            write!(f, " -p {protocol}")?;
            if let Some(port) = self.port {
                write!(f, " -m {protocol} --dport {port}")?;
            }
        }
        if let Some(comment) = &self.comment {
            write!(f, " -m comment --comment \"{comment}\"")?;
        }
        for condition in &self.matches {
            condition.fmt(f)?;
        }
        self.target.fmt(f)
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(AddressType::Source) => f.write_str(" -m addrtype --src-type LOCAL"),
            Self::Local(AddressType::Destination) => f.write_str(" -m addrtype --dst-type LOCAL"),
            Self::State(State::New) => f.write_str(" -m conntrack --ctstate NEW"),
            Self::State(State::Dnat) => f.write_str(" -m conntrack --ctstate DNAT"),
            Self::Mark(bits) => write!(f, " -m mark --mark {bits:#x}/{bits:#x}"),
            Self::Random(odds) => write!(f, " -m statistic --mode random --probability {odds}"),
            Self::Recent { list, action: Recent::Set } => {
                write!(f, " -m recent --set --name {list} --rsource")
            }
            Self::Recent { list, action: Recent::Update { seconds } } => {
                write!(f, " -m recent --update --seconds {seconds} --reap --name {list} --rsource")
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jump(chain) => write!(f, " -j {chain}"),
            Self::Goto(chain) => write!(f, " -g {chain}"),
            Self::Return => f.write_str(" -j RETURN"),
            Self::Drop => f.write_str(" -j DROP"),
            Self::Reject(Reject::TcpReset) => f.write_str(" -j REJECT --reject-with tcp-reset"),
            // Without a word about it, it is "port unreachable" in the words of the family.
            Self::Reject(Reject::PortUnreachable) => f.write_str(" -j REJECT"),
            Self::Dnat(to) => write!(f, " -j DNAT --to-destination {to}"),
            Self::Masquerade => f.write_str(" -j MASQUERADE --random-fully"),
            Self::Mark { clear, flip } => write!(f, " -j MARK --set-xmark {flip:#x}/{clear:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probability_survives_its_decimal_form() {
        for n in (1..5_000).chain([65_535, 1_000_003, 1 << 30, 1 << 31]) {
            let odds = Odds::one_in(n);
            assert_eq!(Odds::from_decimal(&odds.to_string()), Some(odds), "1 in {n}");
        }
        assert_eq!(Odds::one_in(3).to_string(), "0.33333333349");
        assert_eq!(Odds::one_in(0).steps(), Odds::CERTAIN);
        for wrong in ["1.1", "-0.5", "NaN", "x"] {
            assert_eq!(Odds::from_decimal(wrong), None, "{wrong}");
        }
    }
}
