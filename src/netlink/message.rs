//! Netlink messages: `struct nlmsghdr` and `struct nfgenmsg` in front of attributes.

use svcnat_rules::net::Family;

use super::attr;
use super::constants::{SUBSYSTEM, nlm, nlmsgerr};

/// The length of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// The length of both headers, where the attributes begin.
pub const BODY: usize = HEADER + 4;

/// The kernel's number of a family (`NFPROTO_IPV4`, `NFPROTO_IPV6`).
#[must_use]
pub fn family_number(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
    }
}

/// The family with a kernel number.
#[must_use]
pub fn family_from_number(number: u8) -> Option<Family> {
    Family::ALL.into_iter().find(|family| family_number(*family) == number)
}

/// The `nlmsg_type` of an nf_tables message.
#[must_use]
pub fn nft_type(kind: u16) -> u16 {
    SUBSYSTEM << 8 | kind
}

/// Appends a message with the attributes that `content` appends. `family` is the kernel's number, 0 for none;
/// `resource` is the `res_id`, which only the messages around a batch use.
pub fn put(
    out: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: u8,
    resource: u16,
    content: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&(flags | nlm::F_REQUEST).to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[family, 0]);
    out.extend_from_slice(&resource.to_be_bytes());
    content(out);
    let len = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&len.to_ne_bytes());
    }
}

/// A message that was read.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// The whole message with its header.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the message at the head of a buffer; `None` where none is there in full.
    #[must_use]
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let len = usize::try_from(word(0)?).ok()?;
        if len < HEADER {
            return None;
        }
        Some(Self { kind: half(4)?, flags: half(6)?, sequence: word(8)?, bytes: bytes.get(..len)? })
    }

    /// What follows the netlink header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// The attributes of an nf_tables message.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(BODY..).unwrap_or_default()
    }

    /// `nlmsg_pid`: in a notification, the number of the socket that asked for the change.
    #[must_use]
    pub fn sender(&self) -> u32 {
        self.bytes.get(12..16).and_then(|word| word.try_into().ok()).map_or(0, u32::from_ne_bytes)
    }

    /// The number of an nf_tables message's family, whichever it is.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.bytes.get(HEADER).copied().unwrap_or(0)
    }

    /// The family of an nf_tables message, if it is one of ours.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        self.payload().first().and_then(|number| family_from_number(*number))
    }

    /// The type of an nf_tables message.
    #[must_use]
    pub fn nft_kind(&self) -> Option<u16> {
        (self.kind >> 8 == SUBSYSTEM).then_some(self.kind & 0xff)
    }
}

/// The messages in a buffer, up to the first that is cut off or malformed.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let message = Message::first(self.0)?;
        self.0 = self.0.get(message.bytes.len().next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

/// What an `NLMSG_ERROR` message says. An error number of zero is an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The error number, positive.
    pub errno: i32,
    /// Where in the request the attribute at fault begins (`NLMSGERR_ATTR_OFFS`).
    pub offset: Option<u32>,
    /// The kernel's own words (`NLMSGERR_ATTR_MSG`).
    pub text: Option<String>,
}

impl Reply {
    /// Reads an `NLMSG_ERROR` or `NLMSG_DONE` message; `None` where it is too short to be one.
    #[must_use]
    pub fn read(message: &Message<'_>) -> Option<Self> {
        let payload = message.payload();
        let errno = i32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
        let mut reply = Self { errno: errno.checked_neg()?, ..Self::default() };
        if message.kind == nlm::ERROR && message.flags & nlm::F_ACK_TLVS != 0 {
            let request = payload.get(4..).unwrap_or_default();
            let repeated = match Message::first_header_len(request) {
                Some(len) if message.flags & nlm::F_CAPPED == 0 => len.next_multiple_of(4),
                _ => HEADER,
            };
            let attributes = request.get(repeated..).unwrap_or_default();
            reply.text = attr::find_str(attributes, nlmsgerr::MSG).map(str::to_owned);
            // This number is in the host's byte order, unlike those of nf_tables.
            reply.offset = attr::find(attributes, nlmsgerr::OFFS)
                .and_then(|data| data.try_into().ok())
                .map(u32::from_ne_bytes);
        }
        Some(reply)
    }
}

impl Message<'_> {
    fn first_header_len(bytes: &[u8]) -> Option<usize> {
        usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::element::Names;

    #[test]
    fn random_bytes_are_read_without_a_panic() {
        // A small linear congruential generator: the test needs variety, not quality.
        let mut state = 0x1234_5678_9abc_def0_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        let mut seen = 0;
        for round in 0..20_000 {
            let mut bytes: Vec<u8> = (0..round % 120).map(|_| next()).collect();
            // Small lengths, or hardly any message would be whole.
            for (at, byte) in bytes.iter_mut().enumerate() {
                if matches!(at, 1..4 | 21 | 25) {
                    *byte = 0;
                }
            }
            for message in Messages(&bytes) {
                seen += 1;
                let _ = Reply::read(&message);
                for attribute in attr::attrs(message.body()) {
                    let _ = attr::find_str(attribute.data, 1);
                    let _ = attr::find_u64(attribute.data, 2);
                }
                let _ = crate::netlink::label::describe(&message, Some(24), &[]);
                let _ = crate::netlink::element::read_elements(&message, &mut Names::default(), true).count();
                let _ = crate::netlink::decode::set(message.body());
                let _ = crate::netlink::decode::chain(message.body());
                let _ = crate::netlink::decode::rule(&message);
            }
        }
        assert!(seen > 1000, "the generator makes hardly any whole message: {seen}");
    }
}
