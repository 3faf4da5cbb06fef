//! Numbers of ctnetlink with the kernel's names, from `include/uapi/linux/netfilter/nfnetlink_conntrack.h` and
//! `nf_conntrack_common.h`.

/// `NFNL_SUBSYS_CTNETLINK`, the upper byte of the type of every message.
pub const SUBSYSTEM: u16 = 1;
/// `IPCTNL_MSG_CT_NEW`, also what every entry of a list is.
pub const MSG_NEW: u16 = 0;
/// `IPCTNL_MSG_CT_GET`.
pub const MSG_GET: u16 = 1;
/// `IPCTNL_MSG_CT_DELETE`.
pub const MSG_DELETE: u16 = 2;
/// `IPS_DST_NAT`: the destination was translated.
pub const IPS_DST_NAT: u32 = 1 << 5;

/// `enum ctattr_type`.
pub mod cta {
    pub const TUPLE_ORIG: u16 = 1;
    pub const TUPLE_REPLY: u16 = 2;
    pub const STATUS: u16 = 3;
    pub const ID: u16 = 12;
    pub const ZONE: u16 = 18;
    pub const FILTER: u16 = 25;
    pub const STATUS_MASK: u16 = 26;
}

/// `enum ctattr_tuple`.
pub mod tuple {
    pub const IP: u16 = 1;
    pub const PROTO: u16 = 2;
}

/// `enum ctattr_ip`.
pub mod ip {
    pub const V4_SRC: u16 = 1;
    pub const V4_DST: u16 = 2;
    pub const V6_SRC: u16 = 3;
    pub const V6_DST: u16 = 4;
}

/// `enum ctattr_l4proto`.
pub mod proto {
    pub const NUM: u16 = 1;
    pub const SRC_PORT: u16 = 2;
    pub const DST_PORT: u16 = 3;
}

/// `enum ctattr_filter`.
pub mod filter {
    pub const ORIG_FLAGS: u16 = 1;
    /// `CTA_FILTER_FLAG(CTA_PROTO_NUM)` of `net/netfilter/nf_internals.h`: the protocol of the original tuple counts.
    pub const PROTO_NUM: u32 = 1 << 3;
}
