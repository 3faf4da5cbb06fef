//! What the agent sets on the node besides rules: the kernel's connection tracking, and its own place in the order in
//! which processes are ended when memory is short.
//!
//! As kube-proxy 1.36: the size of the table is only raised; timeouts are set in whole seconds; what the settings leave
//! open stays as the kernel has it. The hash table gets a bucket for four entries, by `nf_conntrack_buckets`, which needs
//! no writable /sys (Documentation/networking/nf_conntrack-sysctl.rst). `route_localnet` is left alone, since node ports
//! are not served on loopback addresses. What cannot be set is a warning: the rules work without it.
//!
//! The files exist as soon as the kernel tracks connections, so after the first rules are in force.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::settings::Conntrack;

/// The most entries that the number of cores accounts for, so that a machine with many of them does not spend its memory
/// on the table. `conntrack.min` can ask for more.
const MOST_FOR_CORES: u64 = 1 << 20;

/// The files by which the kernel is told.
#[derive(Debug, Clone)]
pub struct Sysctl {
    root: PathBuf,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What was set, in order.
    pub changes: Vec<Change>,
    /// What could not be set.
    pub warnings: Vec<Warning>,
}

/// A value that was set. Displayed as `/proc/sys/net/netfilter/nf_conntrack_max: 65536 -> 131072`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file, below the folder that has `proc`.
    pub file: &'static str,
    /// The value before.
    pub from: i64,
    /// The value since.
    pub to: i64,
}

/// A value that could not be set, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot set /{file} to {value}: {error}; {}", advice(.error, .key))]
pub struct Warning {
    /// The file.
    pub file: &'static str,
    /// The value that it should have.
    pub value: i64,
    /// The key of the settings that asks for it.
    pub key: &'static str,
    /// Why not.
    #[source]
    pub error: io::Error,
}

fn advice(error: &io::Error, key: &str) -> String {
    let cause = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "run `svcnat agent --init-only` in a privileged init container, or set it on the node with sysctl.d"
        }
        ErrorKind::PermissionDenied if key == "oomScoreAdj" => "give the agent CAP_SYS_RESOURCE",
        ErrorKind::PermissionDenied => {
            "give the agent CAP_NET_ADMIN in the network namespace of the host, which has the only tables that can be sized"
        }
        ErrorKind::NotFound => "load the kernel module nf_conntrack",
        _ => "set it on the node with sysctl.d",
    };
    let silent = if key == "oomScoreAdj" { "the value that the process has" } else { "0" };
    format!("{cause}; {key}: {silent} leaves it alone")
}

/// A value to set.
struct Setting {
    file: &'static str,
    value: i64,
    key: &'static str,
    /// Whether a greater value is left as it is.
    at_least: bool,
}

impl Default for Sysctl {
    fn default() -> Self {
        Self::new(Path::new("/"))
    }
}

impl Sysctl {
    /// The files below a folder that has `proc` and `sys`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Sets what connection tracking is told.
    #[must_use]
    pub fn set_conntrack(&self, conntrack: &Conntrack) -> Report {
        let exactly = |file, key, value: i64| Setting { file, value, key, at_least: false };
        let mut settings = Vec::new();
        if let Some(entries) = entries(conntrack, self.cores()) {
            let key = "conntrack.maxPerCore";
            let at_least = |file, value| Setting { file, value, key, at_least: true };
            settings.push(at_least("proc/sys/net/netfilter/nf_conntrack_max", entries));
            settings.push(at_least("proc/sys/net/netfilter/nf_conntrack_buckets", entries / 4));
        }
        let timeouts = [
            (
                "proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
                "conntrack.tcpEstablishedTimeout",
                conntrack.tcp_established_timeout,
            ),
            (
                "proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait",
                "conntrack.tcpCloseWaitTimeout",
                conntrack.tcp_close_wait_timeout,
            ),
            (
                "proc/sys/net/netfilter/nf_conntrack_udp_timeout",
                "conntrack.udpTimeout",
                conntrack.udp_timeout,
            ),
            (
                "proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream",
                "conntrack.udpStreamTimeout",
                conntrack.udp_stream_timeout,
            ),
        ];
        let given = timeouts.into_iter().filter_map(|(file, key, timeout)| Some((file, key, timeout?)));
        settings.extend(given.map(|(file, key, timeout)| exactly(file, key, seconds(timeout))));
        if conntrack.tcp_be_liberal {
            let file = "proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";
            settings.push(exactly(file, "conntrack.tcpBeLiberal", 1));
        }
        self.set_all(settings)
    }

    /// Sets how early this process is ended when memory is short, from -1000 (never) to 1000 (first).
    #[must_use]
    pub fn set_oom_score_adj(&self, value: i32) -> Report {
        let file = "proc/self/oom_score_adj";
        self.set_all(vec![Setting { file, value: value.into(), key: "oomScoreAdj", at_least: false }])
    }

    fn set_all(&self, settings: Vec<Setting>) -> Report {
        let mut report = Report::default();
        for Setting { file, value, key, at_least } in settings {
            match self.set(file, value, at_least) {
                Ok(None) => {}
                Ok(Some(from)) => report.changes.push(Change { file, from, to: value }),
                Err(error) => report.warnings.push(Warning { file, value, key, error }),
            }
        }
        report
    }

    /// Writes a value where that is another one, and gives the one before.
    fn set(&self, file: &str, value: i64, at_least: bool) -> io::Result<Option<i64>> {
        let path = self.root.join(file);
        let before = fs::read_to_string(&path)?;
        let before: i64 =
            before.trim().parse().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if before == value || at_least && before > value {
            return Ok(None);
        }
        fs::write(&path, value.to_string())?;
        Ok(Some(before))
    }

    /// How many cores are online in the whole machine; this process may have fewer.
    fn cores(&self) -> u64 {
        let online = fs::read_to_string(self.root.join("sys/devices/system/cpu/online")).ok();
        let counted = online.and_then(|list| count(list.trim())).filter(|cores| *cores > 0);
        counted.unwrap_or_else(|| thread::available_parallelism().map_or(1, |cores| cores.get() as u64))
    }
}

/// How many entries the table should have at least; `None` for as many as it has.
fn entries(conntrack: &Conntrack, cores: u64) -> Option<i64> {
    if conntrack.max_per_core == 0 {
        return None;
    }
    let for_cores = u64::from(conntrack.max_per_core).saturating_mul(cores).min(MOST_FOR_CORES);
    i64::try_from(for_cores.max(conntrack.min.into())).ok()
}

fn seconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX)
}

/// How many numbers a list such as `0-3,8` has (Documentation/admin-guide/cputopology.rst).
fn count(list: &str) -> Option<u64> {
    let length = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    list.split(',').map(length).sum()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}: {} -> {}", self.file, self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETFILTER: &str = "proc/sys/net/netfilter";

    /// Nothing to be set.
    const LEAVE: Conntrack = Conntrack {
        max_per_core: 0,
        min: 131_072,
        tcp_established_timeout: None,
        tcp_close_wait_timeout: None,
        tcp_be_liberal: false,
        udp_timeout: None,
        udp_stream_timeout: None,
    };

    /// A node with these cores, and a table of 65,536 entries in 16,384 buckets.
    fn node(cores: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(NETFILTER)).unwrap();
        fs::create_dir_all(root.path().join("sys/devices/system/cpu")).unwrap();
        fs::write(root.path().join("sys/devices/system/cpu/online"), format!("{cores}\n")).unwrap();
        for (name, value) in [
            ("max", "65536"),
            ("buckets", "16384"),
            ("tcp_timeout_established", "432000"),
            ("tcp_timeout_close_wait", "60"),
            ("tcp_be_liberal", "0"),
            ("udp_timeout", "30"),
            ("udp_timeout_stream", "120"),
        ] {
            fs::write(root.path().join(NETFILTER).join(format!("nf_conntrack_{name}")), format!("{value}\n"))
                .unwrap();
        }
        root
    }

    #[track_caller]
    fn check(cores: &str, conntrack: &Conntrack, expected: &str) {
        let root = node(cores);
        let sysctl = Sysctl::new(root.path());
        let report = sysctl.set_conntrack(conntrack);
        let lines = report
            .changes
            .iter()
            .map(ToString::to_string)
            .chain(report.warnings.iter().map(ToString::to_string));
        let found: Vec<String> =
            lines.map(|line| line.replace(&format!("/{NETFILTER}/nf_conntrack_"), "")).collect();
        assert_eq!(found.join(", "), expected);
        for change in report.changes {
            assert_eq!(fs::read_to_string(root.path().join(change.file)).unwrap(), change.to.to_string());
        }
        let again = sysctl.set_conntrack(conntrack);
        assert!(again.changes.is_empty(), "{:?}", again.changes);
    }

    #[test]
    fn the_table_is_raised_to_what_the_cores_account_for() {
        let with = |max_per_core, min| Conntrack { max_per_core, min, ..LEAVE };
        check("0-7", &with(32_768, 131_072), "max: 65536 -> 262144, buckets: 16384 -> 65536");
        check("0-1,4", &with(32_768, 131_072), "max: 65536 -> 131072, buckets: 16384 -> 32768");
        check("0-511", &with(32_768, 131_072), "max: 65536 -> 1048576, buckets: 16384 -> 262144");
        check("0-511", &with(32_768, 2_000_000), "max: 65536 -> 2000000, buckets: 16384 -> 500000");
        check("0-511", &with(u32::MAX, u32::MAX), "max: 65536 -> 4294967295, buckets: 16384 -> 1073741823");
        check("0", &with(1000, 1000), "");
        check("0-7", &with(0, 131_072), "");
    }

    #[test]
    fn only_what_is_asked_for_is_set() {
        let second = Duration::from_secs(1);
        check("0", &LEAVE, "");
        let all = Conntrack {
            tcp_established_timeout: Some(86_400 * second),
            tcp_close_wait_timeout: Some(3600 * second),
            tcp_be_liberal: true,
            udp_timeout: Some(Duration::from_millis(10_900)),
            udp_stream_timeout: Some(60 * second),
            ..LEAVE
        };
        check(
            "0",
            &all,
            "tcp_timeout_established: 432000 -> 86400, tcp_timeout_close_wait: 60 -> 3600, udp_timeout: 30 -> 10, \
             udp_timeout_stream: 120 -> 60, tcp_be_liberal: 0 -> 1",
        );
        check("0", &Conntrack { udp_timeout: Some(30 * second), ..LEAVE }, "");
    }

    #[test]
    fn what_cannot_be_set_is_a_warning_and_the_rest_is_set() {
        let root = node("0");
        let missing = root.path().join(NETFILTER).join("nf_conntrack_udp_timeout");
        fs::remove_file(&missing).unwrap();
        let timeout = Some(Duration::from_secs(5));
        let conntrack = Conntrack { udp_timeout: timeout, udp_stream_timeout: timeout, ..LEAVE };
        let report = Sysctl::new(root.path()).set_conntrack(&conntrack);
        let warnings: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "cannot set /proc/sys/net/netfilter/nf_conntrack_udp_timeout to 5: No such file or directory (os error 2); load \
              the kernel module nf_conntrack; conntrack.udpTimeout: 0 leaves it alone"
            ]
        );
        assert_eq!(report.changes.len(), 1);
    }

    #[test]
    fn lists_of_processors_are_counted() {
        for (list, expected) in [
            ("0", Some(1)),
            ("0-3", Some(4)),
            ("0-3,8,10-11", Some(7)),
            ("", None),
            ("3-0", None),
            ("x", None),
        ] {
            assert_eq!(count(list), expected, "{list}");
        }
    }
}
