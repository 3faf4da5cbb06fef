//! What keys mean.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::listing::Move;
use super::model::Command;

/// The keys and what they do, for people.
pub(super) const HELP: [(&str, &str); 12] = [
    ("up down, k j", "move the cursor"),
    ("PgUp PgDn, Home End", "by pages, to the first and the last row"),
    ("Enter", "the backends and frontends of a Service"),
    ("Esc, q", "back; q at the outermost ends"),
    ("Tab", "from backends to frontends and back"),
    ("s, > and <", "sort by the next column, by the one before"),
    ("r", "sort backwards"),
    ("/", "only Services with this in their name; Enter keeps it, Esc drops it"),
    ("p, space", "stop, and go on"),
    ("Ctrl-Z", "go to the background; the shell's fg comes back"),
    ("h, ?", "this help"),
    ("Ctrl-C", "end"),
];

/// What a key means, also while a filter is typed.
pub(super) fn command(key: KeyEvent, typing: bool) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Command::Quit),
            KeyCode::Char('z') => Some(Command::Suspend),
            KeyCode::Char('u') if typing => Some(Command::EraseAll),
            _ => None,
        };
    }
    match key.code {
        KeyCode::Up => Some(Command::Go(Move::Up)),
        KeyCode::Down => Some(Command::Go(Move::Down)),
        KeyCode::PageUp => Some(Command::Go(Move::PageUp)),
        KeyCode::PageDown => Some(Command::Go(Move::PageDown)),
        KeyCode::Home => Some(Command::Go(Move::First)),
        KeyCode::End => Some(Command::Go(Move::Last)),
        KeyCode::Enter => Some(Command::Enter),
        KeyCode::Esc => Some(Command::Back),
        KeyCode::Backspace if typing => Some(Command::Erase),
        KeyCode::Char(letter) if typing => Some(Command::Type(letter)),
        KeyCode::Right if !typing => Some(Command::Enter),
        KeyCode::Left | KeyCode::Backspace if !typing => Some(Command::Back),
        KeyCode::Tab => Some(Command::OtherTable),
        KeyCode::Char(letter) => of_letter(letter),
        _ => None,
    }
}

fn of_letter(letter: char) -> Option<Command> {
    Some(match letter {
        'k' => Command::Go(Move::Up),
        'j' => Command::Go(Move::Down),
        'g' => Command::Go(Move::First),
        'G' => Command::Go(Move::Last),
        's' | '>' => Command::NextSort,
        'S' | '<' => Command::PreviousSort,
        'r' => Command::Reverse,
        '/' => Command::Filter,
        'p' | ' ' => Command::Pause,
        'h' | '?' => Command::Help,
        'q' => Command::Leave,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_text_while_a_filter_is_typed() {
        let check = |code: KeyCode, modifiers: KeyModifiers, expected: [Option<Command>; 2]| {
            let found = [false, true].map(|typing| command(KeyEvent::new(code, modifiers), typing));
            assert_eq!(found, expected, "{code:?}");
        };
        let none = KeyModifiers::NONE;
        check(KeyCode::Char('q'), none, [Some(Command::Leave), Some(Command::Type('q'))]);
        check(KeyCode::Char('?'), KeyModifiers::SHIFT, [Some(Command::Help), Some(Command::Type('?'))]);
        check(KeyCode::Char('x'), none, [None, Some(Command::Type('x'))]);
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, [Some(Command::Quit); 2]);
        check(KeyCode::Char('u'), KeyModifiers::CONTROL, [None, Some(Command::EraseAll)]);
        check(KeyCode::Esc, none, [Some(Command::Back); 2]);
        check(KeyCode::Backspace, none, [Some(Command::Back), Some(Command::Erase)]);
        check(KeyCode::Down, none, [Some(Command::Go(Move::Down)); 2]);
        check(KeyCode::F(1), none, [None; 2]);
    }
}
