//! What a rule asks of a packet before it leads anywhere, answered as far as the client and the protocol decide it.

use super::Client;
use crate::net::{Family, Protocol};
use crate::ruleset::{CmpOp, Expr, FIB_TYPE_LOCAL, FibAddress, Header, LookupData, MetaKey, Register, Value};

/// Whether a packet passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passes {
    Yes,
    No,
    Maybe,
}

/// Whether a packet of this client passes all expressions of a rule.
pub(super) fn passes(exprs: &[Expr], client: Client, protocol: Protocol) -> Passes {
    let mut registers = Registers { words: [None; WORDS], client, protocol };
    let mut passes = Passes::Yes;
    for expr in exprs {
        match registers.step(expr) {
            Passes::No => return Passes::No,
            Passes::Maybe => passes = Passes::Maybe,
            Passes::Yes => {}
        }
    }
    passes
}

const WORD: usize = 4;
const WORDS: usize = Register::COUNT as usize;
/// The longest value that an expression of unknown effect may write.
const LONGEST: usize = 20;
/// `RTN_UNICAST`, for whatever is not local.
const FIB_TYPE_UNICAST: u32 = 1;

/// The register file; a word that nobody can know is `None`.
struct Registers {
    words: [Option<[u8; WORD]>; WORDS],
    client: Client,
    protocol: Protocol,
}

impl Registers {
    fn step(&mut self, expr: &Expr) -> Passes {
        match expr {
            Expr::Payload { header: Header::Network, offset, len, dest } => {
                let (offset, len) = (usize::from(*offset), usize::from(*len));
                let bytes = self.source_bytes(offset, len);
                self.store(*dest, len, bytes.as_ref().map(Value::as_bytes));
            }
            Expr::Payload { len, dest, .. } => self.store(*dest, usize::from(*len), None),
            Expr::Meta { key: MetaKey::L4Proto, dest } => {
                self.store(*dest, 1, Some(&[self.protocol.number()]));
            }
            Expr::FibType { address: FibAddress::Source, dest } => {
                let kind = if self.client.is_local { FIB_TYPE_LOCAL } else { FIB_TYPE_UNICAST };
                self.store(*dest, WORD, Some(&kind.to_ne_bytes()));
            }
            Expr::Immediate { dest, value } => self.store(*dest, value.len(), Some(value.as_bytes())),
            Expr::Meta { dest, .. }
            | Expr::Ct { dest, .. }
            | Expr::FibType { dest, .. }
            | Expr::Numgen { dest, .. }
            | Expr::HostToNetwork { dest, .. } => self.store(*dest, LONGEST, None),
            Expr::Bitwise { source, dest, mask, xor } => {
                let result = self.load(*source, mask.len()).map(|bytes| bitwise(&bytes, mask, xor));
                self.store(*dest, mask.len(), result.as_deref());
            }
            Expr::Cmp { op, source, value } => {
                return match self.load(*source, value.len()) {
                    None => Passes::Maybe,
                    Some(bytes) if (bytes == value.as_bytes()) == (*op == CmpOp::Eq) => Passes::Yes,
                    Some(_) => Passes::No,
                };
            }
            Expr::Lookup { data, .. } => {
                if let LookupData::Load(dest) = data {
                    self.store(*dest, LONGEST, None);
                }
                return Passes::Maybe;
            }
            // None of these keeps a packet from what follows.
            Expr::SetMark { .. }
            | Expr::Update { .. }
            | Expr::Verdict(_)
            | Expr::Dnat { .. }
            | Expr::Masquerade
            | Expr::Reject(_) => {}
        }
        Passes::Yes
    }

    /// Bytes of the IP header where they are part of the source address.
    fn source_bytes(&self, offset: usize, len: usize) -> Option<Value> {
        let source = Value::new().addr(self.client.address);
        // Where the source address is in the IP header (RFC 791, RFC 8200).
        let start = match Family::of(self.client.address) {
            Family::Ipv4 => 12,
            Family::Ipv6 => 8,
        };
        let at = offset.checked_sub(start)?;
        source.as_bytes().get(at..at.checked_add(len)?).map(Value::from_bytes)
    }

    fn store(&mut self, dest: Register, len: usize, bytes: Option<&[u8]>) {
        let first = usize::from(dest.word());
        for (index, word) in self.words.iter_mut().skip(first).take(len.div_ceil(WORD)).enumerate() {
            *word = bytes.map(|bytes| {
                let mut padded = [0; WORD];
                padded.iter_mut().zip(bytes.iter().skip(index * WORD)).for_each(|(to, from)| *to = *from);
                padded
            });
        }
    }

    fn load(&self, source: Register, len: usize) -> Option<Vec<u8>> {
        let first = usize::from(source.word());
        let words = self.words.get(first..first + len.div_ceil(WORD))?;
        let mut bytes: Vec<u8> = words.iter().copied().collect::<Option<Vec<_>>>()?.concat();
        bytes.truncate(len);
        Some(bytes)
    }
}

fn bitwise(bytes: &[u8], mask: &Value, xor: &Value) -> Vec<u8> {
    let masked = bytes.iter().zip(mask.as_bytes()).map(|(byte, mask)| byte & mask);
    masked.zip(xor.as_bytes()).map(|(byte, xor)| byte ^ xor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str, is_local: bool) -> Client {
        Client { address: address.parse().unwrap(), is_local }
    }

    fn source(offset: u8, len: u8) -> Expr {
        Expr::Payload { header: Header::Network, offset, len, dest: Register::FIRST }
    }

    fn cmp(op: CmpOp, value: &[u8]) -> Expr {
        Expr::Cmp { op, source: Register::FIRST, value: Value::from_bytes(value) }
    }

    fn mask(mask: &[u8]) -> Expr {
        Expr::Bitwise {
            source: Register::FIRST,
            dest: Register::FIRST,
            mask: Value::from_bytes(mask),
            xor: Value::from_bytes(&vec![0; mask.len()]),
        }
    }

    #[track_caller]
    fn check(exprs: &[Expr], client: Client, expected: Passes) {
        assert_eq!(passes(exprs, client, Protocol::Udp), expected, "{exprs:?} {client:?}");
    }

    #[test]
    fn networks_of_whole_bytes_are_compared_in_part() {
        let in_ten = [source(12, 1), cmp(CmpOp::Eq, &[10])];
        check(&in_ten, client("10.1.2.3", false), Passes::Yes);
        check(&in_ten, client("11.1.2.3", false), Passes::No);
        let not_in_ten = [source(12, 1), cmp(CmpOp::Neq, &[10])];
        check(&not_in_ten, client("10.1.2.3", false), Passes::No);
        check(&not_in_ten, client("11.1.2.3", false), Passes::Yes);
        let in_fd00 = [source(8, 2), cmp(CmpOp::Eq, &[0xfd, 0])];
        check(&in_fd00, client("fd00::1", false), Passes::Yes);
        check(&in_fd00, client("fd01::1", false), Passes::No);
    }

    #[test]
    fn other_networks_are_masked_first() {
        let network = [source(12, 4), mask(&[255, 240, 0, 0]), cmp(CmpOp::Eq, &[172, 16, 0, 0])];
        check(&network, client("172.31.255.255", false), Passes::Yes);
        check(&network, client("172.32.0.0", false), Passes::No);
    }

    #[test]
    fn the_type_of_the_source_is_known() {
        let fib = Expr::FibType { address: FibAddress::Source, dest: Register::FIRST };
        let local = [fib, cmp(CmpOp::Eq, &FIB_TYPE_LOCAL.to_ne_bytes())];
        check(&local, client("10.1.2.3", true), Passes::Yes);
        check(&local, client("10.1.2.3", false), Passes::No);
    }

    #[test]
    fn what_nobody_can_know_may_pass() {
        let interface = Expr::Meta { key: MetaKey::IifName, dest: Register::FIRST };
        check(&[interface.clone(), cmp(CmpOp::Eq, b"cni0")], client("10.1.2.3", false), Passes::Maybe);
        check(&[interface, cmp(CmpOp::Neq, b"cni0")], client("10.1.2.3", false), Passes::Maybe);
        check(&[source(16, 4), cmp(CmpOp::Eq, &[10, 0, 0, 1])], client("10.0.0.1", false), Passes::Maybe);
        check(
            &[
                Expr::Numgen { modulus: 3, dest: Register::FIRST },
                mask(&[1, 0, 0, 0]),
                cmp(CmpOp::Eq, &[0, 0, 0, 0]),
            ],
            client("10.0.0.1", false),
            Passes::Maybe,
        );
        // What is known and does not match decides all the same.
        let tcp = [Expr::Meta { key: MetaKey::L4Proto, dest: Register::FIRST }, cmp(CmpOp::Eq, &[6])];
        let numgen = Expr::Numgen { modulus: 3, dest: Register::SECOND };
        check(&[&[numgen][..], &tcp[..]].concat(), client("10.0.0.1", false), Passes::No);
    }

    #[test]
    fn registers_at_the_end_of_the_file_do_no_harm() {
        let last = Register::new(15).unwrap();
        let load = Expr::Payload { header: Header::Network, offset: 8, len: 16, dest: last };
        let compare = Expr::Cmp { op: CmpOp::Eq, source: last, value: Value::from_bytes(&[0; 16]) };
        check(&[load, compare], client("fd00::1", false), Passes::Maybe);
    }
}
