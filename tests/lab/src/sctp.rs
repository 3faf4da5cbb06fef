//! As much SCTP as it takes to see where a packet goes: INIT and INIT ACK (RFC 9260, section 3.3.2 and on), over raw
//! sockets, so that tests of SCTP need no SCTP in the kernel. For conntrack this is the begin of an association.

/// Chunk types of RFC 9260, section 3.2.
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;

/// Common header (12 bytes), chunk header (4), fixed part of INIT and INIT ACK (16).
const COMMON_HEADER: usize = 12;
const INIT_END: usize = 32;
/// The parameter "State Cookie" of INIT ACK, which a server may fill with what it likes: here, the lab's answer.
const STATE_COOKIE: u16 = 7;

/// A packet that a test can meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) chunk: Chunk,
}

/// The first chunk of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// A client wants an association; the server has to repeat the tag.
    Init { tag: u32 },
    /// A server agrees.
    InitAck { client_tag: u32, cookie: Vec<u8> },
    /// A server refuses.
    Abort,
}

impl Packet {
    /// The bytes behind the IP header.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (verification_tag, kind, tag, cookie): (u32, u8, u32, &[u8]) = match &self.chunk {
            Chunk::Init { tag } => (0, INIT, *tag, &[]),
            Chunk::InitAck { client_tag, cookie } => (*client_tag, INIT_ACK, !*client_tag, cookie),
            Chunk::Abort => (0, ABORT, 0, &[]),
        };
        let mut body = Vec::new();
        if kind != ABORT {
            body.extend(tag.to_be_bytes());
            body.extend(65_536_u32.to_be_bytes()); // receiver window
            body.extend([0, 1, 0, 1]); // one stream each way
            body.extend(1_u32.to_be_bytes()); // first TSN
        }
        if !cookie.is_empty() {
            body.extend(STATE_COOKIE.to_be_bytes());
            body.extend(length(4 + cookie.len()));
            body.extend(cookie);
        }
        let mut packet = Vec::new();
        packet.extend(self.source.to_be_bytes());
        packet.extend(self.destination.to_be_bytes());
        packet.extend(verification_tag.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend([kind, 0]);
        packet.extend(length(4 + body.len()));
        packet.extend(body);
        packet.resize(packet.len().next_multiple_of(4), 0);
        let checksum = crc32c(&packet);
        if let Some(field) = packet.get_mut(8..COMMON_HEADER) {
            field.copy_from_slice(&checksum.to_le_bytes());
        }
        packet
    }

    /// Reads a packet; nothing if it is none of those above.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let chunk = match *bytes.get(COMMON_HEADER)? {
            INIT => Chunk::Init { tag: u32::from_be_bytes(array(bytes, 16)?) },
            INIT_ACK => {
                let cookie_length = usize::from(u16::from_be_bytes(array(bytes, INIT_END + 2)?));
                let cookie = bytes.get(INIT_END + 4..INIT_END + cookie_length)?.to_vec();
                Chunk::InitAck { client_tag: u32::from_be_bytes(array(bytes, 4)?), cookie }
            }
            ABORT => Chunk::Abort,
            _ => return None,
        };
        Some(Self {
            source: u16::from_be_bytes(array(bytes, 0)?),
            destination: u16::from_be_bytes(array(bytes, 2)?),
            chunk,
        })
    }
}

/// Reads what a raw socket received: with the IP header for IPv4, without it for IPv6 (raw(7)).
pub(crate) fn from_raw(bytes: &[u8], ipv4: bool) -> Option<Packet> {
    let header = if ipv4 { usize::from(bytes.first()? & 0x0f) * 4 } else { 0 };
    Packet::decode(bytes.get(header..)?)
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The checksum of RFC 9260, appendix A (Castagnoli polynomial, reflected).
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The check value of CRC-32C, and the examples of RFC 3720, appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn what_is_encoded_can_be_read() {
        for chunk in [
            Chunk::Init { tag: 7 },
            Chunk::InitAck { client_tag: 7, cookie: b"web-a 192.168.1.10:4242\n".to_vec() },
            Chunk::InitAck { client_tag: 9, cookie: b"x".to_vec() },
            Chunk::Abort,
        ] {
            let packet = Packet { source: 4242, destination: 9, chunk };
            assert_eq!(Packet::decode(&packet.encode()), Some(packet));
        }
    }

    #[test]
    fn short_packets_are_passed_over() {
        let packet = Packet {
            source: 1,
            destination: 2,
            chunk: Chunk::InitAck { client_tag: 3, cookie: b"12345678".to_vec() },
        };
        let bytes = packet.encode();
        for end in 0..bytes.len() {
            assert_eq!(Packet::decode(&bytes[..end]), None, "{end} bytes");
        }
    }
}
