//! Exact probabilities.

use std::fmt;
use std::num::NonZeroU64;

use num_bigint::BigUint;
use num_rational::Ratio;
use num_traits::{One, ToPrimitive, Zero};

/// A probability as a reduced fraction of integers of any size.
///
/// Machine words do not suffice: eight draws among 1,024 slots, each with a hit and a miss, already have a denominator
/// of 2^80, and every further draw on the packet's way multiplies it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(Ratio<BigUint>);

impl Probability {
    /// 0, what cannot happen.
    #[must_use]
    pub fn impossible() -> Self {
        Self(Ratio::zero())
    }

    /// 1, what must happen.
    #[must_use]
    pub fn certain() -> Self {
        Self(Ratio::one())
    }

    /// `part` cases out of `whole` equally likely ones; `None` where that is no probability.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        let whole = NonZeroU64::new(whole)?;
        (part <= whole.get()).then(|| Self::certain().share(part, whole))
    }

    /// This times `part / whole`.
    pub(crate) fn share(&self, part: u64, whole: NonZeroU64) -> Self {
        let numer = self.0.numer() * part;
        let denom = self.0.denom() * whole.get();
        // iptables draws among 2^31 numbers for each backend. What a thousand draws multiply up to takes long to reduce,
        // unless it is known that nothing but 2 can be cancelled.
        let twos = denom.trailing_zeros().unwrap_or(0);
        if twos + 1 == denom.bits() {
            let common = numer.trailing_zeros().unwrap_or(twos).min(twos);
            return Self(Ratio::new_raw(numer >> common, denom >> common));
        }
        Self(Ratio::new(numer, denom))
    }

    /// Adds the probability of another way to the same end.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.0.is_zero() {
            self.0.clone_from(&other.0);
        } else {
            self.0 += &other.0;
        }
    }

    /// The nearest floating-point number, for people and for statistics.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        self.0.to_f64().unwrap_or(f64::NAN)
    }
}

impl<'a> std::iter::Sum<&'a Self> for Probability {
    fn sum<I: Iterator<Item = &'a Self>>(probabilities: I) -> Self {
        probabilities.fold(Self::impossible(), |mut sum, probability| {
            sum.add(probability);
            sum
        })
    }
}

impl fmt::Display for Probability {
    /// `1/3`; `1` and `0` without a denominator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
