//! What becomes of the rules of a chain.

use crate::installed::InstalledRule;
use crate::ruleset::Rule;

/// A rule that is on one side only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit<'a> {
    Gone(&'a InstalledRule),
    New(&'a Rule),
}

/// The edits that make the new rules of the old ones, in the order of the chain.
///
/// Unlike the differ, which looks for the fewest messages, this one keeps every rule for which the other side has an equal
/// one in order, so that people see what is really gone.
pub(super) fn edits<'a>(mut new: &'a [Rule], mut old: &'a [InstalledRule]) -> Vec<Edit<'a>> {
    let same = |old: &InstalledRule, new: &Rule| old.rule.as_ref() == Some(new);
    let mut edits = Vec::new();
    loop {
        match (old, new) {
            ([], []) => return edits,
            ([first, rest @ ..], [wanted, behind @ ..]) if same(first, wanted) => (old, new) = (rest, behind),
            // What comes back further on is waited for, unless both sides do: then a rule has moved.
            ([first, ..], [wanted, behind @ ..])
                if new.iter().any(|rule| same(first, rule)) && !old.iter().any(|rule| same(rule, wanted)) =>
            {
                edits.push(Edit::New(wanted));
                new = behind;
            }
            ([first, rest @ ..], _) => {
                edits.push(Edit::Gone(first));
                old = rest;
            }
            ([], [wanted, behind @ ..]) => {
                edits.push(Edit::New(wanted));
                new = behind;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn rule(comment: char) -> Rule {
        Rule { comment: Some(Name::from(comment.to_string())), ..Rule::default() }
    }

    #[test]
    fn rules_that_are_on_both_sides_stay() {
        let check = |old: &str, new: &str, expected: &str| {
            let new: Vec<Rule> = new.chars().map(rule).collect();
            let old = old.chars().map(|c| InstalledRule { handle: None, rule: (c != '?').then(|| rule(c)) });
            let old: Vec<InstalledRule> = old.collect();
            let said = |rule: Option<&Rule>| {
                rule.map_or("?".to_owned(), |rule| rule.comment.as_ref().unwrap().to_string())
            };
            let edits: Vec<String> = edits(&new, &old)
                .into_iter()
                .map(|edit| match edit {
                    Edit::Gone(rule) => format!("-{}", said(rule.rule.as_ref())),
                    Edit::New(rule) => format!("+{}", said(Some(rule))),
                })
                .collect();
            assert_eq!(edits.join(" "), expected);
        };
        check("", "", "");
        check("abc", "abc", "");
        check("", "ab", "+a +b");
        check("ab", "", "-a -b");
        check("abc", "axc", "-b +x");
        check("abc", "xabcy", "+x +y");
        check("?a?bz?", "ab", "-? -? -z -?");
        check("abcd", "axcy", "-b +x -d +y");
        check("aaab", "aab", "-a");
        check("aab", "aaab", "+a");
        check("ab", "ba", "-a +a");
        check("aaaab", "cccd", "-a -a -a -a -b +c +c +c +d");
    }
}
