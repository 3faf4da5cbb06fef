//! Sysctls as the kernel takes them, in a network namespace of their own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use svcnat::settings::Conntrack;
use svcnat::sysctl::{Report, Sysctl};

const LEAVE: Conntrack = Conntrack {
    max_per_core: 0,
    min: 0,
    tcp_established_timeout: None,
    tcp_close_wait_timeout: None,
    tcp_be_liberal: false,
    udp_timeout: None,
    udp_stream_timeout: None,
};

/// Does something in a network namespace and with mounts that nobody else has.
fn in_namespaces<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            work()
        });
        worker.join().unwrap_or_else(|reason| std::panic::resume_unwind(reason))
    })
}

fn read(name: &str) -> String {
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
}

fn warnings(report: &Report) -> Vec<String> {
    report.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_kernel_takes_timeouts_and_liberality() {
    let second = Duration::from_secs(1);
    let conntrack = Conntrack {
        tcp_established_timeout: Some(4001 * second),
        tcp_close_wait_timeout: Some(302 * second),
        tcp_be_liberal: true,
        udp_timeout: Some(13 * second),
        udp_stream_timeout: Some(104 * second),
        ..LEAVE
    };
    in_namespaces(|| {
        let before = read("max");
        let report = Sysctl::default().set_conntrack(&conntrack);
        assert_eq!((warnings(&report), report.changes.len()), (vec![], 5));
        for (name, expected) in [
            ("tcp_timeout_established", "4001"),
            ("tcp_timeout_close_wait", "302"),
            ("udp_timeout", "13"),
            ("udp_timeout_stream", "104"),
            ("tcp_be_liberal", "1"),
            ("max", &before),
        ] {
            assert_eq!(read(name), expected, "{name}");
        }
        // A second time there is nothing to do.
        let again = Sysctl::default().set_conntrack(&conntrack);
        assert_eq!((warnings(&again), again.changes), (vec![], vec![]));
    });
}

#[test]
fn the_table_can_only_be_sized_on_the_host_and_a_warning_says_so() {
    in_namespaces(|| {
        let report = Sysctl::default().set_conntrack(&Conntrack { max_per_core: 1, min: u32::MAX, ..LEAVE });
        let found = warnings(&report);
        assert_eq!((found.len(), report.changes.len()), (2, 0), "{found:?}");
        for (warning, start) in found.iter().zip([
            "cannot set /proc/sys/net/netfilter/nf_conntrack_max to 4294967295: Permission denied",
            "cannot set /proc/sys/net/netfilter/nf_conntrack_buckets to 1073741823: Permission denied",
        ]) {
            assert!(warning.starts_with(start), "{warning}");
            assert!(warning.contains("in the network namespace of the host"), "{warning}");
            assert!(warning.ends_with("; conntrack.maxPerCore: 0 leaves it alone"), "{warning}");
        }
    });
}

#[test]
fn a_read_only_proc_is_a_warning_that_says_what_to_do() {
    in_namespaces(|| {
        let (none, path) = (None::<&str>, "/proc/sys");
        mount(Some(path), path, none, MsFlags::MS_BIND, none).unwrap();
        mount(none, path, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none).unwrap();
        let timeout = Some(Duration::from_secs(4001));
        let report =
            Sysctl::default().set_conntrack(&Conntrack { tcp_established_timeout: timeout, ..LEAVE });
        assert_eq!(
            warnings(&report),
            [
                "cannot set /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established to 4001: Read-only file system (os \
              error 30); run `svcnat agent --init-only` in a privileged init container, or set it on the node with \
              sysctl.d; conntrack.tcpEstablishedTimeout: 0 leaves it alone"
            ]
        );
        // What the kernel has already needs no writing.
        let seconds = read("tcp_timeout_established").parse().unwrap();
        let same = Conntrack { tcp_established_timeout: Some(Duration::from_secs(seconds)), ..LEAVE };
        assert_eq!(warnings(&Sysctl::default().set_conntrack(&same)), Vec::<String>::new());
    });
}

#[test]
fn this_process_is_ended_as_early_as_it_is_told() {
    let before: i32 = fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    let wanted = (before + 1).min(1000);
    let report = Sysctl::default().set_oom_score_adj(wanted);
    assert_eq!(warnings(&report), Vec::<String>::new());
    assert_eq!(fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim(), wanted.to_string());
    let _ = Sysctl::default().set_oom_score_adj(before);
}
