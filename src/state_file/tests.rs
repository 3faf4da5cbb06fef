//! What is written is read again, and nothing else is.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::*;
use svcnat_oracle::generate::arb_world;
use svcnat_rules::cluster::Labels;
use tempfile::{TempDir, tempdir};

use super::codec::{Fault, decode};
use super::*;
use crate::manifests::{self, Source};

/// A state with something in every field.
const EVERYTHING: &str = r#"{"services":{"shop/web":{"name":"shop/web","created":-5,"kind":"LoadBalancer","clusterIps":["10.0.0.1","fd00::1"],"externalIps":["192.0.2.1"],"loadBalancerIps":["192.0.2.2"],"sourceRanges":["10.0.0.0/8","fd00::/8"],"ports":[{"name":"http","protocol":"TCP","port":80,"nodePort":30080},{"name":"dns","protocol":"SCTP","port":53}],"externalPolicy":"Local","internalPolicy":"Cluster","affinitySeconds":60,"healthCheckNodePort":30081,"labels":{"app":"web","example.com/env":""}}},"slices":{"shop/web-1.x":{"service":"shop/web","family":"IPv4","ports":[{"name":"http","protocol":"UDP","port":8080}],"endpoints":[{"address":"10.1.0.1","conditions":{"ready":false,"serving":true,"terminating":true},"node":"n1.example","zone":"a \"zone\"","pod":"shop/web-7.a","zoneHints":["b"],"nodeHints":["n2"]}]}},"node":{"name":"n1.example","addresses":["127.0.0.1"],"zone":"z","podCidrs":["10.1.0.0/24"]},"serviceCidrs":["10.0.0.0/16"]}"#;

/// A state file with this state in it.
fn file_of(body: &str) -> Vec<u8> {
    file_of_version(2, body)
}

fn file_of_version(version: u64, body: &str) -> Vec<u8> {
    let checksum = crc32fast::hash(body.as_bytes());
    let length = body.len();
    format!(
        "{{\"format\":\"svcnat state\",\"version\":{version},\"length\":{length},\"crc32\":\"{checksum:08x}\"}}\n{body}"
    )
    .into_bytes()
}

fn text(cluster: &Cluster) -> Text {
    Text::of(cluster).unwrap()
}

fn encode(cluster: &Cluster) -> Vec<u8> {
    text(cluster).finish().unwrap().concat()
}

fn everything() -> Cluster {
    decode(&file_of(EVERYTHING)).unwrap()
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state");
    (folder, path)
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Whether every way to break the bytes is noticed.
fn check_damage(bytes: &[u8]) {
    for at in 0..bytes.len() {
        assert!(decode(&bytes[..at]).is_err(), "cut after {at}");
        for bit in 0..8 {
            let mut broken = bytes.to_vec();
            broken[at] ^= 1 << bit;
            assert!(decode(&broken).is_err(), "bit {bit} of byte {at}");
        }
        let mut broken = bytes.to_vec();
        broken[at] = if bytes[at] == b' ' { b'\t' } else { b' ' };
        assert!(decode(&broken).is_err(), "blank in place of byte {at}");
        broken.remove(at);
        assert!(decode(&broken).is_err(), "without byte {at}");
    }
    assert!(decode(&[bytes, b"\n"].concat()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_cluster_is_read_as_it_was_written(world in arb_world()) {
        let bytes = encode(&world.cluster);
        prop_assert_eq!(decode(&bytes), Ok(world.cluster));
    }
}

#[test]
fn a_state_in_parts_is_read_as_a_whole() {
    let whole = everything();
    let services = Cluster { services: whole.services.clone(), ..Cluster::default() };
    let rest = Cluster { services: BTreeMap::new(), ..whole.clone() };
    let check = |parts: &[&Cluster], expected: Cluster| {
        let mut text = Text::default();
        parts.iter().for_each(|part| text.add(part).unwrap());
        assert_eq!(decode(&text.finish().unwrap().concat()), Ok(expected));
    };
    check(&[], Cluster::default());
    check(&[&services], services.clone());
    check(&[&services, &Cluster::default(), &rest], whole);
}

#[test]
fn every_damage_is_noticed() {
    check_damage(&encode(&Cluster::default()));
    check_damage(&encode(&everything()));
}

#[test]
fn whatever_manifests_can_say_is_read_as_it_was_written() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let cases = fs::read_dir(golden).unwrap().map(|case| case.unwrap().path());
    let cases: Vec<_> = cases.filter(|path| path.is_dir()).collect();
    assert!(cases.len() > 10);
    for case in cases {
        let cluster = manifests::read(&[Source::Path(case)], "node-a").unwrap().cluster;
        assert_eq!(decode(&encode(&cluster)), Ok(cluster));
    }
}

#[test]
fn nothing_in_a_state_is_lost() {
    let written = encode(&everything());
    assert_eq!(String::from_utf8(written).unwrap().lines().nth(1), Some(EVERYTHING));
}

/// The file of an agent before an upgrade, whose format had no labels.
#[test]
fn what_an_older_agent_wrote_is_read() {
    let labels = ",\"labels\":{\"app\":\"web\",\"example.com/env\":\"\"}";
    let older = EVERYTHING.replace(labels, "");
    assert_ne!(older, EVERYTHING);
    let mut expected = everything();
    expected.services.values_mut().for_each(|service| service.labels = Labels::default());
    assert_eq!(decode(&file_of_version(1, &older)), Ok(expected));
}

/// What rules must not be made from is refused even under a right checksum.
#[test]
fn what_the_compiler_relies_on_is_checked() {
    #[track_caller]
    fn check(good: &str, bad: &str, expected: &str) {
        assert_eq!(EVERYTHING.matches(good).count(), 1, "{good}");
        match decode(&file_of(&EVERYTHING.replace(good, bad))) {
            Err(Fault::Meaning(reason)) => assert!(reason.contains(expected), "{bad}: {reason}"),
            other => panic!("{bad}: {other:?}"),
        }
    }
    check("\"port\":80,", "\"port\":0,", "nonzero u16");
    check("\"port\":80,", "\"port\":65536,", "nonzero u16");
    check("\"10.0.0.0/8\"", "\"10.0.0.1/8\"", "without host bits");
    check("\"10.0.0.0/8\"", "\"10.0.0.0\"", "without host bits");
    check("\"10.0.0.0/8\"", "\"fe00::/8\"", "services[shop/web].sourceRanges: must be in ascending order");
    check("\"fd00::/8\"", "\"10.0.0.0/8\"", "services[shop/web].sourceRanges: must be in ascending order");
    check(
        "[\"10.0.0.0/16\"]",
        "[\"10.0.0.0/16\",\"10.0.0.0/16\"]",
        "serviceCidrs: must be in ascending order",
    );
    check("\"fd00::1\"", "\"10.0.0.2\"", "clusterIps: 10.0.0.2 is the second address of its family");
    check("\"fd00::1\"", "\"10.0.0.1\"", "clusterIps: 10.0.0.1 is given twice");
    check("\"fd00::1\"", "\"::ffff:1.2.3.4\"", "an IPv4 address written as IPv6");
    check("\"192.0.2.1\"", "\"127.0.0.1\"", "externalIps: 127.0.0.1 cannot be used");
    check("\"192.0.2.2\"", "\"192.0.2.2\",\"192.0.2.2\"", "loadBalancerIps: 192.0.2.2 is given twice");
    check("\"name\":\"shop/web\"", "\"name\":\"shop/api\"", "must be the same as its key");
    check("\"shop/web\":{", "\"web\":{", "namespace/name");
    check("\"name\":\"dns\"", "\"name\":\"http\"", "ports[1].name: \"http\" is given twice");
    check("\"name\":\"dns\"", "\"name\":\"a\\\" accept\"", "ports[1].name: \"a\" accept\" is not a name");
    check("\"kind\":\"LoadBalancer\"", "\"kind\":\"ExternalName\"", "unknown variant");
    check("\"affinitySeconds\":60", "\"affinitySeconds\":0", "must be from 1 to 86400, not 0");
    check("\"affinitySeconds\":60", "\"affinitySeconds\":86401", "must be from 1 to 86400, not 86401");
    check("\"shop/web-1.x\"", "\"shop/web_1\"", "slices[shop/web_1]: \"web_1\" is not a name");
    check("\"shop/web-1.x\"", "\"shop/web/1\"", "namespace/name");
    check("\"service\":\"shop/web\"", "\"service\":\"shop/Web\"", "slices[shop/web-1.x].service: \"Web\"");
    check("\"family\":\"IPv4\"", "\"family\":\"IPv6\"", "endpoints[0].address: 10.1.0.1 is");
    check("\"10.1.0.1\"", "\"0.0.0.0\"", "endpoints[0].address: 0.0.0.0 cannot be used");
    check("\"10.1.0.1\"", "\"10.1.0.01\"", "invalid IP address");
    check(
        "\"node\":\"n1.example\"",
        "\"node\":\"n1 example\"",
        "endpoints[0].node: \"n1 example\" is not a name",
    );
    check("\"shop/web-7.a\"", "\"shop/\"", "endpoints[0].pod: is required");
    check("\"127.0.0.1\"", "\"::ffff:1.2.3.4\"", "node.addresses[0]");
    check("\"zone\":\"z\"", "\"region\":\"z\"", "unknown field");
    check("\"ready\":false,", "", "missing field `ready`");
}

#[test]
fn a_file_is_replaced_and_nobody_else_may_read_it() {
    let (folder, path) = place();
    assert_eq!(read(&path).unwrap(), None);
    write(&path, text(&Cluster::default())).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    // As a process that was killed leaves it, or as somebody with bad intentions.
    symlink(folder.path().join("victim"), folder.path().join(".state.new")).unwrap();
    write(&path, text(&everything())).unwrap();
    assert_eq!(read(&path).unwrap(), Some(everything()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(names(folder.path()), ["state"]);
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let (folder, path) = place();
    let target = folder.path().join("target");
    for content in [b"of somebody else".to_vec(), encode(&Cluster::default())] {
        fs::write(&target, &content).unwrap();
        let _ = fs::remove_file(&path);
        symlink(&target, &path).unwrap();
        write(&path, text(&everything())).unwrap();
        assert_eq!(fs::read(&target).unwrap(), content);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(read(&path).unwrap(), Some(everything()));
    }
}

#[test]
fn errors_say_what_is_lost_and_what_to_do() {
    #[track_caller]
    fn check(content: &[u8], expected: &str) {
        let (_folder, path) = place();
        fs::write(&path, content).unwrap();
        let said = read(&path).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{}: {expected}", path.display())), "{said}");
        let foreign = expected.starts_with("not a state file");
        assert_ne!(foreign, said.contains("no Service is known until the cluster can be asked"), "{said}");
        // What was ours once is replaced, the rest is not.
        match write(&path, text(&everything())) {
            Ok(()) => assert!(!foreign && read(&path).unwrap() == Some(everything()), "{said}"),
            Err(error) => {
                assert!(foreign && error.to_string() == said, "{error}");
                assert_eq!(fs::read(&path).unwrap(), content);
            }
        }
    }
    let good = encode(&everything());
    let text = String::from_utf8(good.clone()).unwrap();
    let length = good.len() - text.lines().next().unwrap().len() - 1;
    check(b"root:x:0:0:root:/root:/bin/bash\n", "not a state file of svcnat; it is left as it is");
    check(EVERYTHING.as_bytes(), "not a state file of svcnat; it is left as it is");
    for version in [0, 3] {
        let expected = format!("of format {version}, and this svcnat knows 1 to 2");
        check(&file_of_version(version, EVERYTHING), &expected);
    }
    let other = b"{\"format\":\"svcnat state\",\"version\":7,\"compressed\":true}\n\x01\x02";
    check(other, "of format 7, and this svcnat knows 1 to 2");
    let cut = good.split_last_chunk::<9>().unwrap().0;
    check(cut, &format!("{} bytes of state where {length} were written", length - 9));
    check(&good[..codec::MAGIC.len() + 3], "damaged, it does not have its checksum");
    check(text.replace("10.0.0.1", "10.0.0.2").as_bytes(), "damaged, it does not have its checksum");
    check(&file_of("{}"), "not written by svcnat: missing field `services`");
    check(
        &file_of(&EVERYTHING.replace("10.0.0.1", "0.0.0.0")),
        "not written by svcnat: services[shop/web].clusterIps",
    );
}

#[test]
fn what_is_no_file_is_neither_read_nor_replaced() {
    let (folder, path) = place();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    assert!(matches!(read(&path), Err(Error::Foreign(_))));
    assert!(matches!(write(&path, text(&everything())), Err(Error::Foreign(_))));
    assert!(matches!(read(folder.path()), Err(Error::Unreadable { .. })));
    assert!(matches!(write(folder.path(), text(&everything())), Err(Error::Foreign(_))));
    let nowhere = folder.path().join("missing/state");
    assert!(matches!(write(&nowhere, text(&everything())), Err(Error::Unwritable { .. })));
    assert_eq!(read(&nowhere).unwrap(), None);
    assert_eq!(names(folder.path()), ["state"]);
}

#[test]
fn readers_see_one_state_or_the_other() {
    let (_folder, path) = place();
    let states = [Cluster::default(), everything()];
    write(&path, text(&states[0])).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for state in states.iter().cycle().take(200) {
                write(&path, text(state)).unwrap();
            }
        });
        while !writer.is_finished() {
            assert!(states.contains(&read(&path).unwrap().unwrap()));
        }
    });
}

#[test]
fn a_full_disk_leaves_the_last_state() {
    let (folder, path) = place();
    thread::scope(|scope| {
        // A thread with mounts of its own, which end with it.
        scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                .unwrap();
            mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some("size=16k")).unwrap();
            write(&path, text(&everything())).unwrap();
            let mut large = everything();
            let service = large.services.values().next().unwrap().clone();
            for number in 0..1000 {
                let name = svcnat_rules::name::ObjectName::new("shop", &format!("web{number}"));
                large
                    .services
                    .insert(name.clone(), svcnat_rules::cluster::Service { name, ..service.clone() });
            }
            let said = write(&path, text(&large)).unwrap_err().to_string();
            assert!(said.contains("No space left on device"), "{said}");
            assert_eq!(names(folder.path()), ["state"]);
            assert_eq!(read(&path).unwrap(), Some(everything()));
        });
    });
}
