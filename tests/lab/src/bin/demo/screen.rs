//! What the demo shows: headings, commands, what they print, bars. Colours on terminals only.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, IsTerminal, Stdout, Write};

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// How wide the longest possible bar is, in characters.
const BAR: usize = 60;

/// Standard output with a little typography.
pub struct Screen {
    out: Stdout,
    colours: bool,
    steps: usize,
}

impl Screen {
    pub fn new() -> Self {
        let out = io::stdout();
        // https://no-color.org
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colours: out.is_terminal() && !unwanted, out, steps: 0 }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The title, or a step of the story, which gets a number.
    pub fn heading(&mut self, text: &str) -> io::Result<()> {
        let line = if self.steps == 0 { text.to_owned() } else { format!("{}. {text}", self.steps) };
        self.steps += 1;
        let line = self.paint(BOLD, &line);
        writeln!(self.out, "{line}\n")
    }

    /// Explaining text.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "  {text}")
    }

    /// An empty line.
    pub fn gap(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// A command line, and where it runs.
    pub fn command(&mut self, host: &str, line: &str) -> io::Result<()> {
        let prompt = self.paint(CYAN, &format!("{host} $"));
        writeln!(self.out, "  {prompt} {line}")
    }

    /// What a program printed.
    pub fn output(&mut self, text: &str) -> io::Result<()> {
        let margin = self.paint(DIM, "│");
        text.lines().try_for_each(|line| writeln!(self.out, "  {margin} {line}"))?;
        writeln!(self.out)
    }

    /// One bar for each name, as long as its part of the whole.
    pub fn bars(&mut self, counts: &BTreeMap<String, usize>) -> io::Result<()> {
        let total: usize = counts.values().sum();
        let width = counts.keys().map(String::len).max().unwrap_or_default();
        for (name, count) in counts {
            let length = (count * BAR).checked_div(total).unwrap_or_default();
            let bar = self.paint(GREEN, &"█".repeat(length));
            writeln!(self.out, "  {name:width$}  {bar} {count}")?;
        }
        Ok(())
    }
}
