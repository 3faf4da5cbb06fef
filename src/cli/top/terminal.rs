//! The terminal, taken over and given back.

use std::io::{self, IsTerminal as _};
use std::{env, mem, thread};

use ratatui::DefaultTerminal;

use crate::cli::Failure;

/// The terminal in our hands. It is as it was before when this is dropped, and before a panic's message is printed.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes over the terminal.
    ///
    /// # Errors
    ///
    /// Where it cannot be; it is as it was then.
    pub(super) fn open() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                ratatui::restore();
                Err(error)
            }
        }
    }

    /// What is drawn on.
    pub(super) fn terminal(&mut self) -> &mut DefaultTerminal {
        &mut self.0
    }

    /// Gives the terminal back while `pause` runs.
    ///
    /// # Errors
    ///
    /// Where it cannot be taken over again.
    pub(super) fn lend(&mut self, pause: impl FnOnce()) -> io::Result<()> {
        give_back(&mut self.0);
        pause();
        let terminal = ratatui::try_init()?;
        // It draws everything anew. Asking it to clear itself would make it ask the terminal, whose answers are read as keys.
        drop(mem::replace(&mut self.0, terminal));
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back(&mut self.0);
    }
}

/// Nothing is left to be done where that fails: the terminal is gone.
fn give_back(terminal: &mut DefaultTerminal) {
    drop(terminal.show_cursor());
    // In a panic that was done before its message, which leaving the screen once more would put the cursor on.
    if !thread::panicking() {
        ratatui::restore();
    }
}

/// Whether there is a terminal that can be drawn on.
///
/// # Errors
///
/// [`Failure::Usage`] where there is none, with what to do.
pub(super) fn check() -> Result<(), Failure> {
    if io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|name| name != "dumb") {
        return Ok(());
    }
    Err(Failure::Usage("standard output is no terminal to draw on: --batch prints tables".to_owned()))
}

#[cfg(test)]
#[path = "../../../tests/pty_support/mod.rs"]
mod pty_support;

#[cfg(test)]
mod tests {
    use super::pty_support::Terminal;
    use super::*;

    /// Set where the test is run on a terminal, by itself.
    const ON_A_TERMINAL: &str = "SVCNAT_TEST_ON_A_TERMINAL";

    #[test]
    fn a_panic_can_be_read_and_leaves_the_terminal_as_it_was() {
        if env::var_os(ON_A_TERMINAL).is_some() {
            let mut screen = Screen::open().unwrap();
            screen.terminal().draw(|_| {}).unwrap();
            panic!("this is why");
        }
        let name = "cli::top::terminal::tests::a_panic_can_be_read_and_leaves_the_terminal_as_it_was";
        let program = env::current_exe().unwrap();
        let arguments = ["--exact", name, "--nocapture"];
        let mut terminal =
            Terminal::start_with(program.to_str().unwrap(), &arguments, (100, 24), |command| {
                command.env(ON_A_TERMINAL, "1").env("RUST_BACKTRACE", "0")
            });
        terminal.ended_as_it_began(101);
        terminal.until_shown("this is why");
        assert!(terminal.told().contains("\u{1b}[?1049h"), "{:?}", terminal.told());
    }

    #[test]
    fn the_terminal_is_lent_and_taken_back() {
        if env::var_os(ON_A_TERMINAL).is_some() {
            let mut screen = Screen::open().unwrap();
            screen.terminal().draw(|frame| frame.render_widget("ours", frame.area())).unwrap();
            screen.lend(|| print!("\r\nlent\r\n")).unwrap();
            screen.terminal().draw(|frame| frame.render_widget("ours again", frame.area())).unwrap();
            std::io::stdin().read_line(&mut String::new()).unwrap();
            return;
        }
        let name = "cli::top::terminal::tests::the_terminal_is_lent_and_taken_back";
        let program = env::current_exe().unwrap();
        let arguments = ["--exact", name, "--nocapture"];
        let mut terminal =
            Terminal::start_with(program.to_str().unwrap(), &arguments, (100, 24), |command| {
                command.env(ON_A_TERMINAL, "1").env("RUST_BACKTRACE", "0")
            });
        terminal.until_shown("ours again");
        assert_eq!(terminal.state(), (true, false));
        assert!(!terminal.screen().contains("lent"));
        terminal.type_keys("\n");
        terminal.ended_as_it_began(0);
        terminal.until_shown("lent");
    }
}
