//! The elements of a set, in one piece of memory: there may be a million of them.

use std::ops::{Bound, RangeBounds};
use std::{slice, vec};

use super::{Element, Value};

/// Elements in the order of their keys, each key once; an interval's key is its first value.
///
/// Made by collecting, which sorts once and costs next to nothing where the order is right already. To insert or remove
/// one moves all that follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Elements(Vec<(Value, Element)>);

/// Elements by reference.
type Iter<'a> =
    std::iter::Map<slice::Iter<'a, (Value, Element)>, fn(&(Value, Element)) -> (&Value, &Element)>;

impl Elements {
    /// No element.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The element with a key.
    #[must_use]
    pub fn get(&self, key: &Value) -> Option<&Element> {
        let place = self.place(key).ok()?;
        self.0.get(place).map(|(_, element)| element)
    }

    /// Whether there is an element with a key.
    #[must_use]
    pub fn contains_key(&self, key: &Value) -> bool {
        self.place(key).is_ok()
    }

    /// Puts an element in; what had the key until then.
    pub fn insert(&mut self, key: Value, element: Element) -> Option<Element> {
        match self.place(&key) {
            Ok(place) => self.0.get_mut(place).map(|(_, old)| std::mem::replace(old, element)),
            Err(place) => {
                self.0.insert(place, (key, element));
                None
            }
        }
    }

    /// Takes an element out.
    pub fn remove(&mut self, key: &Value) -> Option<Element> {
        let place = self.place(key).ok()?;
        Some(self.0.remove(place).1)
    }

    /// All elements.
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(|(key, element)| (key, element))
    }

    /// All keys.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.0.iter().map(|(key, _)| key)
    }

    /// What all keys stand for.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Element> {
        self.0.iter().map(|(_, element)| element)
    }

    /// The elements whose keys lie in a range.
    pub fn range(&self, range: impl RangeBounds<Value>) -> impl Iterator<Item = (&Value, &Element)> {
        let below = |bound: Bound<&Value>, including: bool| match bound {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(self.0.partition_point(|(k, _)| k < key || (including && k == key))),
            Bound::Excluded(key) => {
                Some(self.0.partition_point(|(k, _)| k < key || (!including && k == key)))
            }
        };
        let start = below(range.start_bound(), false).unwrap_or(0);
        let end = below(range.end_bound(), true).unwrap_or(self.0.len());
        self.0.get(start..end).unwrap_or_default().iter().map(|(key, element)| (key, element))
    }

    /// Every key of two sets of elements, with what it stands for in each: one walk through both.
    pub fn beside<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Value, Option<&'a Element>, Option<&'a Element>)> {
        let (mut these, mut others) = (self.iter().peekable(), other.iter().peekable());
        std::iter::from_fn(move || {
            let key = match (these.peek(), others.peek()) {
                (Some((this, _)), Some((other, _))) => (*this).min(*other),
                (Some((key, _)), None) | (None, Some((key, _))) => *key,
                (None, None) => return None,
            };
            let this = these.next_if(|(this, _)| *this == key);
            let other = others.next_if(|(other, _)| *other == key);
            Some((key, this.map(|(_, element)| element), other.map(|(_, element)| element)))
        })
    }

    /// Where a key is, or where it would be.
    fn place(&self, key: &Value) -> Result<usize, usize> {
        // Most are put in behind the last one.
        match self.0.last() {
            Some((last, _)) if last < key => Err(self.0.len()),
            _ => self.0.binary_search_by(|(other, _)| other.cmp(key)),
        }
    }
}

impl FromIterator<(Value, Element)> for Elements {
    /// Where a key comes twice, the last one counts.
    fn from_iter<I: IntoIterator<Item = (Value, Element)>>(elements: I) -> Self {
        let mut elements: Vec<_> = elements.into_iter().collect();
        if !elements.is_sorted_by(|(a, _), (b, _)| a < b) {
            elements.sort_by(|(a, _), (b, _)| a.cmp(b));
            elements.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
        elements.shrink_to_fit();
        Self(elements)
    }
}

impl Extend<(Value, Element)> for Elements {
    fn extend<I: IntoIterator<Item = (Value, Element)>>(&mut self, elements: I) {
        *self = std::mem::take(self).into_iter().chain(elements).collect();
    }
}

impl IntoIterator for Elements {
    type Item = (Value, Element);
    type IntoIter = vec::IntoIter<(Value, Element)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Elements {
    type Item = (&'a Value, &'a Element);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    /// Elements whose keys are the letters and whose comments tell where in the text each came.
    fn elements(letters: &str) -> Elements {
        let element = |(place, letter): (usize, char)| {
            (
                Value::from_bytes(&[letter as u8]),
                Element::key_only().with_comment(Name::from(place.to_string())),
            )
        };
        letters.chars().enumerate().map(element).collect()
    }

    fn text<'a>(elements: impl Iterator<Item = (&'a Value, &'a Element)>) -> String {
        let one = |(key, element): (&Value, &Element)| {
            format!("{}{}", char::from(key.as_bytes()[0]), element.comment.as_deref().unwrap_or_default())
        };
        elements.map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn collecting_sorts_and_the_last_of_a_key_counts() {
        let check =
            |letters, expected: &str| assert_eq!(text(elements(letters).iter()), expected, "{letters}");
        check("", "");
        check("abc", "a0 b1 c2");
        check("cab", "a1 b2 c0");
        check("abaca", "a4 b1 c3");
    }

    #[test]
    fn elements_come_and_go_in_order() {
        let mut some = elements("bd");
        let [a, b, c, e] = ["a", "b", "c", "e"].map(|key| Value::from_bytes(key.as_bytes()));
        for key in [&e, &c, &a, &b] {
            let old = some.insert(key.clone(), Element::key_only());
            assert_eq!(old.is_some(), *key == b, "{key:?}");
        }
        assert_eq!(text(some.iter()), "a b c d1 e");
        assert!(some.remove(&c).is_some() && some.remove(&c).is_none());
        assert!(some.contains_key(&b) && some.get(&c).is_none());
        assert_eq!(text(some.range(&b..&e)), "b d1");
        assert_eq!(text(some.range(b..=e)), "b d1 e");
        assert_eq!(text(some.range(&c..)), "d1 e");
        some.extend(elements("bz"));
        assert_eq!(text(some.iter()), "a b0 d1 e z1");
    }

    #[test]
    fn two_are_walked_through_side_by_side() {
        let check = |left, right, expected: &[&str]| {
            let (left, right) = (elements(left), elements(right));
            let found: Vec<String> = left
                .beside(&right)
                .map(|(key, left, right)| {
                    let sign = |there: Option<&Element>| if there.is_some() { '+' } else { '-' };
                    format!("{}{}{}", char::from(key.as_bytes()[0]), sign(left), sign(right))
                })
                .collect();
            assert_eq!(found, expected);
        };
        check("", "", &[]);
        check("ab", "", &["a+-", "b+-"]);
        check("", "ab", &["a-+", "b-+"]);
        check("abd", "bce", &["a+-", "b++", "c-+", "d+-", "e-+"]);
    }
}
