//! A terminal: the kernel's pseudo-terminal, and a parser that knows what is on its screen.

#![allow(dead_code, reason = "each test that uses this leaves something out")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::panic::Location;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program that it controls, which is killed when this is dropped.
pub struct Terminal {
    master: File,
    /// The program's side, which stays open when the program has ended.
    user: OwnedFd,
    shown: Arc<Mutex<Shown>>,
    child: Child,
    /// How the terminal was set before the program was started.
    before: String,
}

/// What a terminal has been told.
struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Starts a program, in the namespaces of the calling thread, on a terminal of so many columns and rows.
    pub fn start(program: &str, arguments: &[&str], size: (u16, u16)) -> Self {
        Self::start_with(program, arguments, size, |command| command)
    }

    /// The same with something about the process that is different.
    pub fn start_with(
        program: &str,
        arguments: &[&str],
        (columns, rows): (u16, u16),
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let user = ioctl_tiocgptpeer(&master, flags).unwrap();
        tcsetwinsize(&master, winsize(columns, rows)).unwrap();
        let before = settings(&user);
        // A session of its own, which the terminal tells of changes of its size.
        let mut command = Command::new("setsid");
        command.args(["--ctty", program]).args(arguments);
        command.env("TERM", "xterm-256color").env_remove("RUST_LOG").env_remove("NO_COLOR").env_remove("CI");
        let side = || Stdio::from(user.try_clone().unwrap());
        let child = change(command.stdin(side()).stdout(side()).stderr(side())).spawn().unwrap();
        // What the command keeps open would keep the terminal from seeing its end.
        drop(command);
        let parser = vt100::Parser::new(cells(rows), cells(columns), 0);
        let shown = Arc::new(Mutex::new(Shown { parser, bytes: Vec::new() }));
        let master = File::from(master);
        follow(master.try_clone().unwrap(), shown.clone());
        Self { master, user, shown, child, before }
    }

    /// Types keys, as the terminal sends them.
    pub fn type_keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.shown().parser.set_size(cells(rows), cells(columns));
        tcsetwinsize(&self.master, winsize(columns, rows)).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap()
    }

    /// The lines on the screen.
    pub fn screen(&self) -> String {
        self.shown().parser.screen().contents()
    }

    /// All that the terminal was ever told, escapes too.
    pub fn told(&self) -> String {
        String::from_utf8_lossy(&self.shown().bytes).into_owned()
    }

    /// Waits until something can be found on the screen.
    #[track_caller]
    pub fn until<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let (began, place) = (Instant::now(), Location::caller());
        loop {
            let screen = self.screen();
            if let Some(found) = find(&screen) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{what}, {place}:\n{screen}\n---\n{}", self.told());
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until this is on the screen.
    #[track_caller]
    pub fn until_shown(&self, text: &str) {
        self.until(text, |screen| screen.contains(text).then_some(()));
    }

    /// Whether another screen than the usual one is shown, and whether the cursor is.
    pub fn state(&self) -> (bool, bool) {
        let shown = self.shown();
        (shown.parser.screen().alternate_screen(), !shown.parser.screen().hide_cursor())
    }

    /// Waits for the end of the program.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let (began, place) = (Instant::now(), Location::caller());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the program runs on, {place}:\n{}", self.screen());
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end of the program, which must end with this code and leave the terminal as it was.
    #[track_caller]
    pub fn ended_as_it_began(&mut self, code: i32) {
        let status = self.ended();
        assert_eq!((status.code(), status.signal()), (Some(code), None), "{}", self.screen());
        assert_eq!(settings(&self.user), self.before);
        self.until("the usual screen with its cursor", |_| (self.state() == (false, true)).then_some(()));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has cells")
}

fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Echo, line editing and all the rest.
fn settings(terminal: &OwnedFd) -> String {
    format!("{:?}", tcgetattr(terminal).unwrap())
}

/// Shows what comes until nobody can write any more.
fn follow(mut master: File, shown: Arc<Mutex<Shown>>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = master.read(&mut buffer) {
            let mut shown = shown.lock().unwrap();
            shown.parser.process(&buffer[..length]);
            shown.bytes.extend_from_slice(&buffer[..length]);
        }
    });
}
