//! How a packet fared, as the one who sent it sees it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A server answered.
    Answered(Answer),
    /// A reset: a TCP RST, or an SCTP ABORT. `connect` says "connection refused" to it, as it says to
    /// `Unreachable(Port)`; [`Outcome::is_refused`] is true for both.
    Reset,
    /// An ICMP error, or no route at this end.
    Unreachable(Unreachable),
    /// Nothing within the time that was given.
    Timeout,
    /// Something that no test waits for: an answer in another form, an unusual error.
    Failed(String),
}

/// The answer of one of the lab's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name of the host that answered.
    pub by: String,
    /// The client's address as the server saw it: behind a masquerade, the node's.
    pub saw: SocketAddr,
}

/// Which part of the way an ICMP error says is missing. The kernel folds ICMP codes into few errors, see
/// `icmp_err_convert` in net/ipv4/icmp.c and `tab_unreach` in net/ipv6/icmp.c.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// No such port: what nft's plain `reject` sends. ECONNREFUSED.
    Port,
    /// No such host, also "administratively prohibited" of IPv4. EHOSTUNREACH.
    Host,
    /// No route, here or on the way. ENETUNREACH.
    Network,
    /// "Administratively prohibited" of IPv6. EACCES.
    Prohibited,
}

impl Outcome {
    /// The name of the host that answered, if one did.
    #[must_use]
    pub fn answered_by(&self) -> Option<&str> {
        self.answer().map(|answer| answer.by.as_str())
    }

    /// The answer, if there is one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    /// Whether a program would see "connection refused" (ECONNREFUSED).
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Reset | Self::Unreachable(Unreachable::Port))
    }

    /// Reads what a server of the lab sent: the line `NAME ADDRESS:PORT`.
    pub(crate) fn from_line(line: &str) -> Self {
        let answer = line.trim_end().split_once(' ').and_then(|(by, saw)| {
            let saw = saw.parse().ok()?;
            Some(Answer { by: by.to_owned(), saw })
        });
        answer.map_or_else(|| Self::Failed(format!("not an answer of the lab: {line:?}")), Self::Answered)
    }

    /// Translates a socket's error. `by_icmp` tells the two causes of ECONNREFUSED apart.
    pub(crate) fn from_error(error: &io::Error, by_icmp: bool) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) if by_icmp => Self::Unreachable(Unreachable::Port),
            Some(Errno::ECONNREFUSED | Errno::ECONNRESET) => Self::Reset,
            Some(Errno::EHOSTUNREACH) => Self::Unreachable(Unreachable::Host),
            Some(Errno::ENETUNREACH) => Self::Unreachable(Unreachable::Network),
            Some(Errno::EACCES) => Self::Unreachable(Unreachable::Prohibited),
            Some(Errno::ETIMEDOUT | Errno::EAGAIN) => Self::Timeout,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(Answer { by, saw }) => write!(f, "an answer by {by}, which saw {saw}"),
            Self::Reset => f.write_str("connection refused"),
            Self::Unreachable(Unreachable::Port) => f.write_str("port unreachable"),
            Self::Unreachable(Unreachable::Host) => f.write_str("host unreachable"),
            Self::Unreachable(Unreachable::Network) => f.write_str("network unreachable"),
            Self::Unreachable(Unreachable::Prohibited) => f.write_str("prohibited"),
            Self::Timeout => f.write_str("no answer"),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_and_an_address_are_an_answer() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let expected =
                expected.map(|(by, saw)| Answer { by: by.into(), saw: saw.parse().expect("an address") });
            assert_eq!(Outcome::from_line(line).answer(), expected.as_ref(), "{line:?}");
        };
        check("web-a 192.168.1.10:4242\n", Some(("web-a", "192.168.1.10:4242")));
        check("web-a [2001:db8:1::10]:4242\n", Some(("web-a", "[2001:db8:1::10]:4242")));
        check("", None);
        check("web-a\n", None);
        check("web-a somewhere\n", None);
    }

    #[test]
    fn errors_of_the_kernel_have_their_outcome() {
        let check = |errno: Errno, by_icmp: bool, expected: Outcome| {
            assert_eq!(Outcome::from_error(&errno.into(), by_icmp), expected, "{errno}");
        };
        check(Errno::ECONNREFUSED, false, Outcome::Reset);
        check(Errno::ECONNREFUSED, true, Outcome::Unreachable(Unreachable::Port));
        check(Errno::EHOSTUNREACH, true, Outcome::Unreachable(Unreachable::Host));
        check(Errno::ENETUNREACH, false, Outcome::Unreachable(Unreachable::Network));
        check(Errno::EACCES, true, Outcome::Unreachable(Unreachable::Prohibited));
        check(Errno::EAGAIN, false, Outcome::Timeout);
    }
}
