//! The image's root file system, built from this machine's packages and run.

use std::fs;
use std::path::Path;

use crate::tools::{read, run};

/// `deploy/image/rootfs`, with the program as these tests were built with it.
fn build(root: &Path, with: &[&str]) {
    let arguments = [&[env!("CARGO_BIN_EXE_svcnat"), root.to_str().unwrap()], with].concat();
    run("deploy/image/rootfs", &arguments);
}

#[test]
fn svcnat_works_in_the_image_with_one_capability_and_nothing_to_write_to() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rootfs");
    build(&root, &[]);
    let said = run("deploy/image/check", &[root.to_str().unwrap()]);
    assert!(said.starts_with(concat!("svcnat ", env!("CARGO_PKG_VERSION"), "\ntables +1")), "{said}");
    assert!(!said.contains("chains -"), "{said}");
}

#[test]
fn an_image_with_iptables_works_in_both_modes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rootfs");
    build(&root, &["iptables"]);
    let said = run("deploy/image/check", &[root.to_str().unwrap()]);
    // What cleanup says of each variant.
    assert_eq!(said.matches("\nchains -").count(), 2, "{said}");
}

#[test]
fn the_image_has_one_program_and_says_which_packages_its_libraries_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rootfs");
    build(&root, &[]);
    let names = |path: &str| {
        let entries = fs::read_dir(root.join(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names("usr/bin"), ["svcnat"]);
    let packages = names("var/lib/dpkg/status.d");
    assert_eq!(names("usr/share/doc"), packages);
    for package in packages {
        let installed = run("dpkg-query", &["--show", "--showformat=Version: ${Version}\n", &package]);
        let status = fs::read_to_string(root.join("var/lib/dpkg/status.d").join(&package)).unwrap();
        assert!(status.contains(&installed), "{package}: {installed}");
    }
}

#[test]
fn the_containerfile_takes_the_same_root_file_system() {
    let containerfile = read("deploy/image/Containerfile");
    for line in [
        "RUN deploy/image/rootfs target/release/svcnat /rootfs",
        "FROM scratch\nCOPY --from=build /rootfs /\nENTRYPOINT [\"/usr/bin/svcnat\"]\n",
    ] {
        assert!(containerfile.contains(line), "{line}");
    }
}
