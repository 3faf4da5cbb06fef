//! The page: tables in Markdown, put between the marks of a document that otherwise stays as it is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Result;
use super::sample::Samples;
use crate::cluster::thousands;

/// A table.
#[derive(Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&cell| cell.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// In Markdown. Every column but the first is of numbers.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rules: Vec<String> = self
            .header
            .iter()
            .enumerate()
            .map(|(index, _)| if index == 0 { "---" } else { "---:" }.to_owned())
            .collect();
        let mut text = line(&self.header) + &line(&rules);
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

/// A generated part of the page, with its name.
pub type Part = (&'static str, String);

/// All parts one after the other.
pub fn text(parts: &[Part]) -> String {
    parts.iter().map(|(name, part)| format!("{name}\n\n{part}\n")).collect()
}

/// Writes the page with these parts anew.
pub fn write(page: &Path, parts: &[Part]) -> Result<()> {
    let mut content = fs::read_to_string(page)?;
    for (name, part) in parts {
        content = replace(&content, name, part)?;
    }
    Ok(fs::write(page, content)?)
}

/// Puts a generated part in the place of the one before, between `<!-- NAME -->` and `<!-- end -->`.
fn replace(page: &str, name: &str, content: &str) -> Result<String> {
    let missing = || format!("the page has no part <!-- {name} --> ... <!-- end -->");
    let mark = format!("<!-- {name} -->\n");
    let (head, rest) = page.split_once(&mark).ok_or_else(missing)?;
    let (_, tail) = rest.split_once("<!-- end -->").ok_or_else(missing)?;
    Ok(format!("{head}{mark}\n{}\n\n<!-- end -->{tail}", content.trim_end()))
}

/// A figure, and whether it is what was to be reached.
pub fn judged(figure: Option<(String, bool)>) -> String {
    match figure {
        Some((text, true)) => text,
        Some((text, false)) => format!("**{text}** (missed)"),
        None => "-".to_owned(),
    }
}

/// A time with three digits.
pub fn time(time: Option<Duration>) -> String {
    let Some(time) = time else { return "-".to_owned() };
    let seconds = time.as_secs_f64();
    let (number, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    let decimals = if number >= 99.95 {
        0
    } else if number >= 9.995 {
        1
    } else {
        2
    };
    format!("{number:.decimals$} {unit}")
}

/// The median of some samples.
pub fn median(samples: &Samples) -> String {
    time(samples.median())
}

/// How many times one is the other.
pub fn times(quotient: Option<f64>) -> String {
    quotient.map_or("-".to_owned(), |quotient| {
        if quotient >= 10.0 { format!("{quotient:.0} x") } else { format!("{quotient:.2} x") }
    })
}

/// Bytes, in the unit that suits.
pub fn bytes(count: usize) -> String {
    match count {
        0..10_000 => format!("{} B", thousands(count)),
        10_000..10_000_000 => format!("{} kB", thousands(count / 1_000)),
        _ => format!("{} MB", thousands(count / 1_000_000)),
    }
}
