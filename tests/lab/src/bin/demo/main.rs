//! `make demo`: one Service, three pods, two nodes and a laptop, with real packets.

mod error;
mod interrupt;
mod manifests;
mod network;
mod screen;
mod story;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use svcnat_lab::privilege;

use error::Error;
use screen::Screen;

const USAGE: &str = "\
Shows svcnat at work on a small network of network namespaces. Needs root, or a kernel with user namespaces.

Usage: svcnat-demo [--svcnat PATH]

  --svcnat PATH  the svcnat to show [default: the one beside this program]
  --help         this text

Exit codes: 0 all went as it should; 1 it did not; 2 wrong arguments; 128 + n ended by signal n.
";

/// What the command line asks for.
enum Request {
    Demo { svcnat: PathBuf },
    Help,
}

fn main() -> ExitCode {
    let result = match parse(env::args_os().skip(1)) {
        Ok(Request::Demo { svcnat }) => demo(&svcnat),
        Ok(Request::Help) => io::stdout().write_all(USAGE.as_bytes()).map_err(Error::Print),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed our output has seen enough.
        Err(Error::Print(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "svcnat-demo: {error}");
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Request, Error> {
    let mut svcnat = None;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--svcnat") => {
                let path =
                    arguments.next().ok_or_else(|| Error::Usage("--svcnat needs a path".to_owned()))?;
                svcnat = Some(PathBuf::from(path));
            }
            Some("--help" | "-h") => return Ok(Request::Help),
            _ => return Err(Error::Usage(format!("unknown argument {argument:?}; try --help"))),
        }
    }
    let svcnat = match svcnat {
        Some(path) => path,
        None => env::current_exe().map_err(Error::Program)?.with_file_name("svcnat"),
    };
    Ok(Request::Demo { svcnat })
}

fn demo(svcnat: &Path) -> Result<(), Error> {
    // Both before any thread: a user namespace takes single-threaded processes only, and threads inherit which
    // signals are blocked.
    let privilege = privilege::become_root()?;
    let signals = interrupt::block()?;
    let svcnat =
        svcnat.canonicalize().map_err(|source| Error::NoSvcnat { path: svcnat.to_owned(), source })?;
    let manifests = manifests::Copy::new()?;
    interrupt::clean_up_on(signals, manifests.folder());
    story::tell(&mut Screen::new(), privilege, &svcnat, &manifests)
}
