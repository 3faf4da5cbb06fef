//! Values as the kernel holds them: the bytes of a register, of an element's key, of its data.

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::net::Protocol;

/// Bytes in the layout of nf_tables registers.
///
/// Every field of a concatenation begins at a multiple of four bytes, padded with zeros behind (`netlink_padded_len`
/// in nft, `NFT_REG32_SIZE` in `include/uapi/linux/netfilter/nf_tables.h`). Addresses and ports are in network byte
/// order, a map slot in the host's. Every IPv4 key that the compiler makes is held without an allocation.
#[derive(Clone)]
pub struct Value(Bytes);

/// How many bytes are held in the value itself: as many as fit beside their number where a pointer with a length would be.
const HERE: usize = 22;

#[derive(Clone)]
enum Bytes {
    /// Behind the first `len`, all are zero.
    Here {
        len: u8,
        bytes: [u8; HERE],
    },
    Elsewhere(Box<[u8]>),
}

impl Value {
    /// No field yet.
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Self(Bytes::Here { len: 0, bytes: [0; HERE] })
    }

    /// The bytes as they are, a field's padding included.
    #[must_use]
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::new().with(bytes, bytes.len())
    }

    /// Appends a field, padded to a multiple of four bytes.
    #[must_use]
    #[inline]
    pub fn field(self, bytes: &[u8]) -> Self {
        self.with(bytes, bytes.len().next_multiple_of(4))
    }

    /// Appends bytes, with zeros behind them up to a length.
    #[inline]
    fn with(mut self, more: &[u8], padded: usize) -> Self {
        if let Bytes::Here { len, bytes } = &mut self.0 {
            let (start, end) = (usize::from(*len), usize::from(*len) + padded);
            if let (Some(place), Ok(end)) = (bytes.get_mut(start..end), u8::try_from(end))
                && let Some(place) = place.get_mut(..more.len())
            {
                place.copy_from_slice(more);
                *len = end;
                return self;
            }
        }
        self.with_elsewhere(more, padded)
    }

    #[cold]
    fn with_elsewhere(self, more: &[u8], padded: usize) -> Self {
        let mut all = Vec::with_capacity(self.len() + padded);
        all.extend_from_slice(self.as_bytes());
        all.extend_from_slice(more);
        all.resize(self.len() + padded, 0);
        Self(Bytes::Elsewhere(all.into_boxed_slice()))
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
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Here { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Bytes::Elsewhere(bytes) => bytes,
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl Default for Value {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Value {}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
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
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_padded_and_values_compared_by_their_bytes_wherever_these_are() {
        let check = |fields: &[&[u8]], expected: &[u8]| {
            let value = fields.iter().fold(Value::new(), |value, field| value.field(field));
            assert_eq!(value.as_bytes(), expected, "{fields:?}");
            assert_eq!(value.len(), expected.len());
            let same = Value::from_bytes(expected);
            assert!(value == same && value.cmp(&same).is_eq() && value.clone() == value, "{fields:?}");
            let hash = std::hash::BuildHasher::hash_one;
            let state = std::hash::RandomState::new();
            assert_eq!(hash(&state, &value), hash(&state, &same), "{fields:?}");
        };
        check(&[], &[]);
        check(&[&[6]], &[6, 0, 0, 0]);
        check(&[&[10, 0, 0, 1], &[6], &[0, 80]], &[10, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0]);
        // Around the length where they no longer fit into the value itself.
        check(&[&[1; 16], &[2; 4]], &[[1; 16].as_slice(), &[2; 4]].concat());
        check(&[&[1; 16], &[2; 5]], &[[1; 16].as_slice(), &[2; 5], &[0; 3]].concat());
        check(&[&[1; 20], &[2], &[3; 4]], &[[1; 20].as_slice(), &[2, 0, 0, 0], &[3; 4]].concat());
        check(&[&[1; 300]], &[1; 300]);
        assert!(Value::from_bytes(&[1; 22]) < Value::from_bytes(&[1; 23]));
        assert!(Value::from_bytes(&[2; 22]) > Value::from_bytes(&[1; 24]));
        assert_eq!(size_of::<Value>(), 24);
    }
}
