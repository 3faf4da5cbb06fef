//! The few words of networking that every stage uses: address family, transport protocol, CIDR.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;

/// An address family; also the family of an nftables table (`ip` or `ip6`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Family {
    /// IPv4, table family `ip`.
    #[cfg_attr(feature = "serde", serde(rename = "IPv4"))]
    Ipv4,
    /// IPv6, table family `ip6`.
    #[cfg_attr(feature = "serde", serde(rename = "IPv6"))]
    Ipv6,
}

impl Family {
    /// Both families, in the order of every output.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// The keyword in nft, for the table's family and for header fields alike.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Ipv4 => "ip",
            Self::Ipv6 => "ip6",
        }
    }

    /// How many bytes an address has.
    #[must_use]
    pub fn address_len(self) -> u8 {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 => 16,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// A transport protocol that a Service port can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Protocol {
    /// TCP, the default of the API.
    #[cfg_attr(feature = "serde", serde(rename = "TCP"))]
    Tcp,
    /// UDP.
    #[cfg_attr(feature = "serde", serde(rename = "UDP"))]
    Udp,
    /// SCTP.
    #[cfg_attr(feature = "serde", serde(rename = "SCTP"))]
    Sctp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The word for it in the API.
    #[must_use]
    pub fn api_name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }

    /// The IANA protocol number, as in the IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol with an IANA number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.number() == number)
    }

    /// The keyword in nft and iptables: lower case.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

/// A network in CIDR notation without host bits.
///
/// `IpNetwork` keeps host bits in `Eq`, `Ord` and `Hash`; this type clears them when it is made, so that 10.0.0.1/8
/// and 10.0.0.0/8 are the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNetwork);

impl Cidr {
    /// The network that `address` lies in, `prefix` bits long. `None` where the family has fewer bits.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        IpNetwork::new(address, prefix).ok().map(Self::from)
    }

    /// The first address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.0.network()
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// The address whose bits are set where the prefix is.
    #[must_use]
    pub fn mask(self) -> IpAddr {
        self.0.mask()
    }

    /// The length of the prefix in bits.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.0.prefix()
    }

    /// The family of its addresses.
    #[must_use]
    pub fn family(self) -> Family {
        Family::of(self.0.ip())
    }

    /// Whether the address lies in the network; never so for an address of the other family.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(address)
    }
}

impl From<IpNetwork> for Cidr {
    fn from(network: IpNetwork) -> Self {
        // The prefix comes from a network, so it fits the family and the fallback is never taken.
        Self(IpNetwork::new(network.network(), network.prefix()).unwrap_or(network))
    }
}

impl FromStr for Cidr {
    type Err = ipnetwork::IpNetworkError;

    /// Reads `address/prefix`, blanks around it trimmed; host bits are cleared.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if !text.contains('/') {
            return Err(ipnetwork::IpNetworkError::InvalidCidrFormat(text.to_owned()));
        }
        text.parse::<IpNetwork>().map(Self::from)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
