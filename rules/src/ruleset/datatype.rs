//! The types of an element's fields, with nft's names for them.

/// The type of one field of a set's key or of a map's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// `ipv4_addr`, four bytes.
    Ipv4Addr,
    /// `ipv6_addr`, sixteen bytes.
    Ipv6Addr,
    /// `inet_proto`, one byte in a field of four.
    InetProto,
    /// `inet_service`, two bytes in network byte order in a field of four.
    InetService,
    /// A number from `numgen`, four bytes in the host's byte order. nft has no name for it, so a set with such a
    /// field is declared with `typeof`.
    Slot,
}

impl DataType {
    /// How many bytes the value has.
    #[must_use]
    pub fn byte_len(self) -> usize {
        match self {
            Self::InetProto => 1,
            Self::InetService => 2,
            Self::Ipv4Addr | Self::Slot => 4,
            Self::Ipv6Addr => 16,
        }
    }

    /// How many bytes the field has in a register: the value and its padding.
    #[must_use]
    pub fn padded_len(self) -> usize {
        self.byte_len().next_multiple_of(4)
    }

    /// nft's number for the type (`enum datatypes` in `include/datatype.h` of nftables), six bits of which go into
    /// the type of a concatenation.
    #[must_use]
    pub fn id(self) -> u32 {
        match self {
            Self::Slot => 4,
            Self::Ipv4Addr => 7,
            Self::Ipv6Addr => 8,
            Self::InetProto => 12,
            Self::InetService => 13,
        }
    }

    /// The keyword after `type`; `None` for a type that only `typeof` can say.
    #[must_use]
    pub fn keyword(self) -> Option<&'static str> {
        match self {
            Self::Ipv4Addr => Some("ipv4_addr"),
            Self::Ipv6Addr => Some("ipv6_addr"),
            Self::InetProto => Some("inet_proto"),
            Self::InetService => Some("inet_service"),
            Self::Slot => None,
        }
    }
}

/// The number that nft gives a concatenation of types: six bits for each, the first one highest
/// (`TYPE_BITS` in nftables). A single type is its own number.
#[must_use]
pub fn concat_id(fields: &[DataType]) -> u32 {
    fields.iter().fold(0, |id, field| id << 6 | field.id())
}

/// How many bytes a concatenation has in registers.
#[must_use]
pub fn concat_len(fields: &[DataType]) -> usize {
    fields.iter().map(|field| field.padded_len()).sum()
}
