//! Programs of the system.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};
use std::thread;

use super::Error;

/// Where the administrator's programs are, which not everybody's PATH says.
const ADMINISTRATORS: &str = "/usr/sbin:/sbin";

/// Runs a program to its end with this on its standard input. `None` if it is not installed.
pub(super) fn output(program: &str, arguments: &[&str], input: &str) -> Result<Option<Output>, Error> {
    let mut path = env::var_os("PATH").map_or_else(OsString::new, |mut path| {
        path.push(":");
        path
    });
    path.push(ADMINISTRATORS);
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |source| Error::Start { program: program.to_owned(), source };
    let mut child = match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        child => child.map_err(failed)?,
    };
    let stdin = child.stdin.take();
    // On a thread, so that neither side waits for the other to read.
    thread::scope(|scope| {
        // A program that does not read to the end says why by how it ends.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        child.wait_with_output().map(Some).map_err(failed)
    })
}

/// What a program prints that must go well. `None` if it is not installed.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<Option<String>, Error> {
    let Some(output) = output(program, arguments, input)? else { return Ok(None) };
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program: program.to_owned(), status: output.status, said })
}
