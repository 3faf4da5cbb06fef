//! The register file, in which a number that `numgen` drew stays undecided until something depends on it.

use std::collections::BTreeSet;
use std::ops::Range;

use smallvec::SmallVec;

use super::Fault;
use crate::ruleset::Register;

const WORD: usize = 4;
const WORDS: usize = Register::COUNT as usize;

/// Sixteen words of four bytes.
#[derive(Clone)]
pub(super) struct Registers {
    bytes: [u8; WORDS * WORD],
    /// Which words this rule has loaded. The kernel refuses rules that read others.
    loaded: [bool; WORDS],
    /// The words that hold an undecided number.
    draws: SmallVec<[Draw; 1]>,
}

/// A number that was drawn and of which nothing depends on yet.
#[derive(Clone)]
pub(super) struct Draw {
    word: usize,
    modulus: u32,
    /// Numbers that it is known not to be.
    excluded: BTreeSet<u32>,
}

impl Draw {
    /// How many numbers it may still be.
    pub(super) fn remaining(&self) -> u64 {
        u64::from(self.modulus).saturating_sub(self.excluded.len() as u64)
    }

    /// Whether it may still be this number.
    pub(super) fn may_be(&self, number: u32) -> bool {
        number < self.modulus && !self.excluded.contains(&number)
    }

    /// All numbers that it may still be.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        (0..self.modulus).filter(|number| self.may_be(*number))
    }

    /// Where in an operand that begins at `register` the number lies; `None` where it does not lie there as a whole.
    pub(super) fn within(&self, register: Register, len: usize) -> Option<Range<usize>> {
        let start = (self.word * WORD).checked_sub(usize::from(register.word()) * WORD)?;
        (start + WORD <= len).then_some(start..start + WORD)
    }
}

impl Registers {
    pub(super) fn new() -> Self {
        Self { bytes: [0; WORDS * WORD], loaded: [false; WORDS], draws: SmallVec::new() }
    }

    /// The bytes of an operand. It must not hold a draw any more.
    pub(super) fn load(&self, register: Register, len: usize) -> Result<&[u8], Fault> {
        let range = span(register, len)?;
        let words = words(&range);
        if !self.loaded.get(words).is_some_and(|loaded| loaded.iter().all(|word| *word)) {
            return Err(Fault::UnsetRegister { register, len });
        }
        self.bytes.get(range).ok_or(Fault::OutsideRegisters { register, len })
    }

    /// The bytes of an operand of known length.
    pub(super) fn load_array<const N: usize>(&self, register: Register) -> Result<[u8; N], Fault> {
        let bytes = self.load(register, N)?;
        bytes.try_into().map_err(|_| Fault::OutsideRegisters { register, len: N })
    }

    /// Stores bytes and pads the last word with zeros.
    pub(super) fn store(&mut self, register: Register, bytes: &[u8]) -> Result<(), Fault> {
        let range = span(register, bytes.len())?;
        let words = words(&range);
        self.draws.retain(|draw| !words.contains(&draw.word));
        if let Some(loaded) = self.loaded.get_mut(words.clone()) {
            loaded.fill(true);
        }
        if let Some(target) = self.bytes.get_mut(words.start * WORD..words.end * WORD) {
            target.fill(0);
            target.iter_mut().zip(bytes).for_each(|(target, byte)| *target = *byte);
        }
        Ok(())
    }

    /// Stores a number in host byte order.
    pub(super) fn store_number(&mut self, register: Register, number: u32) -> Result<(), Fault> {
        self.store(register, &number.to_ne_bytes())
    }

    /// Stores a number below `modulus` that nobody knows yet.
    pub(super) fn store_draw(&mut self, register: Register, modulus: u32) -> Result<(), Fault> {
        self.store_number(register, 0)?;
        if modulus > 1 {
            let word = usize::from(register.word());
            self.draws.push(Draw { word, modulus, excluded: BTreeSet::new() });
        }
        Ok(())
    }

    /// The undecided numbers in an operand.
    pub(super) fn draws(&self, register: Register, len: usize) -> Result<impl Iterator<Item = &Draw>, Fault> {
        let words = words(&span(register, len)?);
        Ok(self.draws.iter().filter(move |draw| words.contains(&draw.word)))
    }

    /// The first of them.
    pub(super) fn first_draw(&self, register: Register, len: usize) -> Result<Option<&Draw>, Fault> {
        Ok(self.draws(register, len)?.min_by_key(|draw| draw.word))
    }

    /// Decides on a number.
    pub(super) fn decide(&mut self, draw: &Draw, number: u32) {
        self.draws.retain(|other| other.word != draw.word);
        if let Some(word) = self.bytes.get_mut(draw.word * WORD..(draw.word + 1) * WORD) {
            word.copy_from_slice(&number.to_ne_bytes());
        }
    }

    /// Notes that an undecided number is none of these.
    pub(super) fn exclude(&mut self, draw: &Draw, numbers: &BTreeSet<u32>) {
        for other in self.draws.iter_mut().filter(|other| other.word == draw.word) {
            other.excluded.extend(numbers);
        }
    }
}

/// The bytes of the register file that an operand has.
fn span(register: Register, len: usize) -> Result<Range<usize>, Fault> {
    let start = usize::from(register.word()) * WORD;
    match start.checked_add(len) {
        Some(end) if len > 0 && end <= WORDS * WORD => Ok(start..end),
        _ => Err(Fault::OutsideRegisters { register, len }),
    }
}

/// The words that these bytes touch.
fn words(bytes: &Range<usize>) -> Range<usize> {
    bytes.start / WORD..bytes.end.div_ceil(WORD)
}
