//! Where a drawn number begins to matter.
//!
//! A draw among 65,536 numbers is not 65,536 cases: a comparison tells one number from all others, and a lookup those
//! that are in the set. Only these become cases of their own; the others stay together as one that does not match.
//! Instructions that compute with a number, which no rule of ours does, make every number a case.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use super::flow::{Transit, Way};
use super::machine::{Context, Machine};
use super::registers::{Draw, Registers};
use super::sets::{PartialKey, SetView};
use super::trace::Trail;
use super::{Budget, Fault};
use crate::ruleset::{CmpOp, Expr, Register, Value};

/// A decision about an undecided number before an instruction is executed.
pub(super) struct Fork {
    draw: Draw,
    /// The numbers that become cases of their own.
    numbers: BTreeSet<u32>,
    /// Whether the instruction lets all other numbers pass.
    others_pass: bool,
}

impl Fork {
    /// What must be decided before the instruction can be executed, if anything.
    pub(super) fn before(
        context: &Context<'_>,
        expr: &Expr,
        registers: &Registers,
        transit: &Transit,
        budget: &mut Budget,
    ) -> Result<Option<Self>, Fault> {
        match expr {
            Expr::Cmp { op, source, value } => Self::compare(registers, *op, *source, value, budget),
            Expr::Lookup { set, source, invert, .. } => {
                Self::look_up(registers, &context.set(set)?, *source, *invert, transit, budget)
            }
            Expr::Bitwise { source, mask, .. } => Self::every(registers, *source, mask.len(), budget),
            Expr::HostToNetwork { source, len, .. } => {
                Self::every(registers, *source, usize::from(*len).next_multiple_of(4), budget)
            }
            Expr::SetMark { source } => Self::every(registers, *source, 4, budget),
            Expr::Dnat { address, port, .. } => {
                let len = usize::from(context.family.address_len());
                match (Self::every(registers, *address, len, budget)?, port) {
                    (None, Some(port)) => Self::every(registers, *port, 2, budget),
                    (fork, _) => Ok(fork),
                }
            }
            Expr::Update { set, key, data, .. } => {
                let view = context.set(set)?;
                match Self::every(registers, *key, view.key_len(), budget)? {
                    None if view.data_len() > 0 => Self::every(registers, *data, view.data_len(), budget),
                    fork => Ok(fork),
                }
            }
            _ => Ok(None),
        }
    }

    fn new(draw: &Draw, numbers: impl IntoIterator<Item = u32>, others_pass: bool) -> Self {
        let numbers = numbers.into_iter().filter(|number| draw.may_be(*number)).collect();
        Self { draw: draw.clone(), numbers, others_pass }
    }

    /// Every number that the first draw in an operand may still be.
    fn every(
        registers: &Registers,
        register: Register,
        len: usize,
        budget: &mut Budget,
    ) -> Result<Option<Self>, Fault> {
        let Some(draw) = registers.first_draw(register, len)? else { return Ok(None) };
        budget.spend(draw.remaining())?;
        Ok(Some(Self::new(draw, draw.numbers(), false)))
    }

    /// The one number that a comparison tells from all others.
    fn compare(
        registers: &Registers,
        op: CmpOp,
        source: Register,
        value: &Value,
        budget: &mut Budget,
    ) -> Result<Option<Self>, Fault> {
        let Some(draw) = registers.first_draw(source, value.len())? else { return Ok(None) };
        let word = draw.within(source, value.len()).and_then(|range| value.as_bytes().get(range));
        match word.and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes) {
            Some(number) => Ok(Some(Self::new(draw, [number], op == CmpOp::Neq))),
            None => Self::every(registers, source, value.len(), budget),
        }
    }

    /// The numbers that the set has elements for.
    fn look_up(
        registers: &Registers,
        view: &SetView<'_>,
        source: Register,
        invert: bool,
        transit: &Transit,
        budget: &mut Budget,
    ) -> Result<Option<Self>, Fault> {
        let len = view.key_len();
        let Some(draw) = registers.first_draw(source, len)? else { return Ok(None) };
        if view.set.definition.interval {
            return Self::every(registers, source, len, budget);
        }
        let undecided = registers.draws(source, len)?.filter_map(|draw| draw.within(source, len)).collect();
        let key = PartialKey { bytes: registers.load(source, len)?, undecided };
        let words = view.first_undecided_words(transit, &key, budget)?;
        Ok(Some(Self::new(draw, words.into_iter().map(u32::from_ne_bytes), invert)))
    }

    /// The machines that go on from here, each with its share of the probability.
    pub(super) fn decide<T: Trail>(self, machine: &Machine<T>, before: &T) -> Vec<Machine<T>> {
        let Some(all) = NonZeroU64::new(self.draw.remaining()) else { return Vec::new() };
        let share = |count: u64| {
            let probability = machine.way.probability.share(count, all);
            Machine { way: Way { probability, trail: machine.way.trail.clone() }, ..machine.clone() }
        };
        let mut machines = Vec::with_capacity(self.numbers.len() + 1);
        let others = all.get() - self.numbers.len() as u64;
        if others > 0 {
            let mut rest = share(others);
            rest.registers.exclude(&self.draw, &self.numbers);
            if self.others_pass {
                rest.next += 1;
            } else {
                rest.leave(before);
            }
            machines.push(rest);
        }
        let one = share(1);
        machines.extend(self.numbers.iter().map(|number| {
            let mut machine = one.clone();
            machine.registers.decide(&self.draw, *number);
            machine
        }));
        machines
    }
}
