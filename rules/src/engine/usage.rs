//! What several Services use at once, by count: it is there as long as one uses it.

use crate::hash::HashMap;
use std::hash::Hash;

/// How often each thing is used.
#[derive(Debug)]
pub(super) struct Usage<T> {
    counts: HashMap<T, u32>,
}

impl<T> Default for Usage<T> {
    fn default() -> Self {
        Self { counts: HashMap::default() }
    }
}

impl<T: Eq + Hash> Usage<T> {
    /// One more use; whether it is the first.
    pub(super) fn add(&mut self, thing: T) -> bool {
        let count = self.counts.entry(thing).or_insert(0);
        *count += 1;
        *count == 1
    }

    /// One use less; whether it was the last.
    pub(super) fn remove(&mut self, thing: &T) -> bool {
        let Some(count) = self.counts.get_mut(thing) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.counts.remove(thing);
        }
        last
    }

    pub(super) fn contains(&self, thing: &T) -> bool {
        self.counts.contains_key(thing)
    }

    /// What is used, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.counts.keys()
    }
}
