//! `metadata.labels` of a Service, in little room.

use std::collections::BTreeMap;
use std::fmt;

/// The labels of an object, each key once, in the order of the keys. No rule depends on them: people choose Services by them.
///
/// They are kept as one text that is read from its start to its end, since a cluster has many and they are looked at only
/// when somebody asks. Each label ends in a control character, which neither a key nor a value can have. One of them ends
/// `KEY=VALUE`; each of the others stands for a well-known key, and ends `VALUE` alone. So the six that charts commonly give a
/// Service take 64 to 80 bytes, where their keys alone would take twice as many.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels(Box<str>);

/// Ends a label whose key is spelled out. What ends the others is the place of their key among the well-known ones.
const SPELLED: char = '\x1f';

/// The keys that Kubernetes recommends, and those that are common beside them.
const WELL_KNOWN: [&str; 16] = [
    "app",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "chart",
    "component",
    "helm.sh/chart",
    "heritage",
    "k8s-app",
    "name",
    "release",
    "tier",
    "version",
];

impl Labels {
    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split_inclusive(|letter: char| letter.is_ascii_control()).filter_map(|label| {
            let (text, mark) = label.split_at_checked(label.len().checked_sub(1)?)?;
            match WELL_KNOWN.get(usize::from(*mark.as_bytes().first()?)) {
                Some(key) => Some((*key, text)),
                None => text.split_once('='),
            }
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What cannot be a label is left out. Of equal keys the last one counts.
impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(labels: I) -> Self {
        let labels = labels.into_iter().filter(|(key, value)| {
            !key.is_empty() && [key, value].into_iter().all(|text| text.bytes().all(is_usual))
        });
        let mut text = String::new();
        for (key, value) in labels.collect::<BTreeMap<&str, &str>>() {
            let known = WELL_KNOWN.iter().position(|known| *known == key);
            let mark = known.and_then(|place| u8::try_from(place).ok()).map_or(SPELLED, char::from);
            if mark == SPELLED {
                text.push_str(key);
                text.push('=');
            }
            text.push_str(value);
            text.push(mark);
        }
        Self(text.into())
    }
}

/// Whether the key or the value of a label can have this byte (the API's `IsQualifiedName` and `IsValidLabelValue`).
fn is_usual(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./".contains(&byte)
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Labels {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Labels {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Service;

    /// What becomes of labels.
    #[track_caller]
    fn check(given: &[(&str, &str)], expected: &[(&str, &str)]) {
        let labels: Labels = given.iter().copied().collect();
        assert_eq!(labels.iter().collect::<Vec<_>>(), expected, "{labels:?}");
        assert_eq!(labels.is_empty(), expected.is_empty());
        assert_eq!(labels, expected.iter().copied().collect());
    }

    #[test]
    fn labels_are_those_that_were_given() {
        check(&[], &[]);
        check(&[("tier", ""), ("app", "web")], &[("app", "web"), ("tier", "")]);
        check(
            &[("example.com/env", "a.b_c-d"), ("app", "web"), ("apps", ""), ("app", "db")],
            &[("app", "db"), ("apps", ""), ("example.com/env", "a.b_c-d")],
        );
        let all = WELL_KNOWN.map(|key| (key, key));
        check(&all, &all);
        assert!(WELL_KNOWN.len() < SPELLED as usize);
    }

    #[test]
    fn what_cannot_be_a_label_is_left_out() {
        let wrong = [
            ("", "a"),
            ("a=b", "c"),
            ("a\x1f", "b"),
            ("a", "b\x01c"),
            ("a", "b=c"),
            ("a", "b c"),
            ("ä", "b"),
        ];
        for label in wrong {
            check(&[("x", "y"), label], &[("x", "y")]);
        }
    }

    /// An agent keeps 10,000 Services and more. The allocator hands out 160, 192, 224 bytes, and below 128 multiples of 16.
    #[test]
    fn labels_take_little_room() {
        assert!(size_of::<Service>() <= 192, "{}", size_of::<Service>());
        let chart = [
            ("app.kubernetes.io/component", "frontend"),
            ("app.kubernetes.io/instance", "checkout"),
            ("app.kubernetes.io/managed-by", "Helm"),
            ("app.kubernetes.io/name", "checkout"),
            ("app.kubernetes.io/version", "1.24.3"),
            ("helm.sh/chart", "checkout-5.14.0"),
        ];
        let labels: Labels = chart.into_iter().collect();
        assert!(labels.0.len() <= 64, "{}", labels.0.len());
    }
}
