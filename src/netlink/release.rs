//! What depends on the running kernel's release, because the kernel has no other way to tell.

use std::sync::LazyLock;

/// The release of the running kernel, `/proc/sys/kernel/osrelease`; nothing where it cannot be read.
static RELEASE: LazyLock<String> =
    LazyLock::new(|| std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default());

/// Whether the running kernel is of that release or a later one; false where it cannot be told.
pub(super) fn is_since(major: u32, minor: u32) -> bool {
    since(&RELEASE, major, minor)
}

/// The release of the running kernel; empty where it cannot be read.
#[must_use]
pub fn kernel_release() -> &'static str {
    RELEASE.trim_end()
}

fn since(release: &str, major: u32, minor: u32) -> bool {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(a)), Some(Ok(b))) if (a, b) >= (major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        #[track_caller]
        fn check(release: &str, expected: bool) {
            assert_eq!(since(release, 6, 10), expected, "{release}");
        }
        check("6.18.44-fc-v669\n", true);
        check("6.10.0", true);
        check("6.9.12-generic", false);
        check("5.15.0-91-generic", false);
        check("7.0-rc1", true);
        check("", false);
        check("linux", false);
    }
}
