//! What the kernel says of a process, and programs that are run to their end.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::Result;

/// The unit of times in `/proc/PID/stat`: the kernel's `USER_HZ`, 100 on every architecture that Rust has.
const TICK: Duration = Duration::from_millis(10);

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// `VmRSS`: what is resident.
    pub resident: usize,
    /// `VmHWM`: the most that was ever resident.
    pub peak: usize,
}

impl Memory {
    /// The memory of a process that runs.
    pub fn of(process: u32) -> Result<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/status"))?)
    }

    /// The memory that `/proc/PID/status` tells of.
    pub fn parse(status: &str) -> Result<Self> {
        Ok(Self { resident: field(status, "VmRSS:")?, peak: field(status, "VmHWM:")? })
    }
}

fn field(status: &str, name: &str) -> Result<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line in status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

/// The processor time of a process that runs, of all its threads, its own and the kernel's: fields 14 and 15 of
/// `/proc/PID/stat`.
pub fn processor_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name in parentheses, which may hold anything; field 14 is the twelfth behind it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let mut ticks = 0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<u32>()?;
    }
    Ok(TICK * ticks)
}

/// The time that the machine's processors had work for and did not get, since it started: `steal` in `/proc/stat`, the eighth
/// number, which a virtual machine's host tells. None on other machines.
pub fn stolen_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let steal = stat.split_whitespace().nth(8).ok_or("no steal in /proc/stat")?;
    Ok(TICK * steal.parse::<u32>()?)
}

/// Runs a program to its end.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
