//! Tables as kubectl prints them: columns three blanks apart, as wide as their widest cell.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// What stands where nothing is known.
pub(super) const UNKNOWN: &str = "-";
/// What stands where there is nothing.
pub(super) const NONE: &str = "<none>";

const BETWEEN: &str = "   ";

/// One cell.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// The same; it catches the eye where something is wrong.
    pub(super) fn red_if(self, is_wrong: bool) -> Self {
        let style = if is_wrong { AnsiColor::Red.on_default() } else { self.style };
        Self { style, ..self }
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.to_string(), style: Style::new() }
    }
}

/// What is known, or [`UNKNOWN`].
pub(super) fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// Values with commas between, or [`NONE`].
pub(super) fn list(values: impl IntoIterator<Item = impl ToString>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if values.is_empty() { NONE.to_owned() } else { values.join(",") }
}

/// A table in the making. Rows can be printed before it is complete: they are as wide as what is known by then.
#[derive(Debug, Default)]
pub(super) struct Table {
    widths: Vec<usize>,
    rows: Vec<Vec<Cell>>,
    coloured: bool,
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(coloured: bool, headings: &[&str]) -> Self {
        let mut table = Self { coloured, ..Self::default() };
        let bold = |heading: &&str| Cell { text: (*heading).to_owned(), style: Style::new().bold() };
        table.add(headings.iter().map(bold).collect());
        table
    }

    pub(super) fn add(&mut self, row: Vec<Cell>) {
        self.widths.resize(self.widths.len().max(row.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(&row) {
            *width = (*width).max(cell.text.chars().count());
        }
        self.rows.push(row);
    }

    /// The rows so far, which are forgotten.
    pub(super) fn take(&mut self) -> String {
        let text = self.to_string();
        self.rows.clear();
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let last = row.len().saturating_sub(1);
            for (index, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
                let Cell { text, style } = cell;
                if self.coloured {
                    write!(f, "{style}{text}{style:#}")?;
                } else {
                    f.write_str(text)?;
                }
                if index < last {
                    let rest = width.saturating_sub(text.chars().count());
                    write!(f, "{:rest$}{BETWEEN}", "")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
