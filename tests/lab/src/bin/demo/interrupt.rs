//! Cleaning up when interrupted. The network ends with the process; only files have to be removed.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process;
use std::thread;

use nix::sys::signal::{SigSet, Signal};

/// Blocks the signals that ask a program to end, so that a thread can wait for them. Programs that are started
/// meanwhile do not inherit this: the standard library unblocks what it starts.
pub fn block() -> nix::Result<SigSet> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block()?;
    Ok(signals)
}

/// Waits on a thread of its own for one of the signals, removes the folder and ends the process as the signal would.
pub fn clean_up_on(signals: SigSet, folder: &Path) {
    let folder = folder.to_owned();
    thread::spawn(move || {
        let Ok(signal) = signals.wait() else { return };
        let _ = fs::remove_dir_all(folder);
        let _ = writeln!(io::stderr(), "\nsvcnat-demo: ended by {signal}; nothing is left behind");
        process::exit(128 + signal as i32);
    });
}
