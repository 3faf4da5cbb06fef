//! `svcnat agent`: what it is told on the command line, and what of that ends at once.

mod command;
mod flags;
mod no_effect;

use std::path::Path;
use std::{fs, io};

pub(super) use command::Agent;
pub use flags::AgentFlags;

use super::{Failure, output};
use crate::settings::{Loaded, Settings};
use crate::sysctl::Sysctl;

/// What an agent does when it has understood its flags.
#[derive(Debug)]
pub enum Start {
    /// It goes on, with these settings.
    Run(Box<Settings>),
    /// It has done what it was started for.
    Done,
}

impl AgentFlags {
    /// Loads the settings, tells what they have to say, and does what needs no running agent: `--write-config-to` and
    /// `--init-only`.
    ///
    /// # Errors
    ///
    /// [`Failure::Settings`] or [`Failure::Usage`] for what cannot be understood, [`Failure::Output`] for a file that
    /// cannot be written.
    pub fn start(&self) -> Result<Start, Failure> {
        if self.cleanup() {
            return Err(Failure::Usage("--cleanup: `svcnat cleanup` removes svcnat's tables".to_owned()));
        }
        let Loaded { settings, notes } = self.source().load()?;
        for note in &notes {
            tracing::warn!("{note}");
        }
        if let Some(path) = self.write_config_to() {
            write(path, &settings)?;
            return Ok(Start::Done);
        }
        if self.init_only() {
            let report = Sysctl::default().set_conntrack(&settings.conntrack);
            for warning in &report.warnings {
                tracing::warn!("{warning}");
            }
            for change in &report.changes {
                output::print(format_args!("{change}\n"))?;
            }
            return Ok(Start::Done);
        }
        Ok(Start::Run(Box::new(settings)))
    }
}

/// Writes the settings to a file, whose name is part of any error.
fn write(path: &Path, settings: &Settings) -> io::Result<()> {
    let text = settings.to_yaml().map_err(io::Error::other)?;
    fs::write(path, text)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
