//! Versions of the C libraries, which have no function that says them: it is their files' names that do.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// A library that this process has loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Library {
    /// Its name.
    pub name: &'static str,
    /// The version of its binary interface, as its file has it: 11.6.0 of `libnftnl.so.11.6.0`.
    pub version: String,
}

const NAMES: [&str; 2] = ["libnftnl", "libmnl"];

/// Those of netfilter, as far as the system tells.
#[must_use]
pub fn libraries() -> Vec<Library> {
    in_maps(&fs::read_to_string("/proc/self/maps").unwrap_or_default())
}

fn in_maps(maps: &str) -> Vec<Library> {
    let version = |name: &str| {
        maps.lines().find_map(|line| {
            let file = Path::new(line.split_whitespace().nth(5)?).file_name()?.to_str()?;
            Some(file.strip_prefix(name)?.strip_prefix(".so.")?.to_owned())
        })
    };
    NAMES.into_iter().filter_map(|name| Some(Library { name, version: version(name)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_names_of_files() {
        let maps = "7f3c-7f3d r-xp 00001000 fe:00 1234    /usr/lib/x86_64-linux-gnu/libmnl.so.0.2.0\n\
                    7f3d-7f3e rw-p 00000000 00:00 0 \n\
                    7f3e-7f3f r-xp 00001000 fe:00 1235    /usr/lib/x86_64-linux-gnu/libnftnl.so.11.6.0\n";
        let library = |name, version: &str| Library { name, version: version.to_owned() };
        assert_eq!(in_maps(maps), [library("libnftnl", "11.6.0"), library("libmnl", "0.2.0")]);
        assert_eq!(in_maps(""), []);
    }

    #[test]
    fn this_process_has_both() {
        // Both are linked in, which takes a use of them.
        drop(crate::netlink::Netlink::open());
        let names: Vec<&str> = libraries().iter().map(|library| library.name).collect();
        assert_eq!(names, NAMES);
    }
}
