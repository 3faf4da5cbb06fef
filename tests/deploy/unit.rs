//! The systemd unit.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::tools::{read, run};

const UNIT: &str = "deploy/systemd/svcnat.service";
/// What systemd holds against the unit, by the names in its JSON, and why it stays.
const ACCEPTED: [(&str, &str); 12] = [
    ("AmbientCapabilities", "the user is not root and has a capability"),
    ("CapabilityBoundingSet_CAP_NET_ADMIN", "nf_tables and conntrack ask for it"),
    ("PrivateNetwork", "the host's network is where the rules are"),
    ("PrivateUsers", "a capability in another user namespace is none in the host's network"),
    ("RestrictAddressFamilies_AF_NETLINK", "the way to the kernel's rules"),
    (
        "RestrictAddressFamilies_AF_UNIX",
        "the socket for questions, and the lock that keeps a second agent from running",
    ),
    ("RestrictAddressFamilies_AF_INET_INET6", "health and metrics"),
    ("IPAddressDeny", "health is for load balancers, wherever they are"),
    ("ProcSubset", "the kernel's release and settings are read from /proc/sys"),
    ("SystemCallFilter_resources", "the C library asks for its limits with the call that also sets them"),
    ("DeviceAllow", "what ProtectClock leaves to read"),
    ("RootDirectoryOrRootImage", "a package installs into the host's root"),
];

#[test]
fn systemd_understands_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("svcnat.service");
    // The program must be where the unit says.
    let unit = read(UNIT).replace("=/usr/bin/svcnat ", concat!("=", env!("CARGO_BIN_EXE_svcnat"), " "));
    fs::write(&path, unit).unwrap();
    let said = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    assert_eq!((said.status.code(), String::from_utf8_lossy(&said.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_unit_is_as_closed_as_it_can_be() {
    let findings = run("systemd-analyze", &["security", "--offline=true", "--json=short", UNIT]);
    let findings: Vec<Value> = serde_json::from_str(&findings).unwrap();
    assert!(findings.len() > 50, "{findings:?}");
    for finding in findings.iter().filter(|finding| !finding["exposure"].is_null()) {
        let field = finding["json_field"].as_str().unwrap();
        assert!(ACCEPTED.iter().any(|(accepted, _)| *accepted == field), "{finding:#}");
    }
}

/// The value of a setting.
#[track_caller]
fn setting<'a>(unit: &'a str, name: &str) -> &'a str {
    let mut lines = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    lines.next().unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_units_user_may_change_rules() {
    let unit = read(UNIT);
    assert_eq!(setting(&unit, "DynamicUser"), "yes");
    let capability = setting(&unit, "AmbientCapabilities");
    assert_eq!(setting(&unit, "CapabilityBoundingSet"), capability);
    let only = format!("-all,+{}", capability.strip_prefix("CAP_").unwrap().to_lowercase());
    // Inside of a user namespace there may be no other user.
    let all_users = fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295");
    let user = if all_users { "--reuid=65534 --regid=65534 --clear-groups" } else { "" };
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("svcnat");
    fs::copy(env!("CARGO_BIN_EXE_svcnat"), &program).unwrap();
    let script = format!(
        "for file in deploy/examples/web/*.yaml; do echo ---; cat $file; done |
            setpriv {user} --no-new-privs --inh-caps={only} --ambient-caps={only} --bounding-set={only} \
                {program} apply -f - --hostname-override node-a --cluster-cidr 10.244.0.0/16
        nft list tables",
        program = program.display(),
    );
    let said = run("unshare", &["--net", "sh", "-ec", &script]);
    assert!(said.starts_with("tables +1") && said.ends_with("table ip svcnat\n"), "{said}");
}
