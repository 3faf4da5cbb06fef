//! Programs inside a namespace.

use std::io::{self, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::{Error, Namespace, Result};

/// Locked while a program starts: between fork and exec, the child holds every socket of this process open.
static STARTING: Mutex<()> = Mutex::new(());

/// Keeps programs from starting. A socket that is closed meanwhile is closed at once.
pub(crate) fn hold_starts() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a program in a namespace.
pub(crate) fn spawn(namespace: &Namespace, command: &mut Command) -> io::Result<Child> {
    let _starting = hold_starts();
    // The child inherits the namespace of the thread that forks it.
    namespace.run(|| command.spawn())
}

/// Runs a program to its end with the given standard input and collects what it says.
pub(crate) fn output(
    host: &str,
    namespace: &Namespace,
    command: &mut Command,
    input: &str,
) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let attempt = || format!("run {command:?} on {host}");
    let attempt = attempt();
    spawn(namespace, command).and_then(|child| feed(child, input)).map_err(Error::io(attempt))
}

/// Writes on a thread while output is read: a program that stops reading because nobody reads its output would
/// otherwise wait for ever, and we for it.
fn feed(mut child: Child, input: &str) -> io::Result<Output> {
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A program may end without reading its input, which is for its exit status to tell.
            stdin.map(|mut pipe| pipe.write_all(input.as_bytes()))
        });
        child.wait_with_output()
    })
}

/// As [`output`], but a failure of the program is an error; gives its standard output.
pub(crate) fn succeed(
    host: &str,
    namespace: &Namespace,
    command: &mut Command,
    input: &str,
) -> Result<String> {
    let output = output(host, namespace, command, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Command {
        program: format!("{command:?}"),
        host: host.to_owned(),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
