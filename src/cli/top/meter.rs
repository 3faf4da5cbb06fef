//! Counters, and how fast they grow.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many rates are remembered: those of two minutes at one look a second.
pub(super) const HISTORY: usize = 120;

/// Connections in a thousand seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rate(u32);

impl Rate {
    pub(super) fn of(connections: u64, time: Duration) -> Self {
        let per_thousand_seconds = u128::from(connections) * 1_000_000_000 / time.as_micros().max(1);
        Self(u32::try_from(per_thousand_seconds).unwrap_or(u32::MAX))
    }

    /// Connections in a thousand seconds.
    pub(super) fn thousandths(self) -> u64 {
        self.0.into()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&per_second(self.thousandths()))
    }
}

/// Connections in a second, of those in a thousand seconds, with as many digits as mean something.
pub(super) fn per_second(thousandths: u64) -> String {
    let tenths = |of: u64| format!("{}.{}", of / 10, of % 10);
    match thousandths {
        0 => "0".to_owned(),
        1..50 => "<0.1".to_owned(),
        50..100_000 => tenths((thousandths + 50) / 100),
        100_000..10_000_000 => ((thousandths + 500) / 1_000).to_string(),
        _ => tenths((thousandths + 50_000) / 100_000) + "k",
    }
}

/// Counters that are seen as one, such as those of all frontends of a service port; `P` tells them apart.
#[derive(Debug)]
pub(super) struct Meter<P> {
    counters: Vec<Counter<P>>,
    /// By how much they have grown in the look that is being taken.
    growth: u64,
    total: u64,
    /// The latest is the last.
    rates: VecDeque<Rate>,
}

#[derive(Debug)]
struct Counter<P> {
    part: P,
    count: u64,
    /// Whether the look that is being taken has it.
    seen: bool,
}

impl<P: PartialEq> Meter<P> {
    fn new() -> Self {
        Self { counters: Vec::new(), growth: 0, total: 0, rates: VecDeque::new() }
    }

    /// What they have counted since they are there.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The latest rate; `None` before the second look.
    pub(super) fn rate(&self) -> Option<Rate> {
        self.rates.back().copied()
    }

    /// The latest rates, the newest first.
    pub(super) fn rates(&self) -> impl Iterator<Item = Rate> {
        self.rates.iter().rev().copied()
    }

    /// What tells the counters apart.
    pub(super) fn parts(&self) -> impl ExactSizeIterator<Item = &P> {
        self.counters.iter().map(|counter| &counter.part)
    }

    /// One that counts less than before was made anew meanwhile, and so was one that was not there: they began at 0.
    fn see(&mut self, part: P, count: u64) {
        // Two node ports, one for each family, are told alike; they come in the same order each time.
        match self.counters.iter_mut().find(|counter| counter.part == part && !counter.seen) {
            Some(counter) => {
                self.growth += count.checked_sub(counter.count).unwrap_or(count);
                (counter.count, counter.seen) = (count, true);
            }
            None => {
                self.growth += count;
                self.counters.push(Counter { part, count, seen: true });
            }
        }
    }

    /// Ends a look; whether any of the counters is still there.
    fn settle(&mut self, since_last: Option<Duration>) -> bool {
        self.counters.retain_mut(|counter| std::mem::take(&mut counter.seen));
        self.total = self.counters.iter().map(|counter| counter.count).sum();
        let growth = std::mem::take(&mut self.growth);
        if let Some(time) = since_last {
            if self.rates.len() == HISTORY {
                self.rates.pop_front();
            }
            self.rates.push_back(Rate::of(growth, time));
        }
        !self.counters.is_empty()
    }
}

/// Meters by key.
#[derive(Debug)]
pub(super) struct Meters<K, P> {
    meters: BTreeMap<Arc<K>, Meter<P>>,
    last: Option<Instant>,
}

impl<K: Ord, P: PartialEq> Meters<K, P> {
    pub(super) fn new() -> Self {
        Self { meters: BTreeMap::new(), last: None }
    }

    /// Takes what all counters say at a time. Those that are not among them are gone.
    pub(super) fn look(&mut self, at: Instant, counts: impl IntoIterator<Item = (K, P, u64)>) {
        let since_last = self.last.replace(at).map(|last| at.saturating_duration_since(last));
        for (key, part, count) in counts {
            match self.meters.get_mut(&key) {
                Some(meter) => meter.see(part, count),
                None => self.meters.entry(Arc::new(key)).or_insert_with(Meter::new).see(part, count),
            }
        }
        self.meters.retain(|_, meter| meter.settle(since_last));
    }

    /// In the order of the keys.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<K>, &Meter<P>)> {
        self.meters.iter()
    }

    pub(super) fn get(&self, key: &K) -> Option<&Meter<P>> {
        self.meters.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_as_many_digits_as_mean_something() {
        for (connections, milliseconds, expected) in [
            (0, 1_000, "0"),
            (1, 1_000, "1.0"),
            (1, 30_000, "<0.1"),
            (1, 10_000, "0.1"),
            (3, 2_000, "1.5"),
            (99_949, 1_000_000, "99.9"),
            (100, 1_000, "100"),
            (1_499, 1_000, "1499"),
            (9_999, 1_000, "9999"),
            (12_345, 1_000, "12.3k"),
            (u64::MAX, 1, "4295.0k"),
            (7, 0, "4295.0k"),
        ] {
            let rate = Rate::of(connections, Duration::from_millis(milliseconds));
            assert_eq!(rate.to_string(), expected, "{connections} in {milliseconds} ms");
        }
    }

    /// Looks one second apart, each with the counters that it sees; then the total and the rates of a key, the oldest first.
    #[track_caller]
    fn check(looks: &[&[(&str, char, u64)]], expected: Option<(u64, &[&str])>) {
        let (mut meters, began) = (Meters::new(), Instant::now());
        for (seconds, look) in looks.iter().enumerate() {
            let at = began + Duration::from_secs(seconds as u64);
            meters.look(at, look.iter().map(|(key, part, count)| ((*key).to_owned(), *part, *count)));
        }
        let found = meters.get(&"web".to_owned()).map(|meter| {
            let mut rates: Vec<String> = meter.rates().map(|rate| rate.to_string()).collect();
            rates.reverse();
            (meter.total(), rates)
        });
        let expected =
            expected.map(|(total, rates)| (total, rates.iter().map(|rate| (*rate).to_owned()).collect()));
        assert_eq!(found, expected, "{looks:?}");
    }

    #[test]
    fn a_rate_is_what_was_counted_between_two_looks() {
        check(&[], None);
        check(&[&[("web", 'a', 100)]], Some((100, &[])));
        check(&[&[("web", 'a', 100)], &[("web", 'a', 103)]], Some((103, &["3.0"])));
        check(&[&[("web", 'a', 1)], &[("web", 'a', 1)], &[("web", 'a', 3)]], Some((3, &["0", "2.0"])));
        // What all counters of the key have counted.
        check(
            &[&[("web", 'a', 10), ("web", 'b', 1)], &[("web", 'b', 3), ("web", 'a', 14)]],
            Some((17, &["6.0"])),
        );
        check(&[&[("api", 'a', 1)], &[("api", 'a', 2)]], None);
    }

    #[test]
    fn counters_that_were_made_anew_began_at_0() {
        check(&[&[("web", 'a', 100)], &[("web", 'a', 4)]], Some((4, &["4.0"])));
        // One of two is gone, which is no reason to count the other one twice.
        check(&[&[("web", 'a', 100), ("web", 'b', 50)], &[("web", 'b', 52)]], Some((52, &["2.0"])));
        // One comes later than the first look, so what it has counted is new.
        check(&[&[("api", 'a', 1)], &[("web", 'a', 5)]], Some((5, &["5.0"])));
        check(&[&[("web", 'a', 7)], &[], &[("web", 'a', 2)]], Some((2, &["2.0"])));
        // What cannot be told apart comes in the same order.
        check(
            &[&[("web", 'a', 7), ("web", 'a', 90)], &[("web", 'a', 8), ("web", 'a', 95)]],
            Some((103, &["6.0"])),
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut meters, began) = (Meters::new(), Instant::now());
        for second in 0..1_000 {
            meters.look(began + Duration::from_secs(second), [("web", (), second * second)]);
        }
        let rates: Vec<Rate> = meters.get(&"web").unwrap().rates().collect();
        assert_eq!(rates.len(), HISTORY);
        assert_eq!(rates.first().unwrap().thousandths(), 1_997_000);
    }
}
