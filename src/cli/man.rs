//! `svcnat man`: manual pages.

use std::path::PathBuf;
use std::{fs, io};

use clap::{Args, CommandFactory as _};
use clap_mangen::generate_to;

use super::{Cli, Failure};

/// Write manual pages, one for svcnat and one for each command, into a folder
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder, such as /usr/share/man/man1; it is made where it is missing
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let command = Cli::command().disable_help_subcommand(true);
        let written = fs::create_dir_all(&self.folder).and_then(|()| generate_to(command, &self.folder));
        Ok(written
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.folder.display())))?)
    }
}
