//! Values as the kernel holds them: the bytes of a register, of an element's key, of its data.

use std::cmp::Ordering;
use std::net::IpAddr;

use smallvec::SmallVec;

use crate::net::Protocol;

/// Bytes in the layout of nf_tables registers.
///
/// Every field of a concatenation begins at a multiple of four bytes, padded with zeros behind (`netlink_padded_len`
/// in nft, `NFT_REG32_SIZE` in `include/uapi/linux/netfilter/nf_tables.h`). Addresses and ports are in network byte
/// order, a map slot in the host's. Sixteen bytes, every IPv4 key that the compiler makes, are held without an
/// allocation.
#[derive(Default, PartialEq, Eq, Hash)]
pub struct Value(SmallVec<[u8; 16]>);

impl Value {
    /// No field yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes as they are, a field's padding included.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// Appends a field, padded to a multiple of four bytes.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        let missing = self.0.len().next_multiple_of(4) - self.0.len();
        self.0.extend_from_slice(&[0; 4][..missing]);
        self
    }

    /// Appends an address: four or sixteen bytes.
    #[must_use]
    pub fn addr(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.field(&address.octets()),
            IpAddr::V6(address) => self.field(&address.octets()),
        }
    }

    /// Appends an `inet_proto`: the IANA protocol number in one byte.
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.field(&[protocol.number()])
    }

    /// Appends an `inet_service`: a port in network byte order.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.field(&port.to_be_bytes())
    }

    /// Appends a slot, as `numgen` writes it: 32 bits in the host's byte order.
    #[must_use]
    pub fn slot(self, slot: u32) -> Self {
        self.field(&slot.to_ne_bytes())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Clone for Value {
    /// All bytes at once: the vector's own clone copies them one by one.
    fn clone(&self) -> Self {
        Self::from_bytes(&self.0)
    }
}

impl Ord for Value {
    /// The order of the bytes. Sixteen of them, the keys of most elements, are compared as one number, which costs a
    /// fraction of a call to `memcmp`.
    fn cmp(&self, other: &Self) -> Ordering {
        let (this, other) = (self.as_bytes(), other.as_bytes());
        match (<[u8; 16]>::try_from(this), <[u8; 16]>::try_from(other)) {
            (Ok(this), Ok(other)) => u128::from_be_bytes(this).cmp(&u128::from_be_bytes(other)),
            _ => this.cmp(other),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
