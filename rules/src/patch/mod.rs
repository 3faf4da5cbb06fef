//! The difference between what should be and what the kernel holds, as a patch that people read.
//!
//! [`diff()`](crate::diff::diff) says what must be done, in the kernel's order; the patch says what is different, by Service,
//! and so leaves out what only has to go and come again because it is in the way. One is empty where the other is.

mod build;
mod line;
mod owner;
mod rules;

use crate::installed::Installed;
use crate::ruleset::Ruleset;

pub use line::{Line, Mark};
pub use owner::Owner;

pub(crate) use line::printable;

/// What is different.
#[derive(Debug, Clone, Default)]
pub struct Patch<'a> {
    /// By owner, in the order of [`Owner`]; none is without lines.
    pub sections: Vec<Section<'a>>,
}

/// What is different for one owner.
#[derive(Debug, Clone)]
pub struct Section<'a> {
    /// Whose it is.
    pub owner: Owner<'a>,
    /// The chains and sets that it has a share in, IPv4 first, each followed by its rules or elements.
    pub lines: Vec<Line<'a>>,
}

impl<'a> Patch<'a> {
    /// The patch from what is installed to what is desired.
    #[must_use]
    pub fn between(desired: &'a Ruleset, installed: &'a Installed) -> Self {
        build::patch(desired, installed)
    }

    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }
}
