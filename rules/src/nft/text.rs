//! Text that comes from outside: comments and the lines at the head of a script.

use std::fmt::{self, Write};

use crate::ruleset::MAX_COMMENT;

/// Writes ` comment "..."`, or nothing where there is no text.
///
/// nft's strings have no escapes, so a quote cannot be said; nor may text from the cluster begin a new line.
pub(super) fn write_comment(out: &mut impl Write, comment: Option<&str>) -> fmt::Result {
    let Some(text) = comment.filter(|text| !text.is_empty()) else { return Ok(()) };
    out.write_str(" comment \"")?;
    let mut len = 0;
    for c in text.chars().map(printable) {
        let c = if c == '"' { '\'' } else { c };
        len += c.len_utf8();
        if len > MAX_COMMENT {
            break;
        }
        out.write_char(c)?;
    }
    out.write_char('"')
}

/// Writes text as comment lines.
pub(super) fn write_remark(out: &mut impl Write, text: &str) -> fmt::Result {
    for line in text.lines() {
        out.write_str(if line.is_empty() { "#" } else { "# " })?;
        for c in line.chars().map(printable) {
            out.write_char(c)?;
        }
        out.write_char('\n')?;
    }
    Ok(())
}

fn printable(c: char) -> char {
    if c.is_control() { '?' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_hold_nothing_that_ends_them() {
        let check = |text: Option<&str>, expected: &str| {
            let mut out = String::new();
            write_comment(&mut out, text).unwrap();
            assert_eq!(out, expected, "{text:?}");
        };
        check(None, "");
        check(Some(""), "");
        check(Some("default/web"), " comment \"default/web\"");
        check(Some("a\"; flush ruleset"), " comment \"a'; flush ruleset\"");
        check(Some("a\nb\u{85}c\\d*"), " comment \"a?b?c\\d*\"");
        check(Some(&"x".repeat(128)), &format!(" comment \"{}\"", "x".repeat(127)));
        check(Some(&"é".repeat(64)), &format!(" comment \"{}\"", "é".repeat(63)));
    }

    #[test]
    fn remarks_stay_comments_on_every_line() {
        let check = |text: &str, expected: &str| {
            let mut out = String::new();
            write_remark(&mut out, text).unwrap();
            assert_eq!(out, expected, "{text:?}");
        };
        check("node worker-1", "# node worker-1\n");
        check("a\r\nb\n\nc\rd", "# a\n# b\n#\n# c?d\n");
    }
}
