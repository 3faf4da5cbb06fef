//! Label selectors as kubectl takes them: `app=web,tier!=db,env in (a, b),zone notin (c),shared,!canary`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use kube::core::{Expression, Selector, SelectorExt as _};
use svcnat_rules::cluster::Labels;
use svcnat_rules::describe::ServiceSummary;

/// What labels must be like. Displayed as it is read.
#[derive(Debug, Clone)]
pub struct LabelSelector(Selector);

impl LabelSelector {
    /// Whether a Service is selected; not where its labels are not known.
    #[must_use]
    pub fn selects(&self, service: &ServiceSummary) -> bool {
        service.labels.as_ref().is_some_and(|labels| self.matches(labels))
    }

    fn matches(&self, labels: &Labels) -> bool {
        self.0.matches(&labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

impl FromStr for LabelSelector {
    /// What is wrong: a phrase.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let requirements = split(text).into_iter().map(str::trim);
        requirements.map(requirement).collect::<Result<Selector, String>>().map(Self)
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Parts at the commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|letter| {
        inside = letter == '(' || (inside && letter != ')');
        letter == ',' && !inside
    })
    .collect()
}

fn requirement(text: &str) -> Result<Expression, String> {
    if let Some((key, set)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let values: BTreeSet<String> =
            set.split(',').map(|word| value(word.trim())).collect::<Result<_, _>>()?;
        let mut words = key.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Ok(Expression::In(key_of(name)?, values)),
            (Some(name), Some("notin"), None) => Ok(Expression::NotIn(key_of(name)?, values)),
            _ => Err(format!("{text:?} is neither KEY in (...) nor KEY notin (...)")),
        };
    }
    if let Some((name, wanted)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(key_of(name.trim())?, value(wanted.trim())?));
    }
    if let Some((name, wanted)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Expression::Equal(key_of(name.trim())?, value(wanted.trim())?));
    }
    match text.strip_prefix('!') {
        Some(name) => Ok(Expression::DoesNotExist(key_of(name.trim())?)),
        None => Ok(Expression::Exists(key_of(text)?)),
    }
}

/// A label's key: perhaps a prefix that is a DNS name, and a name.
fn key_of(text: &str) -> Result<String, String> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_prefix =
        |prefix: &str| prefix.len() <= 253 && !prefix.is_empty() && prefix.split('.').all(is_word);
    if prefix.is_none_or(is_prefix) && !name.is_empty() && is_word(name) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} cannot be the key of a label"))
    }
}

fn value(text: &str) -> Result<String, String> {
    if text.is_empty() || is_word(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} cannot be the value of a label"))
    }
}

/// Up to 63 letters, digits, `-`, `_` and `.`, the first and the last one a letter or digit.
fn is_word(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63 && outer(bytes.first()) && outer(bytes.last()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_selected_as_by_kubectl() {
        let labels = [("app", "web"), ("tier", "front"), ("example.com/env", "")];
        let labels: Labels = labels.into_iter().collect();
        let check = |selector: &str, expected: bool| {
            let parse = |text: &str| {
                text.parse::<LabelSelector>().unwrap_or_else(|error| panic!("{selector}: {error}"))
            };
            let parsed = parse(selector);
            assert_eq!(parsed.matches(&labels), expected, "{selector}");
            assert_eq!(parse(&parsed.to_string()).0, parsed.0, "as it goes to the agent");
        };
        for selector in [
            "app=web",
            "app==web",
            "app = web, tier=front",
            "app!=db",
            "other!=x",
            "app",
            "!other",
            "app in (db, web),tier",
            "other notin (a,b)",
            "example.com/env=",
            "example.com/env in (,x)",
        ] {
            check(selector, true);
        }
        for selector in [
            "app=db",
            "app=web,tier=back",
            "app!=web",
            "other=x",
            "other",
            "!app",
            "app in (db)",
            "app notin (db,web)",
            "other in (a)",
        ] {
            check(selector, false);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for selector in [
            "",
            "app=web,",
            "=web",
            "app=a b",
            "app in",
            "app in web",
            "in (a)",
            "a b",
            "-a=b",
            "a/=b",
            "a=(b)",
        ] {
            assert!(selector.parse::<LabelSelector>().is_err(), "{selector:?}");
        }
    }
}
