//! What a document shows, held against what a command prints.

/// What stands for anything.
const ANYTHING: &str = "...";

/// Whether lines are those of a document. Blanks at their ends do not count, nor do empty lines at the end of all.
pub fn matches(expected: &[String], found: &str) -> bool {
    let found: Vec<&str> = found.trim_end().lines().map(str::trim_end).collect();
    let end = expected.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    let expected: Vec<&str> = expected.iter().take(end).map(|line| line.trim_end()).collect();
    all(&expected, &found)
}

fn all(expected: &[&str], found: &[&str]) -> bool {
    match (expected.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((&first, rest)), found_first) if first.trim_start() == ANYTHING => {
            all(rest, found) || found_first.is_some_and(|(_, found)| all(expected, found))
        }
        (Some((first, rest)), Some((line, found))) => matches_line(first, line) && all(rest, found),
        _ => false,
    }
}

fn matches_line(expected: &str, found: &str) -> bool {
    let Some((head, rest)) = expected.split_once(ANYTHING) else { return expected == found };
    let Some(found) = found.strip_prefix(head) else { return false };
    // A mark of what was cut off may be followed by anything, the end of the line too.
    found
        .char_indices()
        .map(|(at, _)| at)
        .chain([found.len()])
        .any(|at| found.get(at..).is_some_and(|found| matches_line(rest, found)))
}

#[test]
fn what_is_shown_must_be_printed() {
    let check = |expected: &[&str], found: &str, same: bool| {
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(matches(&expected, found), same, "{expected:?} {found:?}");
    };
    check(&[], "", true);
    check(&[], "a", false);
    check(&["a"], "", false);
    check(&["a"], "a\n", true);
    check(&["a", ""], "a", true);
    check(&["a"], "a\nb", false);
    check(&["...", "b"], "a\na\nb", true);
    check(&["...", "b"], "b", true);
    check(&["a", "    ...", "b"], "a\nc\n", false);
    check(&["a", "..."], "a\nb\nc", true);
    check(&["port ... is open"], "port 80 is open", true);
    check(&["port ... is open"], "port 80 is closed", false);
    check(&["... b ... d"], "a b c d", true);
    check(&["a..."], "a", true);
}
