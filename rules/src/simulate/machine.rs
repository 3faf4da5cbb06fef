//! The register machine: one rule on one packet.

use std::net::SocketAddr;

use super::flow::{Transit, Way};
use super::fork::Fork;
use super::registers::Registers;
use super::sets::{Found, FoundData, SetView, check_len};
use super::trace::Trail;
use super::{Budget, Effect, Environment, Fault, Packet, Step, facts};
use crate::name::Name;
use crate::net::{Family, Protocol};
use crate::ruleset::{
    BaseHook, ChainType, CmpOp, Expr, FibAddress, Hook, LookupData, Register, Reject, Rule, SetData, Table,
    Value, Verdict,
};

/// What a rule is evaluated against, besides the packet's own state.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) family: Family,
    pub(super) table: &'a Table,
    pub(super) packet: &'a Packet,
    pub(super) environment: &'a Environment,
    /// The base chain that led here.
    pub(super) base: BaseHook,
}

impl<'a> Context<'a> {
    pub(super) fn set(&self, name: &Name) -> Result<SetView<'a>, Fault> {
        SetView::new(self.table, self.environment, self.family, name)
    }

    /// Statements that only some kinds of base chains may lead to.
    fn require(&self, statement: &'static str, kinds: &[ChainType], hooks: &[Hook]) -> Result<(), Fault> {
        let BaseHook { kind, hook, .. } = self.base;
        if kinds.contains(&kind) && hooks.contains(&hook) {
            Ok(())
        } else {
            Err(Fault::Misplaced { statement, kind: kind.keyword(), hook })
        }
    }
}

/// How a rule ended.
#[derive(Clone, Copy)]
pub(super) enum End<'a> {
    /// Without a verdict: the next rule's turn.
    Continue,
    Accept,
    Drop,
    Return,
    Jump(&'a Name),
    Goto(&'a Name),
    Reject(Reject),
}

impl<'a> From<&'a Verdict> for End<'a> {
    fn from(verdict: &'a Verdict) -> Self {
        match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Drop => Self::Drop,
            Verdict::Return => Self::Return,
            Verdict::Jump(chain) => Self::Jump(chain),
            Verdict::Goto(chain) => Self::Goto(chain),
        }
    }
}

/// What follows an instruction.
pub(super) enum Next<'a> {
    /// The next one.
    On,
    /// The rule does not match (`NFT_BREAK`).
    Miss,
    /// The rule ends.
    End(End<'a>),
    /// First it must be decided what an undecided number is; then the same instruction again.
    Fork(Fork),
}

/// The state of one possible run of a rule.
#[derive(Clone)]
pub(super) struct Machine<T> {
    pub(super) transit: Transit,
    pub(super) way: Way<T>,
    pub(super) registers: Registers,
    /// The index of the next instruction.
    pub(super) next: usize,
}

/// Runs a rule and gives all the ways in which it may end. `before` is the trail of a packet that the rule does not
/// match; `way` has the rule on its trail already.
pub(super) fn run<'a, T: Trail>(
    context: &Context<'a>,
    rule: &'a Rule,
    (transit, way): (Transit, Way<T>),
    before: &T,
    budget: &mut Budget,
) -> Result<Vec<(End<'a>, Transit, Way<T>)>, Fault> {
    let mut ends = Vec::new();
    let mut pending = vec![Machine { transit, way, registers: Registers::new(), next: 0 }];
    while let Some(mut machine) = pending.pop() {
        budget.spend(1)?;
        let next = match rule.exprs.get(machine.next) {
            Some(expr) => machine.execute(context, expr, budget)?,
            None => Next::End(End::Continue),
        };
        match next {
            Next::On => {
                machine.next += 1;
                pending.push(machine);
            }
            Next::Miss => {
                machine.leave(before);
                pending.push(machine);
            }
            Next::End(end) => ends.push((end, machine.transit, machine.way)),
            Next::Fork(fork) => pending.extend(fork.decide(&machine, before)),
        }
    }
    Ok(ends)
}

impl<T: Trail> Machine<T> {
    /// Ends the rule as one that did not match: what it has done to the packet stays, its trail does not.
    pub(super) fn leave(&mut self, before: &T) {
        self.way.trail = before.clone();
        self.next = usize::MAX;
    }

    fn execute<'a>(
        &mut self,
        context: &Context<'a>,
        expr: &'a Expr,
        budget: &mut Budget,
    ) -> Result<Next<'a>, Fault> {
        if let Some(fork) = Fork::before(context, expr, &self.registers, &self.transit, budget)? {
            return Ok(Next::Fork(fork));
        }
        let (packet, registers) = (context.packet, &mut self.registers);
        match expr {
            Expr::Payload { header, offset, len, dest } => {
                let bytes = facts::payload(packet, &self.transit, *header, *offset, *len)?;
                registers.store(*dest, bytes.as_bytes())?;
            }
            Expr::Meta { key, dest } => {
                registers.store(*dest, facts::meta(packet, &self.transit, *key).as_bytes())?;
            }
            Expr::Ct { key, dest } => {
                registers.store(*dest, facts::ct(packet, &self.transit, *key).as_bytes())?;
            }
            Expr::FibType { address, dest } => {
                let address = match address {
                    FibAddress::Source => self.transit.source,
                    FibAddress::Destination => self.transit.destination.ip(),
                };
                registers.store_number(*dest, context.environment.fib_type(address))?;
            }
            Expr::Numgen { modulus: 0, .. } => return Err(Fault::EmptyDraw),
            Expr::Numgen { modulus, dest } => registers.store_draw(*dest, *modulus)?,
            Expr::Immediate { dest, value } => registers.store(*dest, value.as_bytes())?,
            Expr::Bitwise { source, dest, mask, xor } => bitwise(registers, (*source, *dest), mask, xor)?,
            Expr::HostToNetwork { source, dest, len } => host_to_network(registers, (*source, *dest), *len)?,
            Expr::Cmp { op, source, value } => {
                let equal = registers.load(*source, value.len())? == value.as_bytes();
                return Ok(if equal == (*op == CmpOp::Eq) { Next::On } else { Next::Miss });
            }
            Expr::SetMark { source } => {
                self.transit.mark = u32::from_ne_bytes(registers.load_array(*source)?);
                self.way.trail.push(|| Step::Mark(self.transit.mark));
            }
            Expr::Lookup { set, source, data, invert } => {
                return self.lookup(&context.set(set)?, *source, *data, *invert);
            }
            Expr::Update { set, key, data, timeout } => {
                return self.update(&context.set(set)?, (*key, *data), *timeout);
            }
            Expr::Verdict(verdict) => {
                self.way.trail.push(|| Step::Verdict(verdict.clone()));
                return Ok(Next::End(End::from(verdict)));
            }
            Expr::Dnat { address, port, .. } => return self.dnat(context, *address, *port),
            Expr::Masquerade => return self.masquerade(context),
            Expr::Reject(how) => return self.reject(context, *how),
        }
        Ok(Next::On)
    }

    fn lookup<'a>(
        &mut self,
        view: &SetView<'a>,
        source: Register,
        data: LookupData,
        invert: bool,
    ) -> Result<Next<'a>, Fault> {
        check_use(view, data, invert)?;
        let key = self.registers.load(source, view.key_len())?;
        let Some(found) = view.find(&self.transit, key)? else {
            return Ok(if invert { Next::On } else { Next::Miss });
        };
        if invert {
            return Ok(Next::Miss);
        }
        self.way.trail.push(|| found_step(view, &found));
        match (data, found.data) {
            (LookupData::None, _) => Ok(Next::On),
            (LookupData::Verdict, FoundData::Verdict(verdict)) => {
                self.way.trail.push(|| Step::Verdict(verdict.clone()));
                Ok(Next::End(End::from(verdict)))
            }
            (LookupData::Load(dest), FoundData::Value(value)) => {
                check_len("an element's data", value.len(), view.data_len())?;
                self.registers.store(dest, value.as_bytes())?;
                Ok(Next::On)
            }
            _ => Err(Fault::WrongKind { set: view.name.clone(), used_as: "a map with data in each element" }),
        }
    }

    fn update<'a>(
        &mut self,
        view: &SetView<'a>,
        (key, data): (Register, Register),
        timeout: u64,
    ) -> Result<Next<'a>, Fault> {
        if !view.set.definition.dynamic || view.data_len() == 0 {
            return Err(Fault::WrongKind { set: view.name.clone(), used_as: "a dynamic map" });
        }
        let key = Value::from_bytes(self.registers.load(key, view.key_len())?);
        let data = Value::from_bytes(self.registers.load(data, view.data_len())?);
        let existing = view.find_entry(&self.transit, &key).cloned();
        let refreshed = existing.is_some();
        if !refreshed && view.is_full(&self.transit) {
            return Ok(Next::Miss);
        }
        let data = existing.unwrap_or(data);
        let set = view.name.clone();
        self.way.trail.push(|| Step::Update { set: set.clone(), key: key.clone(), data: data.clone() });
        self.transit.effects.push(Effect { set, key, data, timeout, refreshed });
        Ok(Next::On)
    }

    fn dnat<'a>(
        &mut self,
        context: &Context<'a>,
        address: Register,
        port: Option<Register>,
    ) -> Result<Next<'a>, Fault> {
        context.require("dnat", &[ChainType::Nat], &[Hook::Prerouting, Hook::Output])?;
        let len = usize::from(context.family.address_len());
        let address =
            facts::address(self.registers.load(address, len)?).unwrap_or(self.transit.destination.ip());
        let port = match port {
            Some(register) => u16::from_be_bytes(self.registers.load_array(register)?),
            None => self.transit.destination.port(),
        };
        let destination = SocketAddr::new(address, port);
        self.transit.redirect(destination);
        self.way.trail.push(|| Step::Dnat(destination));
        Ok(Next::End(End::Accept))
    }

    fn masquerade<'a>(&mut self, context: &Context<'a>) -> Result<Next<'a>, Fault> {
        context.require("masquerade", &[ChainType::Nat], &[Hook::Postrouting])?;
        self.transit.masquerade(context.environment);
        self.way.trail.push(|| Step::Masquerade);
        Ok(Next::End(End::Accept))
    }

    fn reject<'a>(&mut self, context: &Context<'a>, how: Reject) -> Result<Next<'a>, Fault> {
        let hooks = [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output];
        context.require("reject", &[ChainType::Filter, ChainType::Nat], &hooks)?;
        self.way.trail.push(|| Step::Reject(how));
        // There is no reset to answer anything but TCP with, so nobody is told (`nf_reject_ip_tcphdr_get`).
        let silent = how == Reject::TcpReset && context.packet.protocol != Protocol::Tcp;
        Ok(Next::End(if silent { End::Drop } else { End::Reject(how) }))
    }
}

/// A lookup must ask of a set what it has.
fn check_use(view: &SetView<'_>, data: LookupData, invert: bool) -> Result<(), Fault> {
    let used_as = match (data, &view.set.definition.data) {
        (LookupData::None, _) => return Ok(()),
        _ if invert => "a set without data",
        (LookupData::Verdict, SetData::Verdict) | (LookupData::Load(_), SetData::Value(_)) => return Ok(()),
        (LookupData::Verdict, _) => "a verdict map",
        (LookupData::Load(_), _) => "a map",
    };
    Err(Fault::WrongKind { set: view.name.clone(), used_as })
}

fn found_step(view: &SetView<'_>, found: &Found<'_>) -> Step {
    Step::Element { set: view.name.clone(), key: found.key.clone(), comment: found.comment.cloned() }
}

fn bitwise(
    registers: &mut Registers,
    (source, dest): (Register, Register),
    mask: &Value,
    xor: &Value,
) -> Result<(), Fault> {
    check_len("a bitwise operation's xor", xor.len(), mask.len())?;
    let bytes = registers.load(source, mask.len())?.iter();
    let bytes = bytes.zip(mask.as_bytes()).zip(xor.as_bytes()).map(|((byte, mask), xor)| (byte & mask) ^ xor);
    let result: Vec<u8> = bytes.collect();
    registers.store(dest, &result)
}

/// Swaps pairs of bytes. What does not fill a pair or lies behind `len` in the last word stays as it is
/// (`nft_byteorder_eval`).
fn host_to_network(
    registers: &mut Registers,
    (source, dest): (Register, Register),
    len: u8,
) -> Result<(), Fault> {
    let len = usize::from(len);
    let mut bytes = registers.load(source, len.next_multiple_of(4))?.to_vec();
    for pair in bytes.get_mut(..len).unwrap_or_default().chunks_exact_mut(2) {
        if let &mut [first, second] = pair {
            pair.copy_from_slice(&u16::from_ne_bytes([first, second]).to_be_bytes());
        }
    }
    registers.store(dest, &bytes)
}
