//! Memory that is free goes back to the system.
//!
//! glibc gives back by itself only what is free at the end of a heap, and each thread has a heap. What reading, compiling
//! and comparing everything takes for a moment lies in the midst of what stays, several times as much as that.

/// Gives back all whole pages that are free, of all threads. Costs some milliseconds for each 100 MB that are in use, during
/// which other threads may wait for memory: for the moments after work on everything, not for the path of a change.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a function of glibc, which nothing safe wraps")]
pub fn give_back() {
    // SAFETY: malloc_trim(3) has no precondition, and takes each heap's lock while it looks through it.
    unsafe { nix::libc::malloc_trim(0) };
}

/// Other C libraries give back what is freed.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}
