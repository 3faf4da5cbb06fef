//! What is asked of ctnetlink.

use super::Query;
use super::constants::{IPS_DST_NAT, MSG_DELETE, MSG_GET, SUBSYSTEM, cta, filter, proto, tuple};
use super::entry::Entry;
use crate::netlink::attr::{nest, put, put_u32};
use crate::netlink::constants::nlm;
use crate::netlink::message::{self, family_number};

/// Appends the request for a list, all of the family where the kernel takes no filters.
pub fn list(out: &mut Vec<u8>, sequence: u32, query: Query, filters: bool) {
    let family = family_number(query.family);
    message::put(out, SUBSYSTEM << 8 | MSG_GET, nlm::F_DUMP, sequence, family, 0, |out| {
        if !filters {
            return;
        }
        nest(out, cta::TUPLE_ORIG, |out| {
            nest(out, tuple::PROTO, |out| put(out, proto::NUM, &[query.protocol.number()]));
        });
        // Flags of filters are in the host's byte order, unlike all other numbers of ctnetlink.
        nest(out, cta::FILTER, |out| put(out, filter::ORIG_FLAGS, &filter::PROTO_NUM.to_ne_bytes()));
        if query.translated {
            put_u32(out, cta::STATUS, IPS_DST_NAT);
            put_u32(out, cta::STATUS_MASK, IPS_DST_NAT);
        }
    });
}

/// Appends the request to delete an entry, and no other that has its tuple by then.
pub fn delete(out: &mut Vec<u8>, sequence: u32, entry: &Entry<'_>) {
    let family = family_number(entry.family());
    message::put(out, SUBSYSTEM << 8 | MSG_DELETE, 0, sequence, family, 0, |out| {
        nest(out, cta::TUPLE_ORIG, |out| out.extend_from_slice(entry.original));
        if let Some(zone) = entry.zone {
            put(out, cta::ZONE, zone);
        }
        put(out, cta::ID, entry.id);
    });
}
