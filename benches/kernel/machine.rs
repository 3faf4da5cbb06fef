//! What the figures were measured on.

use std::fs;

use crate::Result;
use crate::kernel::run;

/// One line for each property of the machine.
pub fn describe() -> Result<Vec<(&'static str, String)>> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = value_of(&cpus, "model name").unwrap_or("unknown");
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kilobytes: u64 = value_of(&memory, "MemTotal").unwrap_or("0").trim_end_matches(" kB").parse()?;
    Ok(vec![
        ("processor", format!("{model}, {count} cores")),
        ("memory", format!("{} GiB", (kilobytes + (1 << 19)) >> 20)),
        ("kernel", format!("Linux {}", run("uname", &["-r"])?.trim())),
        ("nft", run("nft", &["--version"])?.trim().to_owned()),
        ("iptables", run("iptables", &["--version"])?.trim().to_owned()),
        ("compiler", run("rustc", &["--version"])?.trim().to_owned()),
    ])
}

fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}
