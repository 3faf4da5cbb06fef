//! How far each way of doing things is followed: beyond, one run would take minutes and show what smaller ones show.

use svcnat_rules::config::Layout;

use crate::cluster::Size;

/// Whether the peer's shape is loaded: `nft -f` takes ten seconds for 100,000 endpoints, and more than in proportion beyond.
pub fn peer(size: Size) -> bool {
    size.services <= 10_000 && all(size) <= 100_000
}

/// Whether a layout is measured: `chains` at the size of half a million rules has long been given up by `auto`.
pub fn layout(layout: Layout, size: Size) -> bool {
    layout == Layout::Maps || (size.services <= 10_000 && all(size) <= 500_000)
}

/// Whether changes are made by `svcnat apply`, which reads everything each time.
pub fn apply(size: Size) -> bool {
    all(size) <= 100_000
}

/// Whether iptables is given it: its variant nft takes ten seconds for 30,000 endpoints, and more than in proportion beyond.
pub fn iptables(size: Size) -> bool {
    size.services <= 10_000 && all(size) <= 30_000
}

fn all(size: Size) -> usize {
    size.services * size.backends
}
