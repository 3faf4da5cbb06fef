//! Running the programs of iptables.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use super::Error;

/// Where the administrator's programs are, which a service's PATH may not say.
const ADMINISTRATORS: &str = "/usr/sbin:/sbin";

/// Where programs are looked for. An empty entry would be the working directory, where anybody may have put something.
fn path() -> OsString {
    match env::var_os("PATH").filter(|path| !path.is_empty()) {
        Some(mut path) => {
            path.push(":");
            path.push(ADMINISTRATORS);
            path
        }
        None => OsString::from(ADMINISTRATORS),
    }
}

/// Runs a program to its end with this on its standard input; what it prints. `None` where it is not installed.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<Option<String>, Error> {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |source| Error::Start { program: program.to_owned(), source };
    let mut child = match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        child => child.map_err(failed)?,
    };
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        // Beside the reading, so that neither side waits for the other. Who does not read to the end says why when it
        // exits.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        child.wait_with_output().map_err(failed)
    })?;
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Failed { program: program.to_owned(), status: output.status, said })
}
