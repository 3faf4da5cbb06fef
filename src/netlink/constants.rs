//! Numbers of the netlink interface of nf_tables that neither `libc` nor `nftnl_sys` has, with the kernel's names.
//!
//! From `include/uapi/linux/netfilter/nf_tables.h`, `nfnetlink.h` and `include/uapi/linux/netlink.h`.

/// `NFNL_SUBSYS_NFTABLES`, the upper byte of the type of every nf_tables message.
pub const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN`.
pub const BATCH_BEGIN: u16 = 16;
/// `NFNL_MSG_BATCH_END`.
pub const BATCH_END: u16 = 17;
/// `NFNL_BATCH_GENID`: the generation that a batch is meant for, big-endian.
pub const NFNL_BATCH_GENID: u16 = 1;

/// `enum nf_tables_msg_types`.
pub mod msg {
    pub const NEWTABLE: u16 = 0;
    pub const GETTABLE: u16 = 1;
    pub const DELTABLE: u16 = 2;
    pub const NEWCHAIN: u16 = 3;
    pub const GETCHAIN: u16 = 4;
    pub const DELCHAIN: u16 = 5;
    pub const NEWRULE: u16 = 6;
    pub const GETRULE: u16 = 7;
    pub const DELRULE: u16 = 8;
    pub const NEWSET: u16 = 9;
    pub const GETSET: u16 = 10;
    pub const DELSET: u16 = 11;
    pub const NEWSETELEM: u16 = 12;
    pub const GETSETELEM: u16 = 13;
    pub const DELSETELEM: u16 = 14;
    pub const GETGEN: u16 = 16;
}

/// `nlmsg_type` and `nlmsg_flags` of netlink itself.
pub mod nlm {
    pub const ERROR: u16 = 2;
    /// The lowest type that is not netlink's own.
    pub const MIN_TYPE: u16 = 16;
    pub const F_REQUEST: u16 = 1;
    pub const F_ACK: u16 = 4;
    /// The dump is not of one moment.
    pub const F_DUMP_INTR: u16 = 0x10;
    /// The failed request is not repeated in the error message.
    pub const F_CAPPED: u16 = 0x100;
    /// Attributes follow in the error message.
    pub const F_ACK_TLVS: u16 = 0x200;
    pub const F_DUMP: u16 = 0x300;
    pub const F_REPLACE: u16 = 0x100;
    pub const F_EXCL: u16 = 0x200;
    pub const F_CREATE: u16 = 0x400;
    pub const F_APPEND: u16 = 0x800;
}

/// `enum nlmsgerr_attrs`.
pub mod nlmsgerr {
    pub const MSG: u16 = 1;
    pub const OFFS: u16 = 2;
}

/// `NFTA_GEN_ID`.
pub const NFTA_GEN_ID: u16 = 1;
/// `NFTA_LIST_ELEM`, the attribute that every member of a list is in.
pub const NFTA_LIST_ELEM: u16 = 1;

/// `enum nft_table_attributes`.
pub mod table {
    pub const NAME: u16 = 1;
    pub const FLAGS: u16 = 2;
    pub const OWNER: u16 = 7;
    /// `NFT_TABLE_F_DORMANT`
    pub const DORMANT: u32 = 1;
    /// `NFT_TABLE_F_OWNER`
    pub const FLAG_OWNER: u32 = 2;
    /// `NFT_TABLE_F_PERSIST`
    pub const FLAG_PERSIST: u32 = 4;
}

/// `enum nft_chain_attributes` and `enum nft_hook_attributes`.
pub mod chain {
    pub const TABLE: u16 = 1;
    pub const NAME: u16 = 3;
    pub const HOOK: u16 = 4;
    pub const POLICY: u16 = 5;
    pub const TYPE: u16 = 7;
    pub const FLAGS: u16 = 10;
    pub const HOOK_HOOKNUM: u16 = 1;
    pub const HOOK_PRIORITY: u16 = 2;
    /// `NFT_CHAIN_BASE`, set by the kernel on every base chain.
    pub const FLAG_BASE: u32 = 1;
    /// `NF_ACCEPT`, the policy.
    pub const ACCEPT: u32 = 1;
}

/// `enum nft_rule_attributes` and `enum nft_expr_attributes`.
pub mod rule {
    pub const TABLE: u16 = 1;
    pub const CHAIN: u16 = 2;
    pub const HANDLE: u16 = 3;
    pub const EXPRESSIONS: u16 = 4;
    pub const USERDATA: u16 = 7;
    pub const EXPR_NAME: u16 = 1;
    pub const EXPR_DATA: u16 = 2;
    /// `NFT_RULE_MAXEXPRS`: how many expressions a rule can have.
    pub const MAX_EXPRESSIONS: usize = 128;
}

/// `enum nft_set_attributes`, `enum nft_set_desc_attributes`, `enum nft_set_flags`.
pub mod set {
    pub const TABLE: u16 = 1;
    pub const NAME: u16 = 2;
    pub const FLAGS: u16 = 3;
    pub const KEY_TYPE: u16 = 4;
    pub const KEY_LEN: u16 = 5;
    pub const DATA_TYPE: u16 = 6;
    pub const DATA_LEN: u16 = 7;
    pub const POLICY: u16 = 8;
    pub const DESC: u16 = 9;
    pub const TIMEOUT: u16 = 11;
    pub const GC_INTERVAL: u16 = 12;
    pub const OBJ_TYPE: u16 = 15;
    pub const EXPR: u16 = 17;
    pub const EXPRESSIONS: u16 = 18;
    /// `NFTA_SET_COUNT`, in Linux 6.18: how many elements the set has.
    pub const COUNT: u16 = 20;
    pub const DESC_SIZE: u16 = 1;
    pub const FLAG_INTERVAL: u32 = 0x4;
    pub const FLAG_MAP: u32 = 0x8;
    pub const FLAG_TIMEOUT: u32 = 0x10;
    pub const FLAG_EVAL: u32 = 0x20;
    pub const FLAG_CONCAT: u32 = 0x80;
    /// `NFT_DATA_VERDICT`, the data type of verdict maps.
    pub const VERDICT: u32 = 0xffff_ff00;
}

/// `enum nft_set_elem_list_attributes` and `enum nft_set_elem_attributes`.
pub mod elem {
    pub const LIST_TABLE: u16 = 1;
    pub const LIST_SET: u16 = 2;
    pub const LIST_ELEMENTS: u16 = 3;
    pub const KEY: u16 = 1;
    pub const DATA: u16 = 2;
    pub const FLAGS: u16 = 3;
    pub const TIMEOUT: u16 = 4;
    pub const USERDATA: u16 = 6;
    pub const EXPR: u16 = 7;
    pub const OBJREF: u16 = 9;
    pub const KEY_END: u16 = 10;
    pub const EXPRESSIONS: u16 = 11;
}

/// `enum nft_counter_attributes`.
pub mod counter {
    pub const NAME: &str = "counter";
    pub const PACKETS: u16 = 2;
}

/// `enum nft_data_attributes`, `enum nft_verdict_attributes`, `enum nft_verdicts`.
pub mod data {
    pub const VALUE: u16 = 1;
    pub const VERDICT: u16 = 2;
    pub const VERDICT_CODE: u16 = 1;
    pub const VERDICT_CHAIN: u16 = 2;
    pub const DROP: i32 = 0;
    pub const ACCEPT: i32 = 1;
    pub const JUMP: i32 = -3;
    pub const GOTO: i32 = -4;
    pub const RETURN: i32 = -5;
    /// `NFT_DATA_VALUE_MAXLEN`: the longest value.
    pub const MAX_LEN: usize = 64;
}

/// Numbers inside expressions.
pub mod expr {
    /// `NFT_REG_VERDICT`.
    pub const REG_VERDICT: u32 = 0;
    /// `NFT_PAYLOAD_NETWORK_HEADER`.
    pub const PAYLOAD_NETWORK: u32 = 1;
    /// `NFT_PAYLOAD_TRANSPORT_HEADER`.
    pub const PAYLOAD_TRANSPORT: u32 = 2;
    /// `NFT_META_MARK`.
    pub const META_MARK: u32 = 3;
    /// `NFT_META_IIFNAME`.
    pub const META_IIFNAME: u32 = 6;
    /// `NFT_META_L4PROTO`.
    pub const META_L4PROTO: u32 = 16;
    /// `NFT_CT_STATE`.
    pub const CT_STATE: u32 = 0;
    /// `NFT_CT_STATUS`.
    pub const CT_STATUS: u32 = 2;
    /// `NFT_CT_PROTO_DST`.
    pub const CT_PROTO_DST: u32 = 12;
    /// `NFT_CT_SRC_IP`.
    pub const CT_SRC_IP: u32 = 19;
    /// `NFT_CT_DST_IP`.
    pub const CT_DST_IP: u32 = 20;
    /// `NFT_CT_SRC_IP6`.
    pub const CT_SRC_IP6: u32 = 21;
    /// `NFT_CT_DST_IP6`.
    pub const CT_DST_IP6: u32 = 22;
    /// `IP_CT_DIR_ORIGINAL`.
    pub const CT_DIR_ORIGINAL: u8 = 0;
    /// `NFT_FIB_RESULT_ADDRTYPE`.
    pub const FIB_RESULT_ADDRTYPE: u32 = 3;
    /// `NFTA_FIB_F_SADDR`.
    pub const FIB_SADDR: u32 = 1;
    /// `NFTA_FIB_F_DADDR`.
    pub const FIB_DADDR: u32 = 2;
    /// `NFT_NG_RANDOM`.
    pub const NG_RANDOM: u32 = 1;
    /// `NFT_CMP_EQ`.
    pub const CMP_EQ: u32 = 0;
    /// `NFT_CMP_NEQ`.
    pub const CMP_NEQ: u32 = 1;
    /// `NFT_BITWISE_MASK_XOR`.
    pub const BITWISE_MASK_XOR: u32 = 0;
    /// `NFT_BYTEORDER_HTON`.
    pub const BYTEORDER_HTON: u32 = 1;
    /// `NFT_LOOKUP_F_INV`.
    pub const LOOKUP_INVERT: u32 = 1;
    /// `NFT_NAT_DNAT`.
    pub const NAT_DNAT: u32 = 1;
    /// `NF_NAT_RANGE_MAP_IPS`, which the kernel adds where there is an address.
    pub const NAT_MAP_IPS: u32 = 1;
    /// `NF_NAT_RANGE_PROTO_SPECIFIED`, which the kernel adds where there is a port.
    pub const NAT_PROTO_SPECIFIED: u32 = 2;
    /// `NF_NAT_RANGE_PROTO_RANDOM_FULLY`.
    pub const NAT_FULLY_RANDOM: u32 = 0x10;
    /// `NFT_REJECT_ICMP_UNREACH`.
    pub const REJECT_ICMP: u32 = 0;
    /// `NFT_REJECT_TCP_RST`.
    pub const REJECT_TCP_RESET: u32 = 1;
    /// `ICMP_PORT_UNREACH`.
    pub const ICMP_PORT_UNREACHABLE: u8 = 3;
    /// `ICMPV6_PORT_UNREACH`.
    pub const ICMP6_PORT_UNREACHABLE: u8 = 4;
    /// `NFT_DYNSET_OP_UPDATE`.
    pub const DYNSET_UPDATE: u32 = 1;
}

/// What nft keeps in the userdata of objects: `enum nftnl_udata_*` of `libnftnl/udata.h`, and the numbers that nft
/// 1.0.6 writes inside (`enum expr_types`, `enum proto_desc_id`, `enum byteorder` of nftables).
pub mod udata {
    /// The comment, on tables, rules and elements alike.
    pub const COMMENT: u8 = 0;
    pub const SET_KEY_BYTE_ORDER: u8 = 0;
    pub const SET_DATA_BYTE_ORDER: u8 = 1;
    pub const SET_KEY_TYPEOF: u8 = 3;
    pub const SET_DATA_TYPEOF: u8 = 4;
    pub const SET_DATA_INTERVAL: u8 = 6;
    pub const TYPEOF_EXPR: u8 = 0;
    pub const TYPEOF_DATA: u8 = 1;
    pub const PAYLOAD_PROTOCOL: u8 = 0;
    pub const PAYLOAD_FIELD: u8 = 1;
    pub const META_KEY: u8 = 0;
    pub const NUMGEN_TYPE: u8 = 0;
    pub const NUMGEN_MODULUS: u8 = 1;
    pub const NUMGEN_OFFSET: u8 = 2;
    pub const EXPR_PAYLOAD: u32 = 7;
    pub const EXPR_META: u32 = 9;
    pub const EXPR_CONCAT: u32 = 13;
    pub const EXPR_NUMGEN: u32 = 23;
    /// The protocol of `tcp dport`, and the field's number there.
    pub const TCP_DPORT: (u32, u32) = (8, 2);
    pub const IP_SADDR: (u32, u32) = (12, 11);
    pub const IP_DADDR: (u32, u32) = (12, 12);
    pub const IP6_SADDR: (u32, u32) = (13, 8);
    pub const IP6_DADDR: (u32, u32) = (13, 9);
    /// `BYTEORDER_INVALID`: a concatenation, a verdict.
    pub const NO_BYTE_ORDER: u32 = 0;
    /// `BYTEORDER_HOST_ENDIAN`.
    pub const HOST_ENDIAN: u32 = 1;
    /// `BYTEORDER_BIG_ENDIAN`.
    pub const BIG_ENDIAN: u32 = 2;
}
