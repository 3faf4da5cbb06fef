//! Which objects are known and in which version, so that nothing is told twice and nothing that is gone stays.

use std::collections::hash_map;
use std::collections::{HashMap, VecDeque};

use svcnat_rules::name::ObjectName;

use super::object::Version;

/// How many deleted objects are remembered. A late event can only be one of the last few of a watch.
const GRAVES: usize = 256;

/// The objects of one kind, with what a `T` says of each.
#[derive(Debug)]
pub(super) struct Ledger<T> {
    entries: HashMap<ObjectName, Entry<T>>,
    /// Counts the lists that were begun.
    round: u32,
    /// Whether the present list is of the latest state there is.
    latest: bool,
    /// The last objects that a watch deleted, the oldest first.
    graves: VecDeque<(ObjectName, Version)>,
}

#[derive(Debug)]
struct Entry<T> {
    version: Version,
    /// The last list that named the object.
    round: u32,
    told: T,
}

impl<T: Default> Ledger<T> {
    pub fn new() -> Self {
        Self { entries: HashMap::new(), round: 0, latest: false, graves: VecDeque::new() }
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// All that is known.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectName, &T)> {
        self.entries.iter().map(|(name, entry)| (name, &entry.told))
    }

    /// A list begins, of the latest state or of one that may be behind. One that never ended counts for nothing.
    pub fn begin_list(&mut self, latest: bool) {
        self.round = self.round.wrapping_add(1);
        self.latest = latest;
        self.graves.clear();
    }

    /// A list names an object. Gives what was told of it, where this version is new: a newer one or, from the latest
    /// state, any other, since a server whose state was restored from a backup counts from there.
    pub fn listed(&mut self, name: &ObjectName, version: Version) -> Option<&mut T> {
        let latest = self.latest;
        let round = self.round;
        match self.entries.entry(name.clone()) {
            hash_map::Entry::Vacant(entry) => {
                Some(&mut entry.insert(Entry { version, round, told: T::default() }).told)
            }
            hash_map::Entry::Occupied(entry) => {
                let entry = entry.into_mut();
                entry.round = round;
                let other = entry.version != version && (latest || !version.is_older_than(&entry.version));
                other.then(|| {
                    entry.version = version;
                    &mut entry.told
                })
            }
        }
    }

    /// A list has named everything that there is. Gives what it did not name.
    pub fn end_list(&mut self) -> Vec<(ObjectName, T)> {
        let round = self.round;
        self.entries
            .extract_if(|_, entry| entry.round != round)
            .map(|(name, entry)| (name, entry.told))
            .collect()
    }

    /// A watch says that an object is new or different. Gives what was told of it, unless this is an old tale.
    pub fn changed(&mut self, name: &ObjectName, version: Version) -> Option<&mut T> {
        let round = self.round;
        match self.entries.entry(name.clone()) {
            hash_map::Entry::Vacant(entry) => {
                let late = |(dead, at): &(ObjectName, Version)| {
                    dead == name && (version == *at || version.is_older_than(at))
                };
                let late = self.graves.iter().any(late);
                (!late).then(|| &mut entry.insert(Entry { version, round, told: T::default() }).told)
            }
            hash_map::Entry::Occupied(entry) => {
                let entry = entry.into_mut();
                let newer = entry.version != version && !version.is_older_than(&entry.version);
                newer.then(|| {
                    entry.version = version;
                    &mut entry.told
                })
            }
        }
    }

    /// A watch says that an object is deleted. Gives what was told of it, unless it is not known or lives in a newer
    /// version.
    pub fn deleted(&mut self, name: &ObjectName, version: Version) -> Option<T> {
        if self.entries.get(name).is_some_and(|entry| version.is_older_than(&entry.version)) {
            return None;
        }
        let told = self.entries.remove(name).map(|entry| entry.told);
        if self.graves.len() >= GRAVES {
            self.graves.pop_front();
        }
        self.graves.push_back((name.clone(), version));
        told
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn object(number: u8) -> ObjectName {
        ObjectName::new("demo", &format!("o{number}"))
    }

    #[test]
    fn only_the_last_deletions_are_remembered() {
        let mut ledger = Ledger::<()>::new();
        let version = Version::Number(1_000);
        for number in 0..=GRAVES {
            assert!(ledger.deleted(&ObjectName::new("demo", &number.to_string()), version.clone()).is_none());
        }
        assert_eq!(ledger.graves.len(), GRAVES);
        let late = |ledger: &mut Ledger<()>, name| {
            ledger.changed(&ObjectName::new("demo", name), Version::Number(999)).is_none()
        };
        assert!(late(&mut ledger, "1"));
        assert!(!late(&mut ledger, "0"));
        ledger.begin_list(false);
        assert!(!late(&mut ledger, "1"), "a list has the last word");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Change(u8),
        Delete(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![(0..4_u8).prop_map(Step::Change), (0..4_u8).prop_map(Step::Delete)];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        /// A watch may repeat events and bring them in another order: the outcome is that of the history itself.
        #[test]
        fn repeated_and_reordered_events_come_to_the_same(
            history in steps(),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let history: Vec<_> = history.into_iter().zip(1_u64..).collect();
            let mut truth = BTreeMap::new();
            for (step, version) in &history {
                match step {
                    Step::Change(object) => truth.insert(*object, *version),
                    Step::Delete(object) => truth.remove(object),
                };
            }
            let mut events: Vec<_> = picks.iter().map(|pick| pick.get(&history).clone()).collect();
            let middle = events.len() / 2;
            // Each event comes at least once, amid its repetitions.
            events.splice(middle..middle, history.iter().rev().cloned());
            let mut ledger = Ledger::<u64>::new();
            for (step, version) in events {
                match step {
                    Step::Change(number) => {
                        if let Some(told) = ledger.changed(&object(number), Version::Number(version)) {
                            prop_assert!(*told < version);
                            *told = version;
                        }
                    }
                    Step::Delete(number) => {
                        ledger.deleted(&object(number), Version::Number(version));
                    }
                }
            }
            let found: BTreeMap<_, _> = ledger.iter().map(|(name, told)| (name.clone(), *told)).collect();
            let truth: BTreeMap<_, _> =
                truth.into_iter().map(|(number, version)| (object(number), version)).collect();
            prop_assert_eq!(found, truth);
        }
    }
}
