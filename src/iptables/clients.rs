//! The clients that session affinity keeps: the lists of `-m recent`.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_getres, clock_gettime};

/// Where the kernel shows the lists of this thread's network namespace (`net/netfilter/xt_recent.c`).
const LISTS: &str = "/proc/thread-self/net/xt_recent";

/// How many seconds before the boot the kernel's ticks count from (`INITIAL_JIFFIES` of `include/linux/jiffies.h`): 2^32 ticks are
/// over five minutes later.
const BEFORE_WRAP: u64 = 300;

/// The clients in a list that have not been idle for longer than that; none where there is no such list.
///
/// # Errors
///
/// Where the list cannot be read.
pub fn clients(list: &str, seconds: u32) -> io::Result<Vec<IpAddr>> {
    let text = match fs::read_to_string(format!("{LISTS}/{list}")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let now = Ticks::now()?;
    let kept = |line: &str| line_of(line).filter(|(_, seen)| now.since(*seen) <= u64::from(seconds));
    Ok(text.lines().filter_map(kept).map(|(client, _)| client).collect())
}

/// A line such as `src=10.244.1.7 ttl: 64 last_seen: 4295012345 oldest_pkt: 1 4295012345`: the client, and when it was seen.
fn line_of(line: &str) -> Option<(IpAddr, u64)> {
    let mut words = line.split_ascii_whitespace();
    let client = words.next()?.strip_prefix("src=")?.parse().ok()?;
    words.find(|word| *word == "last_seen:")?;
    Some((client, words.next()?.parse().ok()?))
}

/// The kernel's clock in ticks (`jiffies`), which it tells nobody: as many as have gone by since the boot.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    count: u64,
    per_second: u64,
}

impl Ticks {
    fn now() -> io::Result<Self> {
        // The coarse clock goes on with every tick (`CONFIG_HZ`).
        let tick = Duration::from(clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)?);
        let since_boot = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
        Ok(Self::at(since_boot, tick))
    }

    fn at(since_boot: Duration, tick: Duration) -> Self {
        let per_second =
            u64::try_from(Duration::from_secs(1).as_nanos() / tick.as_nanos().max(1)).unwrap_or(1);
        let gone = u64::try_from(since_boot.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u64::MAX);
        let first = (1_u64 << 32).saturating_sub(BEFORE_WRAP * per_second);
        Self { count: first.saturating_add(gone), per_second: per_second.max(1) }
    }

    /// Whole seconds since a number of ticks, which may also be cut to 32 bits.
    fn since(self, earlier: u64) -> u64 {
        self.count.saturating_sub(earlier) / self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_client_and_when_it_was_seen() {
        let check = |line: &str, expected: Option<(&str, u64)>| {
            let expected = expected.map(|(client, seen)| (client.parse().unwrap(), seen));
            assert_eq!(line_of(line), expected, "{line}");
        };
        check(
            "src=10.244.1.7 ttl: 64 last_seen: 4295012345 oldest_pkt: 1 4295012345",
            Some(("10.244.1.7", 4_295_012_345)),
        );
        let v6 = "src=fd00:0010:0244:0000:0000:0000:0000:0007 ttl: 0 last_seen: 5 oldest_pkt: 2 4, 5";
        check(v6, Some(("fd00:10:244::7", 5)));
        for other in
            ["", "src=here ttl: 64 last_seen: 1", "src=10.0.0.1 ttl: 64", "src=10.0.0.1 last_seen: x"]
        {
            check(other, None);
        }
    }

    #[test]
    fn ticks_are_counted_from_five_minutes_before_they_pass_32_bits() {
        let check = |since_boot: u64, hertz: u32, expected: u64| {
            let ticks = Ticks::at(Duration::from_secs(since_boot), Duration::from_secs(1) / hertz);
            assert_eq!(ticks.count, expected, "{since_boot} s at {hertz}");
            assert_eq!(ticks.since(expected - u64::from(hertz) * 7), 7);
            assert_eq!(ticks.since(expected + 9), 0);
        };
        check(300, 250, 1 << 32);
        check(0, 1000, (1 << 32) - 300_000);
        check(1_000, 100, (1 << 32) + 70_000);
    }
}
