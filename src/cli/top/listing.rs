//! A table of counters: what is shown of it, in which order, and where the cursor stands.

use std::cmp::Reverse;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::meter::{Meter, Meters, Rate};

/// What a table is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// The busiest first.
    Rate,
    /// Who has counted most first.
    Total,
    /// By name.
    Name,
}

impl Sort {
    const ALL: [Self; 3] = [Self::Rate, Self::Total, Self::Name];

    /// The one so many places further on, round and round.
    fn at(self, places: usize) -> Self {
        let from = Self::ALL.iter().position(|sort| *sort == self).unwrap_or_default();
        Self::ALL.into_iter().cycle().nth(from + places).unwrap_or(self)
    }
}

/// A move of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

/// What keys do to a table, whatever it is of.
pub(super) trait Browse {
    fn go(&mut self, way: Move);
    fn next_sort(&mut self);
    fn previous_sort(&mut self);
    fn reverse(&mut self);
}

/// A table of counters.
#[derive(Debug)]
pub(super) struct Listing<K, P> {
    meters: Meters<K, P>,
    sort: Sort,
    reversed: bool,
    /// In small letters; what does not have it is not shown.
    filter: String,
    /// What is shown, from top to bottom.
    order: Vec<Arc<K>>,
    /// What the cursor is on, and stays on wherever that goes; without it, the cursor stays on the first row.
    cursor: Option<Arc<K>>,
    /// The row of the cursor.
    row: usize,
    /// The first row that is on the screen, and how many are.
    first: usize,
    height: usize,
    /// The rates of all that is shown, together, and what all of it has counted.
    sum: Option<u64>,
    total: u64,
}

impl<K: Ord + Display, P: PartialEq> Listing<K, P> {
    pub(super) fn new() -> Self {
        Self {
            meters: Meters::new(),
            sort: Sort::Rate,
            reversed: false,
            filter: String::new(),
            order: Vec::new(),
            cursor: None,
            row: 0,
            first: 0,
            height: 0,
            sum: None,
            total: 0,
        }
    }

    /// Takes what all counters say at a time.
    pub(super) fn look(&mut self, at: Instant, counts: impl IntoIterator<Item = (K, P, u64)>) {
        self.meters.look(at, counts);
        self.arrange();
    }

    /// Shows only what has this in its name, in small or large letters.
    pub(super) fn filter(&mut self, text: &str) {
        self.filter = text.to_lowercase();
        self.arrange();
    }

    pub(super) fn sort(&self) -> (Sort, bool) {
        (self.sort, self.reversed)
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Connections in a thousand seconds, of all rows together; `None` before the second look.
    pub(super) fn sum(&self) -> Option<u64> {
        self.sum
    }

    /// What all rows have counted.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.order.iter().map(AsRef::as_ref)
    }

    /// What the cursor is on.
    pub(super) fn selected(&self) -> Option<&K> {
        self.order.get(self.row).map(AsRef::as_ref)
    }

    /// The rows that fit on so many lines, the cursor's among them, with whether it is the cursor's.
    pub(super) fn rows(&mut self, height: usize) -> impl Iterator<Item = (&K, &Meter<P>, bool)> {
        let window = self.window(height);
        let rows = self.order.iter().enumerate().skip(window.start).take(window.len());
        rows.filter_map(|(row, key)| Some((key.as_ref(), self.meters.get(key)?, row == self.row)))
    }

    /// All rows.
    pub(super) fn all(&self) -> impl Iterator<Item = (&K, &Meter<P>)> {
        self.order.iter().filter_map(|key| Some((key.as_ref(), self.meters.get(key)?)))
    }

    fn window(&mut self, height: usize) -> Range<usize> {
        self.height = height;
        let lowest = (self.row + 1).saturating_sub(height);
        let last_page = self.len().saturating_sub(height);
        self.first = self.first.clamp(lowest, self.row.max(lowest)).min(last_page.max(lowest));
        self.first..(self.first + height).min(self.len())
    }

    fn arrange(&mut self) {
        let is_shown =
            |key: &K| self.filter.is_empty() || key.to_string().to_lowercase().contains(&self.filter);
        let shown = self.meters.iter().filter(|(key, _)| is_shown(key));
        let mut rows: Vec<(&Arc<K>, &Meter<P>)> = shown.collect();
        // What weighs the same stays in the order of names.
        rows.sort_by_key(|(_, meter)| Reverse(self.weight(meter)));
        if self.reversed {
            rows.reverse();
        }
        let rates = rows.iter().filter_map(|(_, meter)| meter.rate());
        self.sum = rates.map(Rate::thousandths).reduce(|sum, rate| sum + rate);
        self.total = rows.iter().map(|(_, meter)| meter.total()).sum();
        self.order = rows.into_iter().map(|(key, _)| key.clone()).collect();
        self.keep_cursor();
    }

    fn weight(&self, meter: &Meter<P>) -> (u64, u64) {
        let (rate, total) = (meter.rate().unwrap_or_default().thousandths(), meter.total());
        match self.sort {
            Sort::Rate => (rate, total),
            Sort::Total => (total, rate),
            Sort::Name => (0, 0),
        }
    }

    /// What the cursor was on may be in another row, or gone; then it stays in its row.
    fn keep_cursor(&mut self) {
        let Some(cursor) = &self.cursor else {
            self.row = 0;
            return;
        };
        match self.order.iter().position(|key| key == cursor) {
            Some(row) => self.row = row,
            None => self.put_cursor(self.row),
        }
    }

    fn put_cursor(&mut self, row: usize) {
        self.row = row.min(self.len().saturating_sub(1));
        self.cursor = self.order.get(self.row).cloned();
    }

    fn set_sort(&mut self, sort: Sort) {
        (self.sort, self.reversed) = (sort, false);
        self.arrange();
    }
}

impl<K: Ord + Display, P: PartialEq> Browse for Listing<K, P> {
    fn go(&mut self, way: Move) {
        let page = self.height.saturating_sub(1).max(1);
        match way {
            Move::Up => self.put_cursor(self.row.saturating_sub(1)),
            Move::Down => self.put_cursor(self.row + 1),
            Move::PageUp => self.put_cursor(self.row.saturating_sub(page)),
            Move::PageDown => self.put_cursor(self.row + page),
            Move::Last => self.put_cursor(usize::MAX),
            Move::First => (self.row, self.cursor) = (0, None),
        }
    }

    fn next_sort(&mut self) {
        self.set_sort(self.sort.at(1));
    }

    fn previous_sort(&mut self) {
        self.set_sort(self.sort.at(Sort::ALL.len() - 1));
    }

    fn reverse(&mut self) {
        self.reversed = !self.reversed;
        self.arrange();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A listing of keys with what each has counted at two looks, one second apart.
    fn listing(counts: &[(&'static str, u64, u64)]) -> Listing<&'static str, ()> {
        let mut listing = Listing::new();
        let began = Instant::now();
        listing.look(began, counts.iter().map(|(key, first, _)| (*key, (), *first)));
        listing.look(began + Duration::from_secs(1), counts.iter().map(|(key, _, then)| (*key, (), *then)));
        listing
    }

    fn order(listing: &Listing<&'static str, ()>) -> String {
        listing.keys().copied().collect::<Vec<_>>().join(" ")
    }

    const COUNTS: [(&str, u64, u64); 4] = [("a", 5, 6), ("b", 100, 100), ("c", 0, 9), ("d", 7, 8)];

    #[test]
    fn rows_are_sorted_by_each_column_and_backwards() {
        let mut listing = listing(&COUNTS);
        // Who is equally busy is sorted by what it has counted.
        assert_eq!(order(&listing), "c d a b");
        listing.reverse();
        assert_eq!(order(&listing), "b a d c");
        listing.next_sort();
        assert_eq!((listing.sort(), order(&listing).as_str()), ((Sort::Total, false), "b c d a"));
        listing.next_sort();
        assert_eq!((listing.sort(), order(&listing).as_str()), ((Sort::Name, false), "a b c d"));
        listing.reverse();
        assert_eq!((listing.sort(), order(&listing).as_str()), ((Sort::Name, true), "d c b a"));
        listing.next_sort();
        assert_eq!(listing.sort(), (Sort::Rate, false));
        listing.previous_sort();
        assert_eq!(listing.sort(), (Sort::Name, false));
        assert_eq!((listing.sum(), listing.total()), (Some(11_000), 123));
    }

    #[test]
    fn only_what_has_the_filter_in_its_name_is_shown() {
        let mut listing = listing(&[("shop/api", 0, 1), ("shop/Web", 0, 2), ("web/x", 0, 3)]);
        let mut check = |filter: &str, expected: &str, sum: Option<u64>| {
            listing.filter(filter);
            assert_eq!((order(&listing).as_str(), listing.sum()), (expected, sum), "{filter}");
        };
        check("WEB", "web/x shop/Web", Some(5_000));
        check("shop/", "shop/Web shop/api", Some(3_000));
        check("nothing", "", None);
        check("", "web/x shop/Web shop/api", Some(6_000));
    }

    #[test]
    fn the_cursor_stays_on_what_it_was_put_on() {
        let mut listing = listing(&COUNTS);
        let at = Instant::now() + Duration::from_secs(2);
        let look = |listing: &mut Listing<_, _>, counts: &[(&'static str, u64)]| {
            listing.look(at, counts.iter().map(|(key, count)| (*key, (), *count)));
        };
        // Until it is moved, it is on the first row, whoever is there.
        assert_eq!(listing.selected(), Some(&"c"));
        look(&mut listing, &[("a", 6), ("b", 900), ("c", 9), ("d", 8)]);
        assert_eq!((order(&listing).as_str(), listing.selected()), ("b c d a", Some(&"b")));
        listing.go(Move::Down);
        assert_eq!(listing.selected(), Some(&"c"));
        look(&mut listing, &[("a", 60), ("b", 900), ("c", 9), ("d", 800)]);
        assert_eq!((order(&listing).as_str(), listing.selected()), ("d a b c", Some(&"c")));
        // It is gone, so the cursor stays in its row, as far as there is one.
        look(&mut listing, &[("a", 60), ("b", 900), ("d", 800)]);
        assert_eq!((order(&listing).as_str(), listing.selected()), ("b d a", Some(&"a")));
        listing.go(Move::First);
        assert_eq!(listing.selected(), Some(&"b"));
        listing.filter("nothing");
        assert_eq!(listing.selected(), None);
        for way in [Move::Up, Move::Down, Move::PageUp, Move::PageDown, Move::Last, Move::First] {
            listing.go(way);
            assert_eq!(listing.rows(3).count(), 0, "{way:?}");
            assert_eq!(listing.selected(), None, "{way:?}");
        }
    }

    #[test]
    fn the_rows_on_the_screen_have_the_cursor_among_them() {
        let names: Vec<String> = (0..100).map(|number| format!("{number:02}")).collect();
        let mut listing = Listing::new();
        listing.look(Instant::now(), names.iter().map(|name| (name.clone(), (), 0)));
        let mut check = |ways: &[Move], height: usize, expected: (&str, &str, &str)| {
            ways.iter().for_each(|way| listing.go(*way));
            let rows: Vec<(String, bool)> =
                listing.rows(height).map(|(key, _, is_cursor)| (key.clone(), is_cursor)).collect();
            let cursor = rows.iter().find(|(_, is_cursor)| *is_cursor).map(|(key, _)| key.as_str());
            let (first, last) = (rows.first().unwrap(), rows.last().unwrap());
            assert_eq!((first.0.as_str(), cursor.unwrap(), last.0.as_str()), expected, "{ways:?}");
        };
        check(&[], 10, ("00", "00", "09"));
        check(&[Move::Down], 10, ("00", "01", "09"));
        check(&[Move::PageDown], 10, ("01", "10", "10"));
        check(&[Move::Up], 10, ("01", "09", "10"));
        check(&[Move::Last], 10, ("90", "99", "99"));
        check(&[Move::PageUp], 10, ("90", "90", "99"));
        check(&[Move::PageUp], 10, ("81", "81", "90"));
        // The window grows and shrinks.
        check(&[Move::Last], 30, ("70", "99", "99"));
        check(&[], 1, ("99", "99", "99"));
        check(&[], 200, ("00", "99", "99"));
        check(&[Move::First], 10, ("00", "00", "09"));
    }
}
