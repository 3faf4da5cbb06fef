//! Memory goes back to the system: alone in its process, since it looks at the memory of the whole of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use svcnat::memory::give_back;

/// What is resident, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn what_was_freed_on_another_thread_is_given_back() {
    const SIZE: usize = 64 << 20;
    let pieces = std::thread::spawn(|| vec![vec![1_u8; 4000]; SIZE / 4000]).join().unwrap();
    let held = resident();
    drop(pieces);
    give_back();
    let left = resident();
    assert!(left + SIZE / 2 < held, "{held} bytes were resident, {left} still are");
}
