//! Text in boxes: what can be shown, how wide it is, and where its lines end.

/// How wide a character of ASCII may be in a monospaced font of 13 pixels; common ones take 7.15 to 7.83.
pub(super) const CHARACTER: i32 = 8;

/// How wide any other character may be.
const WIDE_CHARACTER: i32 = 20;

/// After these a line may end.
const BREAKS: [char; 8] = [' ', '/', '-', '.', ',', ':', '_', ']'];

/// What others put into the kernel may hold what no document may, or what turns the text around it.
pub(super) fn printable(text: &str) -> String {
    let show = |c: char| {
        let turns = matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns || matches!(c, '\u{fffe}' | '\u{ffff}') { '?' } else { c }
    };
    text.chars().map(show).collect()
}

/// At most how wide a line is, in pixels.
pub(super) fn width(line: &str) -> i32 {
    line.chars().map(|c| if c.is_ascii() { CHARACTER } else { WIDE_CHARACTER }).fold(0, i32::saturating_add)
}

/// Lines that are no wider than so many pixels, or hold a single character; nothing is lost but blanks at the ends of lines.
pub(super) fn wrap(text: &str, max: i32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.trim();
    while width(rest) > max {
        let end = end_of_line(rest, max);
        let (line, more) = rest.split_at_checked(end).unwrap_or((rest, ""));
        lines.push(line.trim_end().to_owned());
        rest = more.trim_start();
    }
    if !rest.is_empty() || lines.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// Where the first line of a text ends that is too wide, in bytes: behind the last break that leaves it more than half full, else
/// where it is full.
fn end_of_line(text: &str, max: i32) -> usize {
    let (mut full, mut broken, mut used) = (0, None, 0);
    for (at, c) in text.char_indices() {
        used += if c.is_ascii() { CHARACTER } else { WIDE_CHARACTER };
        // A blank at the end is not shown.
        let fits = used <= max || (c == ' ' && used - CHARACTER <= max);
        if !fits && full > 0 {
            break;
        }
        full = at + c.len_utf8();
        if BREAKS.contains(&c) && used > max / 2 {
            broken = Some(full);
        }
    }
    broken.unwrap_or(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_words_do_and_never_run_over() {
        let check = |text: &str, characters: i32, expected: &[&str]| {
            let lines = wrap(text, characters * CHARACTER);
            assert_eq!(lines, expected, "{text}");
        };
        check("", 10, &[""]);
        check("web", 10, &["web"]);
        check("goto service-default/web", 16, &["goto service-", "default/web"]);
        check("10.96.0.10 . tcp . 80", 16, &["10.96.0.10 . tcp", ". 80"]);
        check("abcdefghijkl", 5, &["abcde", "fghij", "kl"]);
        check("a bcdefghijkl", 6, &["a bcde", "fghijk", "l"]);
        check("\u{ac00}\u{ac01}\u{ac02}", 5, &["\u{ac00}\u{ac01}", "\u{ac02}"]);
        check("\u{ac00}\u{ac01}", 1, &["\u{ac00}", "\u{ac01}"]);
    }

    #[test]
    fn what_is_not_text_is_not_shown() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}c\u{ffff}"), "a?[2J?b?c?");
    }
}
