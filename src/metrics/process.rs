//! Metrics of the process, with the names and help texts of Prometheus' client for Go, which kube-proxy has too.
//!
//! They are read when somebody asks. What cannot be read is left out.

use std::fs;
use std::{fmt, io};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::exposition::Page;

/// The unit of times in `/proc/*/stat`: the kernel's `USER_HZ`, 100 on every architecture that Rust has.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn encode(page: &mut Page<'_, '_>) -> fmt::Result {
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let seconds = seconds(usage.user_time()) + seconds(usage.system_time());
        page.add(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds.",
            &ConstCounter::new(seconds),
        )?;
    }
    if let Ok(seconds) = start_time() {
        let help = "Start time of the process since unix epoch in seconds.";
        page.add("process_start_time_seconds", help, &ConstGauge::new(seconds))?;
    }
    encode_memory(page)?;
    encode_descriptors(page)
}

fn encode_memory(page: &mut Page<'_, '_>) -> fmt::Result {
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        for (key, name, help) in [
            ("VmRSS:", "process_resident_memory_bytes", "Resident memory size in bytes."),
            ("VmSize:", "process_virtual_memory_bytes", "Virtual memory size in bytes."),
        ] {
            if let Some(bytes) = kilobytes(&status, key) {
                page.add(name, help, &ConstGauge::new(bytes * 1024))?;
            }
        }
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_AS) {
        let help = "Maximum amount of virtual memory available in bytes.";
        page.add("process_virtual_memory_max_bytes", help, &ConstGauge::new(soft))?;
    }
    Ok(())
}

fn encode_descriptors(page: &mut Page<'_, '_>) -> fmt::Result {
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        let count = open.count().saturating_sub(1);
        page.add("process_open_fds", "Number of open file descriptors.", &ConstGauge::new(count))?;
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        page.add("process_max_fds", "Maximum number of open file descriptors.", &ConstGauge::new(soft))?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a process does not use 285 million years of processor time")]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// The number in a line such as `VmRSS:     4096 kB` of `/proc/self/status`.
fn kilobytes(status: &str, key: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// When the process started, in seconds since 1970: field 22 of `/proc/self/stat` counts from the start of the
/// machine, which is `btime` of `/proc/stat`.
fn start_time() -> io::Result<f64> {
    let own = fs::read_to_string("/proc/self/stat")?;
    let machine = fs::read_to_string("/proc/stat")?;
    // The second field is the program's name in parentheses, which may hold anything; 20 more follow it.
    let ticks = own.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(19));
    let boot = machine.lines().find_map(|line| line.strip_prefix("btime "));
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<f64>().ok());
    number(ticks)
        .zip(number(boot))
        .map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}
