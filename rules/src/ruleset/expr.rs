//! Expressions: the instructions of the kernel's register machine.
//!
//! A rule is what the kernel executes, one to one: nft's statements (`tcp dport 80`, `dnat to`) are combinations of
//! these, and the printer puts them together again. So there is one description of a rule, and what the simulator
//! walks is what the kernel runs. The numbers are those of `include/uapi/linux/netfilter/nf_tables.h`.

use super::{Value, Verdict};
use crate::name::Name;

/// A data register, counted in words of four bytes: 0 to 15.
///
/// The kernel has four names for the words that begin sixteen bytes (`NFT_REG_1` to `NFT_REG_4`) and sixteen for
/// all (`NFT_REG32_00` to `NFT_REG32_15`), over the same memory; this is the latter's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(u8);

impl Register {
    /// How many words there are.
    pub const COUNT: u8 = 16;
    /// The first word, where a rule's work begins.
    pub const FIRST: Self = Self(0);
    /// The first word of the second sixteen bytes.
    pub const SECOND: Self = Self(4);

    /// The word with that number, if there is one.
    #[must_use]
    pub fn new(word: u8) -> Option<Self> {
        (word < Self::COUNT).then_some(Self(word))
    }

    /// Its number, 0 to 15.
    #[must_use]
    pub fn word(self) -> u8 {
        self.0
    }

    /// The register that lies `bytes` behind this one, rounded up to whole words. Wraps at the end of the register
    /// file, where the verifier refuses every use.
    #[must_use]
    pub fn after(self, bytes: usize) -> Self {
        let words = u8::try_from(bytes.div_ceil(4) % usize::from(Self::COUNT)).unwrap_or(0);
        Self((self.0 + words) % Self::COUNT)
    }

    /// The number that the kernel uses in its own dumps (`nft_dump_register`).
    #[must_use]
    pub fn kernel_number(self) -> u32 {
        let word = u32::from(self.0);
        if word.is_multiple_of(4) { 1 + word / 4 } else { 8 + word }
    }

    /// The register with a kernel number: 1 to 4 or 8 to 23.
    #[must_use]
    pub fn from_kernel_number(number: u32) -> Option<Self> {
        let word = match number {
            1..=4 => (number - 1) * 4,
            8..=23 => number - 8,
            _ => return None,
        };
        Self::new(u8::try_from(word).ok()?)
    }
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Loads bytes of the packet.
    Payload {
        /// Which header.
        header: Header,
        /// The first byte.
        offset: u8,
        /// How many bytes.
        len: u8,
        /// Where to.
        dest: Register,
    },
    /// Loads something that is known about the packet.
    Meta {
        /// What.
        key: MetaKey,
        /// Where to.
        dest: Register,
    },
    /// Sets the packet's mark.
    SetMark {
        /// Where from.
        source: Register,
    },
    /// Loads something that is known about the packet's connection.
    Ct {
        /// What.
        key: CtKey,
        /// Where to.
        dest: Register,
    },
    /// Loads the type of an address from the routing tables (`RTN_LOCAL` is 2), four bytes in host order.
    FibType {
        /// Which address of the packet.
        address: FibAddress,
        /// Where to.
        dest: Register,
    },
    /// Draws a number below `modulus`, each with the same probability; four bytes in host order.
    Numgen {
        /// How many numbers there are.
        modulus: u32,
        /// Where to.
        dest: Register,
    },
    /// Goes on only where the register (does not) equal the value.
    Cmp {
        /// Whether equality is asked for.
        op: CmpOp,
        /// What is compared, as many bytes as the value has.
        source: Register,
        /// With what.
        value: Value,
    },
    /// `dest = (source & mask) ^ xor`.
    Bitwise {
        /// Where from, as many bytes as the mask has.
        source: Register,
        /// Where to.
        dest: Register,
        /// The bits that are kept.
        mask: Value,
        /// The bits that are then flipped; as long as the mask.
        xor: Value,
    },
    /// Swaps the bytes of a two-byte value from the host's to the network's order. nft puts it on one-byte fields
    /// of keys that are ranges, where it has nothing to swap; listings look the same only if it is there.
    HostToNetwork {
        /// Where from.
        source: Register,
        /// Where to.
        dest: Register,
        /// How many bytes there are.
        len: u8,
    },
    /// Goes on only where the set (does not) hold the key; of a map, loads what the key maps to.
    Lookup {
        /// The set.
        set: Name,
        /// The key, as many bytes as the set's key has.
        source: Register,
        /// What becomes of the data.
        data: LookupData,
        /// Goes on only where the key is *not* there; for sets only.
        invert: bool,
    },
    /// Loads a constant.
    Immediate {
        /// Where to.
        dest: Register,
        /// The constant.
        value: Value,
    },
    /// Ends the rule with a verdict.
    Verdict(Verdict),
    /// Destination NAT; ends the rule and the hook.
    Dnat {
        /// The new address: four or sixteen bytes, by the table's family.
        address: Register,
        /// The new port, two bytes in network byte order; the old one is kept where there is none.
        port: Option<Register>,
        /// Whether the port is a constant of the rule (`NF_NAT_RANGE_PROTO_SPECIFIED`, which nft sets only then;
        /// the kernel adds it itself).
        port_specified: bool,
    },
    /// Source NAT to an address of the outgoing interface, the port drawn at random (`masquerade fully-random`);
    /// ends the rule and the hook.
    Masquerade,
    /// Throws the packet away and tells its sender; ends the rule and the hook.
    Reject(Reject),
    /// Adds or refreshes an element of a dynamic map.
    Update {
        /// The map.
        set: Name,
        /// The key.
        key: Register,
        /// The data.
        data: Register,
        /// How long the element lives without a refresh, in milliseconds.
        timeout: u64,
    },
}

/// Which header's bytes are loaded (`enum nft_payload_bases`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// IPv4 or IPv6.
    Network,
    /// TCP, UDP or SCTP.
    Transport,
}

/// What is known about a packet (`enum nft_meta_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaKey {
    /// The transport protocol's IANA number, one byte.
    L4Proto,
    /// The mark, four bytes in host order.
    Mark,
    /// The name of the incoming interface, sixteen bytes padded with zeros.
    IifName,
}

/// What is known about a connection (`enum nft_ct_keys`); addresses and ports are those of its first packet, before
/// any NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtKey {
    /// The state as one bit of [`CT_STATE_NEW`] and its like, four bytes in host order.
    State,
    /// The status bits, [`CT_STATUS_DNAT`] among them, four bytes in host order.
    Status,
    /// The first packet's source address.
    OriginalSource,
    /// The first packet's destination address.
    OriginalDestination,
    /// The first packet's destination port.
    OriginalDestinationPort,
}

/// `ct state new`, the bit `NF_CT_STATE_BIT(IP_CT_NEW)`.
pub const CT_STATE_NEW: u32 = 8;
/// `ct status dnat`, the bit `IPS_DST_NAT`.
pub const CT_STATUS_DNAT: u32 = 1 << 5;
/// `fib ... type local`, the route type `RTN_LOCAL`.
pub const FIB_TYPE_LOCAL: u32 = 2;

/// Which address of the packet is looked up in the routing tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FibAddress {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// How a register and a value are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
}

/// What becomes of the data that a lookup finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupData {
    /// There is none: a set.
    None,
    /// It is the verdict of the rule: a verdict map.
    Verdict,
    /// It is loaded: a map.
    Load(Register),
}

/// What the sender of a rejected packet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// ICMP or ICMPv6 "port unreachable", by the table's family.
    PortUnreachable,
    /// A TCP segment with RST.
    TcpReset,
}
