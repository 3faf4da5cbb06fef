//! Owners and readers of libnftnl's expressions; what [`handle`](super::handle) is for the objects that hold them.

#![allow(unsafe_code, reason = "libnftnl is a C library; this file is the safe face of its expressions")]

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use nftnl::nftnl_sys as sys;

use super::constants::data;
use super::handle::{Rule, allocated, attr, copied};

/// The expressions that ours are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the kernel's expression of that name")]
pub enum Kind {
    Payload,
    Meta,
    Ct,
    Fib,
    Numgen,
    Cmp,
    Bitwise,
    Byteorder,
    Lookup,
    Immediate,
    Nat,
    Masquerade,
    Reject,
    Dynset,
    Counter,
}

impl Kind {
    /// The kernel's name.
    fn name(self) -> &'static CStr {
        match self {
            Self::Payload => c"payload",
            Self::Meta => c"meta",
            Self::Ct => c"ct",
            Self::Fib => c"fib",
            Self::Numgen => c"numgen",
            Self::Cmp => c"cmp",
            Self::Bitwise => c"bitwise",
            Self::Byteorder => c"byteorder",
            Self::Lookup => c"lookup",
            Self::Immediate => c"immediate",
            Self::Nat => c"nat",
            Self::Masquerade => c"masq",
            Self::Reject => c"reject",
            Self::Dynset => c"dynset",
            Self::Counter => c"counter",
        }
    }

    /// The attribute that holds the name of a set or a chain.
    fn name_attribute(self) -> Option<u32> {
        match self {
            Self::Lookup => Some(sys::NFTNL_EXPR_LOOKUP_SET),
            Self::Immediate => Some(sys::NFTNL_EXPR_IMM_CHAIN),
            Self::Dynset => Some(sys::NFTNL_EXPR_DYNSET_SET_NAME),
            _ => None,
        }
    }
}

/// Owns a `nftnl_expr` that is in no rule yet.
pub struct Expression {
    raw: NonNull<sys::nftnl_expr>,
    kind: Kind,
}

impl Expression {
    /// An expression without attributes.
    pub fn new(kind: Kind) -> Self {
        // SAFETY: the name ends with a NUL; libnftnl knows all kinds, so null means that memory is short.
        Self { raw: allocated(unsafe { sys::nftnl_expr_alloc(kind.name().as_ptr()) }), kind }
    }

    /// Gives the object away; who takes it frees it.
    pub(super) fn into_raw(self) -> NonNull<sys::nftnl_expr> {
        let raw = self.raw;
        std::mem::forget(self);
        raw
    }

    /// Sets an attribute that is a 32-bit number.
    pub fn number(self, attribute: u32, number: u32) -> Self {
        self.bytes(attribute, &number.to_ne_bytes())
    }

    /// Sets an attribute that is a byte.
    pub fn byte(self, attribute: u32, byte: u8) -> Self {
        self.bytes(attribute, &[byte])
    }

    /// Sets an attribute that is a 64-bit number.
    pub fn long(self, attribute: u32, number: u64) -> Self {
        self.bytes(attribute, &number.to_ne_bytes())
    }

    /// Sets an attribute that is a value, of at most 64 bytes.
    pub fn bytes(self, attribute: u32, bytes: &[u8]) -> Self {
        // A dynset takes pointers to expressions from this attribute on.
        if self.kind == Kind::Dynset && attribute >= sys::NFTNL_EXPR_DYNSET_EXPR {
            return self;
        }
        // libnftnl copies as many bytes as the attribute's type has, whatever the length says, and for text until
        // the first NUL. So the source is as long as any type and ends with a NUL.
        let mut buffer = [0_u8; data::MAX_LEN + 8];
        for (place, byte) in buffer.iter_mut().take(data::MAX_LEN).zip(bytes) {
            *place = *byte;
        }
        let len = u32::try_from(bytes.len().min(data::MAX_LEN)).unwrap_or(0);
        // SAFETY: the object is live; the attribute is no pointer, and the buffer is long enough for every type.
        unsafe { sys::nftnl_expr_set(self.raw.as_ptr(), attr(attribute), buffer.as_ptr().cast(), len) };
        self
    }

    /// Names the set or the chain that the expression refers to.
    pub fn name(self, name: &CStr) -> Self {
        if let Some(attribute) = self.kind.name_attribute() {
            // SAFETY: the object is live, the attribute is text for this kind, and the name ends with a NUL.
            copied(unsafe { sys::nftnl_expr_set_str(self.raw.as_ptr(), attr(attribute), name.as_ptr()) });
        }
        self
    }
}

impl Drop for Expression {
    fn drop(&mut self) {
        // SAFETY: the object came from `nftnl_expr_alloc` and is in no rule.
        unsafe { sys::nftnl_expr_free(self.raw.as_ptr()) };
    }
}

/// An expression of a rule that was read.
pub struct ExpressionRef<'a> {
    raw: NonNull<sys::nftnl_expr>,
    rule: PhantomData<&'a Rule>,
}

impl<'a> ExpressionRef<'a> {
    /// An expression of a rule.
    ///
    /// # Safety
    ///
    /// The object must live, and not change, as long as the rule is borrowed.
    pub(super) unsafe fn new(raw: NonNull<sys::nftnl_expr>, rule: &'a Rule) -> Self {
        let _ = rule;
        Self { raw, rule: PhantomData }
    }

    /// The kernel's name of the expression.
    pub fn kind(&self) -> Option<&'a [u8]> {
        self.get(sys::NFTNL_EXPR_NAME)?.split_last().map(|(_, name)| name)
    }

    /// An attribute that is a 32-bit number.
    pub fn number(&self, attribute: u32) -> Option<u32> {
        self.bytes(attribute)?.try_into().ok().map(u32::from_ne_bytes)
    }

    /// An attribute that is a byte.
    pub fn byte(&self, attribute: u32) -> Option<u8> {
        self.bytes(attribute)?.first().copied()
    }

    /// An attribute that is a 64-bit number.
    pub fn long(&self, attribute: u32) -> Option<u64> {
        self.bytes(attribute)?.try_into().ok().map(u64::from_ne_bytes)
    }

    /// An attribute that is text.
    pub fn text(&self, attribute: u32) -> Option<&'a str> {
        self.bytes(attribute).and_then(super::attr::text)
    }

    /// Whether the kernel sent the attribute.
    pub fn has(&self, attribute: u32) -> bool {
        // SAFETY: the object is live as long as its rule.
        unsafe { sys::nftnl_expr_is_set(self.raw.as_ptr(), attr(attribute)) }
    }

    /// An attribute's bytes.
    pub fn bytes(&self, attribute: u32) -> Option<&'a [u8]> {
        if self.has(attribute) { self.get(attribute) } else { None }
    }

    fn get(&self, attribute: u32) -> Option<&'a [u8]> {
        let mut len = 0_u32;
        // SAFETY: the object is live as long as its rule.
        let bytes =
            unsafe { sys::nftnl_expr_get(self.raw.as_ptr(), attr(attribute), ptr::from_mut(&mut len)) };
        let len = usize::try_from(len).ok()?;
        if bytes.is_null() {
            return None;
        }
        // SAFETY: libnftnl points to `len` bytes inside the object, which nothing changes as long as the rule is
        // borrowed.
        Some(unsafe { std::slice::from_raw_parts(bytes.cast(), len) })
    }
}
