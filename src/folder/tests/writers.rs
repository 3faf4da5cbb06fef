//! However a file is written, it is noticed; and never is half of it acted on.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::{Listener, folder, service};
use crate::folder::Pace;

/// Two Services, each in a file of its own; `write` changes the one in `a.yaml` to 10.0.0.9.
async fn check(write: impl Fn(&Path, &str)) {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1")), ("b.yaml", &service("b", "10.0.0.2"))]);
    let manifests = place.path().join("manifests");
    let mut listener = Listener::start(&[&manifests], Pace::default()).await;
    assert_eq!(listener.services(), ["a 10.0.0.1", "b 10.0.0.2"]);
    for ip in ["10.0.0.9", "10.0.0.8"] {
        write(&manifests, &service("a", ip));
        listener.until(&[&format!("a {ip}"), "b 10.0.0.2"]).await;
    }
    listener.silence().await;
}

#[tokio::test]
async fn a_file_may_be_written_in_many_ways() {
    check(|folder, text| fs::write(folder.join("a.yaml"), text).unwrap()).await;
    check(|folder, text| {
        fs::write(folder.join(".a.yaml.tmp"), text).unwrap();
        fs::rename(folder.join(".a.yaml.tmp"), folder.join("a.yaml")).unwrap();
    })
    .await;
    // As vim does: the old file out of the way, a new one in its place.
    check(|folder, text| {
        fs::rename(folder.join("a.yaml"), folder.join("a.yaml~")).unwrap();
        fs::write(folder.join("a.yaml"), text).unwrap();
        fs::remove_file(folder.join("a.yaml~")).unwrap();
    })
    .await;
    check(|folder, text| {
        let mut file = File::options().write(true).open(folder.join("a.yaml")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    })
    .await;
    // From another folder, with all its times, as an archive is unpacked.
    check(|folder, text| {
        let beside = folder.parent().unwrap().join("a.yaml");
        fs::write(&beside, text).unwrap();
        File::open(&beside).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        fs::rename(&beside, folder.join("a.yaml")).unwrap();
    })
    .await;
    check(|folder, text| {
        fs::remove_file(folder.join("a.yaml")).unwrap();
        fs::write(folder.parent().unwrap().join("a"), text).unwrap();
        symlink("../a", folder.join("a.yaml")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_beside_a_file_while_it_is_edited_does_not_count() {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1"))]);
    let manifests = place.path().join("manifests");
    let path = |name: &str| manifests.join(name);
    let mut listener = Listener::start(&[&manifests], Pace::default()).await;
    fs::write(path(".a.yaml"), service("a", "10.0.0.2")).unwrap();
    fs::write(path(".half.yaml"), "kind: [").unwrap();
    // Emacs' lock.
    symlink("somebody@somewhere.1234:1", path(".#a.yaml")).unwrap();
    listener.silence().await;
    // Nothing in the folder is broken, so what is different is told.
    fs::rename(path(".a.yaml"), path("a.yaml")).unwrap();
    listener.until(&["a 10.0.0.2"]).await;
}

#[tokio::test]
async fn a_file_is_not_read_while_somebody_writes_it() {
    let both = format!("{}---\n{}", service("a", "10.0.0.1"), service("b", "10.0.0.2"));
    let place = folder(&[("all.yaml", &both), ("c.yaml", &service("c", "10.0.0.3"))]);
    let manifests = place.path().join("manifests");
    // However slow this machine is, the writer does not seem to have stopped.
    let pace = Pace { longest: Duration::from_secs(30), ..Pace::default() };
    let mut listener = Listener::start(&[&manifests], pace).await;
    let mut file = File::create(manifests.join("all.yaml")).unwrap();
    file.write_all(service("a", "10.0.0.9").as_bytes()).unwrap();
    // Meanwhile others write too, who are waited for as well.
    fs::write(manifests.join("c.yaml"), service("c", "10.0.0.8")).unwrap();
    listener.silence().await;
    file.write_all(format!("---\n{}", service("b", "10.0.0.2")).as_bytes()).unwrap();
    drop(file);
    listener.until(&["a 10.0.0.9", "b 10.0.0.2", "c 10.0.0.8"]).await;
}

#[tokio::test]
async fn a_writer_who_never_ends_does_not_stop_everything() {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1"))]);
    let manifests = place.path().join("manifests");
    let pace = Pace { longest: Duration::from_millis(300), ..Pace::default() };
    let mut listener = Listener::start(&[&manifests], pace).await;
    let mut file = File::create(manifests.join("b.yaml")).unwrap();
    file.write_all(service("b", "10.0.0.2").as_bytes()).unwrap();
    listener.until(&["a 10.0.0.1", "b 10.0.0.2"]).await;
}

#[tokio::test]
async fn what_cannot_be_read_changes_nothing_until_it_is_mended() {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1")), ("b.yaml", &service("b", "10.0.0.2"))]);
    let manifests = place.path().join("manifests");
    let path = |name: &str| manifests.join(name);
    let mut listener = Listener::start(&[&manifests], Pace::default()).await;
    let broken = [
        "",
        "kind: [",
        "apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {clusterIP: 10.0.0.300, ports: [{port: 80}]}\n",
    ];
    for (number, text) in broken.into_iter().enumerate() {
        fs::write(path("b.yaml"), text).unwrap();
        // The other file is fine, and still one half of all.
        let ip = format!("10.0.1.{number}");
        fs::write(path("a.yaml"), service("a", &ip)).unwrap();
        listener.silence().await;
        fs::write(path("b.yaml"), service("b", "10.0.0.2")).unwrap();
        listener.until(&[&format!("a {ip}"), "b 10.0.0.2"]).await;
    }
    symlink("nowhere", path("c.yaml")).unwrap();
    fs::remove_file(path("b.yaml")).unwrap();
    listener.silence().await;
    // Where the link leads to is watched.
    fs::write(path("nowhere"), service("c", "10.0.0.3")).unwrap();
    listener.until(&["a 10.0.1.2", "c 10.0.0.3"]).await;
    fs::remove_file(path("a.yaml")).unwrap();
    listener.until(&["c 10.0.0.3"]).await;
    fs::remove_file(path("c.yaml")).unwrap();
    // An empty folder is an accident; an empty list is not.
    listener.silence().await;
    fs::write(path("none.yaml"), "{apiVersion: v1, kind: List, items: []}").unwrap();
    listener.until(&[]).await;
}

#[tokio::test]
async fn a_folder_may_vanish_and_come_back() {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1"))]);
    let at = |name: &str| place.path().join(name);
    let mut listener = Listener::start(&[&at("manifests")], Pace::default()).await;
    for ip in ["10.0.0.2", "10.0.0.3"] {
        fs::remove_dir_all(at("manifests")).unwrap();
        listener.silence().await;
        fs::create_dir(at("manifests")).unwrap();
        fs::write(at("manifests/a.yaml"), service("a", ip)).unwrap();
        listener.until(&[&format!("a {ip}")]).await;
        fs::write(at("manifests/b.yaml"), service("b", ip)).unwrap();
        listener.until(&[&format!("a {ip}"), &format!("b {ip}")]).await;
        fs::remove_file(at("manifests/b.yaml")).unwrap();
        listener.until(&[&format!("a {ip}")]).await;
    }
    // Another one in its place, with the folder above.
    fs::rename(at("manifests"), at("old")).unwrap();
    fs::create_dir(at("new")).unwrap();
    fs::write(at("new/a.yaml"), service("a", "10.0.0.4")).unwrap();
    fs::rename(at("new"), at("manifests")).unwrap();
    listener.until(&["a 10.0.0.4"]).await;
    fs::write(at("manifests/a.yaml"), service("a", "10.0.0.5")).unwrap();
    listener.until(&["a 10.0.0.5"]).await;
    // The old one does not count any more.
    fs::write(at("old/a.yaml"), service("a", "10.0.0.6")).unwrap();
    listener.silence().await;
}

/// The links of a ConfigMap volume: `a.yaml` leads to `..data/a.yaml`, and `..data` to the folder of the latest version.
#[tokio::test]
async fn a_config_map_volume_is_followed() {
    let place = folder(&[]);
    let volume = place.path().join("manifests");
    let publish = |version: &str, ip: &str| {
        fs::create_dir(volume.join(version)).unwrap();
        fs::write(volume.join(version).join("a.yaml"), service("a", ip)).unwrap();
        fs::write(volume.join(version).join("b.yaml"), service("b", ip)).unwrap();
        symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    publish("..1", "10.0.0.1");
    symlink("..data/a.yaml", volume.join("a.yaml")).unwrap();
    symlink("..data/b.yaml", volume.join("b.yaml")).unwrap();
    let mut listener = Listener::start(&[&volume], Pace::default()).await;
    for (last, version, ip) in [("..1", "..2", "10.0.0.2"), ("..2", "..3", "10.0.0.3")] {
        publish(version, ip);
        listener.until(&[&format!("a {ip}"), &format!("b {ip}")]).await;
        fs::remove_dir_all(volume.join(last)).unwrap();
        listener.silence().await;
    }
}

#[tokio::test]
async fn files_and_folders_are_followed_together_by_any_name() {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1"))]);
    let at = |name: &str| place.path().join(name);
    fs::write(at("one.txt"), service("one", "10.0.0.2")).unwrap();
    symlink("manifests", at("link")).unwrap();
    let mut listener = Listener::start(&[&at("link"), &at("one.txt")], Pace::default()).await;
    fs::write(at("one.txt"), service("one", "10.0.0.3")).unwrap();
    listener.until(&["a 10.0.0.1", "one 10.0.0.3"]).await;
    fs::write(at("manifests/a.yaml"), service("a", "10.0.0.4")).unwrap();
    listener.until(&["a 10.0.0.4", "one 10.0.0.3"]).await;
    // What is given later counts.
    fs::write(at("one.txt"), service("a", "10.0.0.5")).unwrap();
    listener.until(&["a 10.0.0.5"]).await;
    fs::create_dir(at("next")).unwrap();
    fs::write(at("next/b.yaml"), service("b", "10.0.0.6")).unwrap();
    symlink("next", at("swap")).unwrap();
    fs::rename(at("swap"), at("link")).unwrap();
    listener.until(&["a 10.0.0.5", "b 10.0.0.6"]).await;
}

#[tokio::test]
async fn what_inotify_does_not_tell_is_found_all_the_same() {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1"))]);
    // inotify tells of a change by the name by which the file was opened, and nobody watches this one.
    let other_name = place.path().join("other-name");
    fs::hard_link(place.path().join("manifests/a.yaml"), &other_name).unwrap();
    let pace = Pace { rescan: Duration::from_millis(200), ..Pace::default() };
    let mut listener = Listener::start(&[&place.path().join("manifests")], pace).await;
    for ip in ["10.0.0.2", "10.0.0.3"] {
        let mut file = File::options().write(true).open(&other_name).unwrap();
        file.write_all(service("a", ip).as_bytes()).unwrap();
        listener.until(&[&format!("a {ip}")]).await;
    }
}
