//! Netlink attributes (`struct nlattr`) in byte buffers: writing, and reading without trust.
//!
//! Set elements are the bulk of every large batch and dump; written here they cost a copy of their bytes and nothing
//! else. An attribute is a length that counts its own four bytes of header, a type, and data padded to four bytes;
//! both numbers are in the host's byte order, numbers inside nf_tables attributes are big-endian.

/// `NLA_F_NESTED`, set on attributes that hold attributes.
const NESTED: u16 = 1 << 15;
/// The bits of `nla_type` that are the type.
const TYPE_MASK: u16 = !(3 << 14);
/// `NLA_HDRLEN`.
pub const HEADER: usize = 4;

/// Appends an attribute. What is longer than an attribute can be is the caller's mistake; the length then stays at
/// its maximum and the kernel refuses the message.
pub fn put(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
    let start = begin(out, kind);
    out.extend_from_slice(data);
    end(out, start);
}

/// Appends a big-endian number.
pub fn put_u32(out: &mut Vec<u8>, kind: u16, number: u32) {
    put(out, kind, &number.to_be_bytes());
}

/// Appends text with its closing NUL.
pub fn put_str(out: &mut Vec<u8>, kind: u16, text: &str) {
    let start = begin(out, kind);
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    end(out, start);
}

/// Appends an attribute that holds what `content` appends.
pub fn nest(out: &mut Vec<u8>, kind: u16, content: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, kind | NESTED);
    content(out);
    end(out, start);
}

/// Begins an attribute whose length is not known yet; [`end`] takes what this returns.
fn begin(out: &mut Vec<u8>, kind: u16) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&kind.to_ne_bytes());
    start
}

fn end(out: &mut Vec<u8>, start: usize) {
    let len = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(start..start + 2) {
        place.copy_from_slice(&len.to_ne_bytes());
    }
    out.resize(out.len().next_multiple_of(4), 0);
}

/// An attribute that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its type without flags.
    pub kind: u16,
    /// Where its header begins in the buffer.
    pub offset: usize,
    /// Its data without padding.
    pub data: &'a [u8],
}

/// The attributes in a buffer, in order, up to the first that is cut off or malformed.
#[derive(Debug, Clone)]
pub struct Attrs<'a> {
    bytes: &'a [u8],
    offset: usize,
}

/// Reads the attributes in a buffer.
#[must_use]
pub fn attrs(bytes: &[u8]) -> Attrs<'_> {
    Attrs { bytes, offset: 0 }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let offset = self.offset;
        let rest = self.bytes.get(offset..)?;
        let (header, _) = rest.split_at_checked(HEADER)?;
        let &[len0, len1, kind0, kind1] = header else { return None };
        let len = usize::from(u16::from_ne_bytes([len0, len1]));
        let data = rest.get(HEADER..len)?;
        self.offset = offset + len.next_multiple_of(4);
        Some(Attr { kind: u16::from_ne_bytes([kind0, kind1]) & TYPE_MASK, offset, data })
    }
}

/// The data of the first attribute of a type.
#[must_use]
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attrs(bytes).find(|attr| attr.kind == kind).map(|attr| attr.data)
}

/// A big-endian number that is the whole data of the first attribute of a type.
#[must_use]
pub fn find_u32(bytes: &[u8], kind: u16) -> Option<u32> {
    find(bytes, kind)?.try_into().ok().map(u32::from_be_bytes)
}

/// The same for eight bytes.
#[must_use]
pub fn find_u64(bytes: &[u8], kind: u16) -> Option<u64> {
    find(bytes, kind)?.try_into().ok().map(u64::from_be_bytes)
}

/// Text, up to its closing NUL, in the first attribute of a type; `None` where it is not UTF-8.
#[must_use]
pub fn find_str(bytes: &[u8], kind: u16) -> Option<&str> {
    text(find(bytes, kind)?)
}

/// Bytes up to the first NUL as text.
#[must_use]
pub fn text(data: &[u8]) -> Option<&str> {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    std::str::from_utf8(data.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        put_u32(&mut out, 3, 0x0102_0304);
        put_str(&mut out, 5, "abc");
        nest(&mut out, 7, |out| {
            put(out, 1, &[9]);
            put_str(out, 2, "");
        });
        assert_eq!(out.len() % 4, 0);
        assert_eq!(find_u32(&out, 3), Some(0x0102_0304));
        assert_eq!(find_str(&out, 5), Some("abc"));
        let nested = find(&out, 7).unwrap();
        assert_eq!(find(nested, 1), Some(&[9][..]));
        assert_eq!(find_str(nested, 2), Some(""));
        assert_eq!(attrs(&out).map(|attr| attr.offset).collect::<Vec<_>>(), [0, 8, 16]);
    }

    #[test]
    fn a_malformed_attribute_ends_the_reading() {
        #[track_caller]
        fn check(bytes: &[u8], expected: usize) {
            assert_eq!(attrs(bytes).count(), expected, "{bytes:?}");
        }
        check(&[], 0);
        check(&[8, 0, 1], 0);
        check(&[4, 0, 1, 0], 1);
        check(&[0, 0, 1, 0, 4, 0, 1, 0], 0);
        check(&[3, 0, 1, 0], 0);
        check(&[9, 0, 1, 0, 1, 2, 3, 4], 0);
        check(&[5, 0, 1, 0, 1, 0, 0, 0, 4, 0, 2, 0], 2);
        // The padding of the last attribute may be missing.
        check(&[5, 0, 1, 0, 1], 1);
        check(&[0xff; 16], 0);
    }
}
