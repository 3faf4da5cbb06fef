//! Running programs of the system: with an end, whatever they do.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Where the administrator's programs are, which a service's PATH may not say.
const ADMINISTRATORS: &str = "/usr/sbin:/sbin";

/// How long a program may take. `iptables-restore` of the variant nft takes ten seconds for 30,000 backends, and more on a
/// slower machine; what takes this long does not come to an end.
const LIMIT: Duration = Duration::from_secs(300);

/// How long a program may take to be gone once it is killed.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much a pipe that is ready takes at once (`PIPE_BUF` of `include/uapi/linux/limits.h`, pipe(7)).
const PIPE_BUF: usize = 4096;

/// Why a program did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is there and does not start.
    #[error("{program} cannot be run: {source}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It did not end, nor close its output, and was killed.
    #[error(
        "{program} has not ended after {} s and was killed; look for what holds it up, such as another program that keeps \
         a lock",
        .limit.as_secs()
    )]
    Hangs {
        /// Its name.
        program: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It says that it failed, as for want of privilege.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
}

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

/// Runs a program to its end with this on its standard input, in the network namespace of the calling thread, which waits for
/// it; what it prints, with what is not UTF-8 replaced. `None` where it is not installed.
///
/// # Errors
///
/// See [`Error`].
pub fn run(program: &str, arguments: &[&str], input: &str) -> Result<Option<String>, Error> {
    within(LIMIT, program, arguments, input)
}

fn within(limit: Duration, program: &str, arguments: &[&str], input: &str) -> Result<Option<String>, Error> {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Programs that it starts, such as modprobe, are ended with it.
    command.process_group(0);
    let failed = |source| Error::Start { program: program.to_owned(), source };
    let mut child = match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        child => child.map_err(failed)?,
    };
    let deadline = Instant::now() + limit;
    let mut said = Said::default();
    let heard = said.listen(&mut child, input.as_bytes(), deadline);
    let status = heard.and_then(|to_the_end| if to_the_end { wait(&mut child, deadline) } else { Ok(None) });
    if !matches!(status, Ok(Some(_))) {
        end(&mut child).map_err(failed)?;
    }
    let Some(status) = status.map_err(failed)? else {
        return Err(Error::Hangs { program: program.to_owned(), limit });
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if status.success() {
        return Ok(Some(text(&said.output)));
    }
    Err(Error::Failed { program: program.to_owned(), status, said: text(&said.errors).trim().to_owned() })
}

/// What a program writes.
#[derive(Default)]
struct Said {
    output: Vec<u8>,
    errors: Vec<u8>,
}

impl Said {
    /// Feeds a program and reads what it writes, whichever it is ready for; false where it does not come to an end in time.
    fn listen(&mut self, child: &mut Child, mut input: &[u8], deadline: Instant) -> io::Result<bool> {
        let (mut stdin, mut stdout, mut stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        while stdout.is_some() || stderr.is_some() {
            if input.is_empty() {
                stdin = None;
            }
            let [to, from, errors] = ready(
                [
                    (stdin.as_ref().map(AsFd::as_fd), PollFlags::POLLOUT),
                    (stdout.as_ref().map(AsFd::as_fd), PollFlags::POLLIN),
                    (stderr.as_ref().map(AsFd::as_fd), PollFlags::POLLIN),
                ],
                deadline,
            )?;
            if !(to || from || errors) {
                return Ok(false);
            }
            if to {
                feed(&mut stdin, &mut input);
            }
            if from {
                take(&mut stdout, &mut self.output)?;
            }
            if errors {
                take(&mut stderr, &mut self.errors)?;
            }
        }
        Ok(true)
    }
}

/// Which of three pipes are ready, or closed by the program; none where that is not so in time.
fn ready(pipes: [(Option<BorrowedFd<'_>>, PollFlags); 3], deadline: Instant) -> io::Result<[bool; 3]> {
    let mut open: Vec<PollFd<'_>> =
        pipes.iter().filter_map(|(pipe, events)| Some(PollFd::new((*pipe)?, *events))).collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut open, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            // A tick may be left that poll does not wait for.
            Ok(0) if Instant::now() < deadline => {}
            Err(Errno::EINTR) => {}
            result => {
                result?;
                break;
            }
        }
    }
    let mut any = open.iter().map(|pipe| pipe.any().unwrap_or(true));
    Ok(pipes.map(|(pipe, _)| pipe.is_some() && any.next().unwrap_or(false)))
}

/// Writes as much as a pipe that is ready takes without a wait. Who does not read to the end says why when it exits.
fn feed(pipe: &mut Option<ChildStdin>, input: &mut &[u8]) {
    let part = input.get(..PIPE_BUF).unwrap_or(input);
    match pipe.as_mut().map(|pipe| pipe.write(part)) {
        Some(Ok(written)) => *input = input.get(written..).unwrap_or_default(),
        Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
        Some(Err(_)) | None => *pipe = None,
    }
}

/// Reads what there is in a pipe that is ready, and closes it at its end.
fn take(pipe: &mut Option<impl Read>, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut part = [0; 1 << 16];
    match pipe.as_mut().map(|pipe| pipe.read(&mut part)) {
        Some(Ok(0)) | None => *pipe = None,
        Some(Ok(read)) => bytes.extend_from_slice(part.get(..read).unwrap_or_default()),
        Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
        Some(Err(error)) => return Err(error),
    }
    Ok(())
}

/// Waits for a program that has closed its outputs, which exits at once as a rule; `None` where it does not in time.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(50);
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Kills a program with all that it has started. It has not been waited for, so its id is nobody else's.
fn end(child: &mut Child) -> io::Result<()> {
    killpg(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?), Signal::SIGKILL)?;
    // What the kernel does not let go of stays behind.
    wait(child, Instant::now() + PATIENCE).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(300);
    const LATE: Duration = Duration::from_secs(60);

    fn sh(limit: Duration, script: &str, input: &str) -> Result<Option<String>, Error> {
        within(limit, "sh", &["-c", script], input)
    }

    #[test]
    fn what_a_program_prints_and_how_it_fails_is_told() {
        let check = |script: &str, input: &str, expected: Result<&str, &str>| match (
            sh(LATE, script, input),
            expected,
        ) {
            (Ok(Some(out)), Ok(expected)) => assert_eq!(out, expected, "{script}"),
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected, "{script}"),
            (result, expected) => panic!("{script}: {result:?} instead of {expected:?}"),
        };
        check("cat", "in and out", Ok("in and out"));
        check("printf 'a\\377b'; echo unheard >&2", "", Ok("a\u{fffd}b"));
        check("echo why >&2; exit 3", "", Err("sh failed (exit status: 3): why"));
        check("kill -9 $$", "", Err("sh failed (signal: 9 (SIGKILL)): "));
        // More than pipes hold, both ways at once, and not read at all.
        let much = "x".repeat(1 << 20);
        check("cat", &much, Ok(&much));
        check("echo deaf", &much, Ok("deaf\n"));
        assert!(matches!(run("no-such-program-of-svcnat", &[], ""), Ok(None)));
        assert!(matches!(run("/", &[], ""), Err(Error::Start { .. })));
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_all_that_it_started() {
        let check = |script: &str| {
            let error = sh(SOON, script, "").unwrap_err();
            let Error::Hangs { program, limit } = &error else { panic!("{script}: {error}") };
            assert_eq!((program.as_str(), *limit), ("sh", SOON), "{script}");
        };
        check("exec sleep 600");
        check("sleep 600; true");
        check("trap '' TERM INT; while true; do sleep 600; done");
        // It has ended, but something of its keeps the output open, even in a session of its own.
        check("sleep 600 & exit 0");
        check("setsid sleep 2 & exit 0");
        // It has closed its output, but goes on.
        check("exec >&- 2>&-; sleep 600");
    }
}
