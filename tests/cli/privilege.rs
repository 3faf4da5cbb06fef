//! Who may not change the rules.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::sandbox::{SVCNAT, folder, golden, listing, on_node_a, run, sandbox};

#[test]
fn without_privilege_nothing_is_done_and_the_error_says_what_is_missing() {
    // Nobody but root may look into the build's folder, perhaps.
    let folder = folder(&[]);
    let program = folder.path().join("svcnat");
    fs::copy(SVCNAT, &program).unwrap();
    fs::copy(golden("list-in-json").join("manifests.json"), folder.path().join("web.json")).unwrap();
    for path in [folder.path(), &program] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let (program, manifest) = (program.to_str().unwrap(), folder.path().join("web.json"));
    let apply = [program, "apply", "-f", manifest.to_str().unwrap()];
    let no_capabilities = ["--inh-caps=-all", "--bounding-set=-all"];
    let mut ways = vec![no_capabilities.to_vec()];
    // Inside of a user namespace there may be no other user.
    if fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().nth(2) == Some("4294967295") {
        ways.push([&["--reuid=65534", "--clear-groups"], &no_capabilities[..]].concat());
    }
    for way in ways {
        sandbox(|| {
            on_node_a("apply", &golden("web"), &[]);
            let before = listing();
            for command in [&apply[..], &[program, "cleanup"], &[program, "cleanup", "--kube-proxy"]] {
                let run = run("setpriv", &[&way, command].concat(), "");
                assert_eq!((run.code, run.out.as_str()), (Some(4), ""), "{way:?} {command:?}: {}", run.err);
                assert!(run.err.contains("CAP_NET_ADMIN"), "{}", run.err);
            }
            assert_eq!(listing(), before);
            // Who only looks needs no privilege.
            let render = run("setpriv", &[&way[..], &[program, "render"], &apply[2..]].concat(), "");
            assert_eq!(render.code, Some(0), "{}", render.err);
        });
    }
}
