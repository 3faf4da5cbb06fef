//! Owners of libnftnl's objects: tables, chains, sets and rules, behind functions that cannot be used
//! wrongly.
//!
//! libnftnl copies what it is given and keeps no pointer of ours, so an object's only obligation is to be freed once.

#![allow(unsafe_code, reason = "libnftnl is a C library; this file is its safe face")]

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;

use nftnl::{MsgType, NlMsg, nftnl_sys as sys};
use svcnat_rules::net::Family;

use super::constants::msg;
use super::expression::{Expression, ExpressionRef, Kind};
use super::message::{self, family_number};

/// An attribute's number as the functions take it; the constants are wider than their use.
pub(super) const fn attr(number: u32) -> u16 {
    (number & 0xffff) as u16
}

/// libnftnl returns null and -1 for nothing but a failed allocation here, and then there is no way on.
fn out_of_memory() -> ! {
    handle_alloc_error(Layout::new::<[usize; 8]>())
}

pub(super) fn allocated<T>(pointer: *mut T) -> NonNull<T> {
    NonNull::new(pointer).unwrap_or_else(|| out_of_memory())
}

pub(super) fn copied(result: c_int) {
    if result < 0 {
        out_of_memory();
    }
}

/// An object together with the flags of the message that adds or deletes it.
pub struct Request<'a, T> {
    /// The object.
    pub object: &'a T,
    /// `nlmsg_flags`.
    pub flags: u16,
}

/// The owner of one kind of object, and how it becomes a message.
macro_rules! object {
    ($name:ident, $raw:ident, $alloc:ident, $free:ident, $build:ident, $new:ident, $delete:ident) => {
        #[doc = concat!("Owns a `", stringify!($raw), "`.")]
        pub struct $name {
            raw: NonNull<sys::$raw>,
            family: Family,
        }

        impl $name {
            fn alloc(family: Family) -> Self {
                // SAFETY: the function has no precondition; null is handled.
                Self { raw: allocated(unsafe { sys::$alloc() }), family }
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the object came from the function that allocates it and is freed nowhere else.
                unsafe { sys::$free(self.raw.as_ptr()) };
            }
        }

        // SAFETY: what the constructors let into an object is bounded: names have at most 255 bytes (`CString`s that
        // the encoder checked), userdata at most 64 KiB less a page because it goes into one attribute, and rules
        // have at most `MAX_EXPRESSIONS` expressions of less than 400 bytes each.
        unsafe impl NlMsg for Request<'_, $name> {
            unsafe fn write(&self, buffer: *mut c_void, sequence: u32, operation: MsgType) {
                let kind = match operation {
                    MsgType::Add => msg::$new,
                    MsgType::Del => msg::$delete,
                };
                let family = u16::from(family_number(self.object.family));
                // SAFETY: the caller gives a buffer that takes the largest message.
                unsafe {
                    let header = sys::nftnl_nlmsg_build_hdr(
                        buffer.cast::<c_char>(),
                        kind,
                        family,
                        self.flags,
                        sequence,
                    );
                    sys::$build(header, self.object.raw.as_ptr());
                }
            }
        }
    };
}

object!(
    Table,
    nftnl_table,
    nftnl_table_alloc,
    nftnl_table_free,
    nftnl_table_nlmsg_build_payload,
    NEWTABLE,
    DELTABLE
);
object!(
    Chain,
    nftnl_chain,
    nftnl_chain_alloc,
    nftnl_chain_free,
    nftnl_chain_nlmsg_build_payload,
    NEWCHAIN,
    DELCHAIN
);
object!(Set, nftnl_set, nftnl_set_alloc, nftnl_set_free, nftnl_set_nlmsg_build_payload, NEWSET, DELSET);
object!(
    Rule,
    nftnl_rule,
    nftnl_rule_alloc,
    nftnl_rule_free,
    nftnl_rule_nlmsg_build_payload,
    NEWRULE,
    DELRULE
);

/// Userdata is at most as long as the kernel takes it (`NFT_USERDATA_MAXLEN`).
fn userdata_bounds(userdata: &[u8]) -> (*const c_void, u32) {
    let bounded = userdata.get(..256).unwrap_or(userdata);
    (bounded.as_ptr().cast(), u32::try_from(bounded.len()).unwrap_or(0))
}

impl Table {
    /// A table.
    pub fn new(family: Family, name: &CStr) -> Self {
        let table = Self::alloc(family);
        // SAFETY: the object is live and the name ends with a NUL; it is copied.
        copied(unsafe {
            sys::nftnl_table_set_str(table.raw.as_ptr(), attr(sys::NFTNL_TABLE_NAME), name.as_ptr())
        });
        table
    }

    /// Sets `NFTA_TABLE_FLAGS` and attaches userdata.
    pub fn with(self, flags: u32, userdata: &[u8]) -> Self {
        let (data, len) = userdata_bounds(userdata);
        // SAFETY: the object is live; `data` is valid for `len` bytes, which are copied.
        unsafe {
            sys::nftnl_table_set_u32(self.raw.as_ptr(), attr(sys::NFTNL_TABLE_FLAGS), flags);
            copied(sys::nftnl_table_set_data(self.raw.as_ptr(), attr(sys::NFTNL_TABLE_USERDATA), data, len));
        }
        self
    }
}

impl Chain {
    /// A regular chain.
    pub fn new(family: Family, table: &CStr, name: &CStr) -> Self {
        let chain = Self::alloc(family);
        // SAFETY: the object is live and the names end with a NUL; they are copied.
        unsafe {
            copied(sys::nftnl_chain_set_str(
                chain.raw.as_ptr(),
                attr(sys::NFTNL_CHAIN_TABLE),
                table.as_ptr(),
            ));
            copied(sys::nftnl_chain_set_str(chain.raw.as_ptr(), attr(sys::NFTNL_CHAIN_NAME), name.as_ptr()));
        }
        chain
    }

    /// Makes it a base chain.
    pub fn with_hook(self, kind: &CStr, hook: u32, priority: i32, policy: u32) -> Self {
        let raw = self.raw.as_ptr();
        // SAFETY: the object is live and the type ends with a NUL; it is copied.
        unsafe {
            copied(sys::nftnl_chain_set_str(raw, attr(sys::NFTNL_CHAIN_TYPE), kind.as_ptr()));
            sys::nftnl_chain_set_u32(raw, attr(sys::NFTNL_CHAIN_HOOKNUM), hook);
            sys::nftnl_chain_set_s32(raw, attr(sys::NFTNL_CHAIN_PRIO), priority);
            sys::nftnl_chain_set_u32(raw, attr(sys::NFTNL_CHAIN_POLICY), policy);
        }
        self
    }
}

/// A number of a set's declaration.
#[derive(Debug, Clone, Copy)]
pub enum SetNumber {
    /// `NFTA_SET_FLAGS`
    Flags,
    /// `NFTA_SET_KEY_TYPE`
    KeyType,
    /// `NFTA_SET_KEY_LEN`
    KeyLen,
    /// `NFTA_SET_DATA_TYPE`
    DataType,
    /// `NFTA_SET_DATA_LEN`
    DataLen,
    /// `NFTA_SET_ID`
    Id,
    /// `NFTA_SET_DESC_SIZE`
    Size,
}

impl Set {
    /// A set, so far without a declaration.
    pub fn new(family: Family, table: &CStr, name: &CStr) -> Self {
        let set = Self::alloc(family);
        // SAFETY: the object is live and the names end with a NUL; they are copied.
        unsafe {
            copied(sys::nftnl_set_set_str(set.raw.as_ptr(), attr(sys::NFTNL_SET_TABLE), table.as_ptr()));
            copied(sys::nftnl_set_set_str(set.raw.as_ptr(), attr(sys::NFTNL_SET_NAME), name.as_ptr()));
        }
        set
    }

    /// Sets a number of the declaration.
    pub fn number(self, which: SetNumber, value: u32) -> Self {
        let attribute = match which {
            SetNumber::Flags => sys::NFTNL_SET_FLAGS,
            SetNumber::KeyType => sys::NFTNL_SET_KEY_TYPE,
            SetNumber::KeyLen => sys::NFTNL_SET_KEY_LEN,
            SetNumber::DataType => sys::NFTNL_SET_DATA_TYPE,
            SetNumber::DataLen => sys::NFTNL_SET_DATA_LEN,
            SetNumber::Id => sys::NFTNL_SET_ID,
            SetNumber::Size => sys::NFTNL_SET_DESC_SIZE,
        };
        // SAFETY: the object is live and all these attributes are 32-bit numbers.
        unsafe { sys::nftnl_set_set_u32(self.raw.as_ptr(), attr(attribute), value) };
        self
    }

    /// Says how many bytes each field of the key has, which sets of concatenated ranges need.
    pub fn with_field_lengths(self, lengths: &[u8]) -> Self {
        // libnftnl counts the fields up to the first zero in an array of 16.
        let mut array = [0_u8; 16];
        for (place, length) in array.iter_mut().take(15).zip(lengths) {
            *place = *length;
        }
        // SAFETY: the object is live; libnftnl copies the 16 bytes, the last of which is zero.
        copied(unsafe {
            sys::nftnl_set_set_data(
                self.raw.as_ptr(),
                attr(sys::NFTNL_SET_DESC_CONCAT),
                array.as_ptr().cast(),
                16,
            )
        });
        self
    }

    /// Gives each element a counter, as one expression of the set, which is how nft sends a lone one.
    pub fn with_counter(self) -> Self {
        let counter = Expression::new(Kind::Counter).into_raw();
        // SAFETY: both objects are live; the counter belongs to nothing else, and the set frees it. Of an expression no length
        // is asked.
        copied(unsafe {
            sys::nftnl_set_set_data(
                self.raw.as_ptr(),
                attr(sys::NFTNL_SET_EXPR),
                counter.as_ptr().cast_const().cast(),
                0,
            )
        });
        self
    }

    /// Attaches userdata.
    pub fn with_userdata(self, userdata: &[u8]) -> Self {
        let (data, len) = userdata_bounds(userdata);
        // SAFETY: the object is live; `data` is valid for `len` bytes, which are copied.
        copied(unsafe {
            sys::nftnl_set_set_data(self.raw.as_ptr(), attr(sys::NFTNL_SET_USERDATA), data, len)
        });
        self
    }
}

impl Rule {
    /// A rule without expressions.
    pub fn new(family: Family, table: &CStr, chain: &CStr) -> Self {
        let rule = Self::alloc(family);
        // SAFETY: the object is live and the names end with a NUL; they are copied.
        unsafe {
            copied(sys::nftnl_rule_set_str(rule.raw.as_ptr(), attr(sys::NFTNL_RULE_TABLE), table.as_ptr()));
            copied(sys::nftnl_rule_set_str(rule.raw.as_ptr(), attr(sys::NFTNL_RULE_CHAIN), chain.as_ptr()));
        }
        rule
    }

    /// Names the existing rule that is meant.
    pub fn with_handle(self, handle: u64) -> Self {
        // SAFETY: the object is live and the attribute is a 64-bit number.
        unsafe { sys::nftnl_rule_set_u64(self.raw.as_ptr(), attr(sys::NFTNL_RULE_HANDLE), handle) };
        self
    }

    /// Names the existing rule that this one stands next to.
    pub fn with_position(self, handle: u64) -> Self {
        // SAFETY: the object is live and the attribute is a 64-bit number.
        unsafe { sys::nftnl_rule_set_u64(self.raw.as_ptr(), attr(sys::NFTNL_RULE_POSITION), handle) };
        self
    }

    /// Attaches userdata.
    pub fn with_userdata(self, userdata: &[u8]) -> Self {
        let (data, len) = userdata_bounds(userdata);
        // SAFETY: the object is live; `data` is valid for `len` bytes, which are copied.
        copied(unsafe {
            sys::nftnl_rule_set_data(self.raw.as_ptr(), attr(sys::NFTNL_RULE_USERDATA), data, len)
        });
        self
    }

    /// Appends an expression.
    pub fn push(&mut self, expression: Expression) {
        let raw = expression.into_raw().as_ptr();
        // SAFETY: both objects are live; the expression belongs to no other rule, and this one frees it.
        unsafe { sys::nftnl_rule_add_expr(self.raw.as_ptr(), raw) };
    }

    /// Reads a rule's message, headers included; `None` where libnftnl does not understand it, as when it does not
    /// know an expression.
    pub fn parse(family: Family, bytes: &[u8]) -> Option<Self> {
        if bytes.len() < message::BODY {
            return None;
        }
        // An aligned copy whose header has the true length, so that libnftnl reads nothing behind it; a zero at its
        // end stops the reading of text that has no NUL of its own.
        let mut words: Vec<u32> = bytes.chunks(4).map(word).chain([0]).collect();
        *words.first_mut()? = u32::try_from(bytes.len()).ok()?;
        let rule = Self::alloc(family);
        // SAFETY: the copy begins with a whole, aligned message header whose length says how many bytes follow;
        // libnftnl checks the lengths of all attributes against it, and copies what it keeps.
        let result = unsafe { sys::nftnl_rule_nlmsg_parse(words.as_ptr().cast(), rule.raw.as_ptr()) };
        (result >= 0).then_some(rule)
    }

    /// The expressions in order.
    pub fn expressions(&self) -> Vec<ExpressionRef<'_>> {
        let mut found = Vec::new();
        // SAFETY: the rule outlives the iterator, which is destroyed at once; nothing changes the rule as long as
        // the references live, because they borrow it.
        unsafe {
            let iterator = allocated(sys::nftnl_expr_iter_create(self.raw.as_ptr()));
            while let Some(raw) = NonNull::new(sys::nftnl_expr_iter_next(iterator.as_ptr())) {
                found.push(ExpressionRef::new(raw, self));
            }
            sys::nftnl_expr_iter_destroy(iterator.as_ptr());
        }
        found
    }
}

fn word(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    for (place, byte) in word.iter_mut().zip(bytes) {
        *place = *byte;
    }
    u32::from_ne_bytes(word)
}
