//! Ways to the kernel: svcnat's netlink socket with a clock in it, and programs.

use std::cell::Cell;
use std::io::{self, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use svcnat::netlink::{self, Netlink, Socket, Transport};
use svcnat_lab::Namespace;

use crate::Result;
pub use crate::common::process::run;
use crate::sample::timed;

/// A socket that adds up how long its `sendmsg` took: for a transaction that is the kernel's own time.
pub struct Timed {
    socket: Socket,
    spent: Rc<Cell<Duration>>,
}

impl Transport for Timed {
    fn reserve(&mut self, len: usize) -> std::result::Result<(), netlink::Error> {
        self.socket.reserve(len)
    }

    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        let (result, time) = timed(|| self.socket.send(messages));
        self.spent.set(self.spent.get() + time);
        result
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(buffer)
    }
}

/// Opens such a socket in the network namespace of the thread. The second value shows the time so far.
pub fn open() -> Result<(Netlink<Timed>, Rc<Cell<Duration>>)> {
    let spent = Rc::new(Cell::new(Duration::ZERO));
    Ok((Netlink::over(Timed { socket: Socket::open()?, spent: Rc::clone(&spent) }), spent))
}

/// Does something in a new network namespace whose loopback interface is up, then lets the kernel clean up behind it:
/// it does so on its own threads, which would slow the next measurement.
pub fn in_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let (result, time) = timed(|| {
        let namespace = Namespace::new()?;
        namespace.run(|| {
            run("ip", &["link", "set", "lo", "up"])?;
            work()
        })
    });
    thread::sleep(time.min(Duration::from_secs(3)));
    result
}

/// How long a program took for what it was given.
#[derive(Debug, Clone, Copy)]
pub struct ProgramTime {
    /// From its start to its end.
    pub total: Duration,
    /// The part that was spent in the kernel.
    pub kernel: Duration,
}

/// Loads a script by `nft -f -`, as kube-proxy does; `None` where it took longer than `patience`.
pub fn nft(script: &str, patience: Duration) -> Result<Option<ProgramTime>> {
    load("nft", &["-f", "-"], script, patience)
}

/// Has a program load something from its standard input; `None` where it took longer than `patience`.
pub fn load(
    program: &str,
    arguments: &[&str],
    input: &str,
    patience: Duration,
) -> Result<Option<ProgramTime>> {
    let before = children_in_kernel()?;
    let start = Instant::now();
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take();
    let status = thread::scope(|scope| {
        // Where the program ends early, its exit status says so.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
        wait(&mut child, start + patience)
    })?;
    let total = start.elapsed();
    match status {
        None => Ok(None),
        Some(status) if status.success() => {
            Ok(Some(ProgramTime { total, kernel: children_in_kernel()?.saturating_sub(before) }))
        }
        Some(status) => Err(format!("{program} refuses the rules: {status}").into()),
    }
}

fn wait(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(50);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

fn children_in_kernel() -> Result<Duration> {
    let microseconds = getrusage(UsageWho::RUSAGE_CHILDREN)?.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(microseconds)?))
}
