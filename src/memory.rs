//! The allocator, and memory that is free going back to the system.
//!
//! What reading, compiling and comparing everything takes for a moment lies in the midst of what stays, several times as much as
//! that, and on several threads. glibc keeps most of it (`malloc_trim` passes over the ends of all heaps but the first), and
//! searches what is left in pieces for each change: with 10,000 Services that is a third of the agent's processor time, and
//! twice the memory. jemalloc gives back what has not been used for half a second (`dirty_decay_ms` in `.cargo/config.toml`), and has two
//! arenas, since hardly ever more threads than that allocate at once. What a thread keeps for itself is looked through after each
//! megabyte that it allocates rather than after each 64 kB, which is less than one change takes.

use std::ptr::null_mut;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Gives back all whole pages that are free, of all threads, rather than when they will have been unused for a while: for the
/// moments after work on everything, since an agent that is idle then does not allocate, and so does not look.
#[expect(unsafe_code, reason = "a function of jemalloc, which nothing safe wraps")]
pub fn give_back() {
    // 4096 is `MALLCTL_ARENAS_ALL`.
    let purge = c"arena.4096.purge";
    // SAFETY: the name ends with NUL, and mallctl(3) allows nothing to be read or written for it.
    unsafe { tikv_jemalloc_sys::mallctl(purge.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
}
