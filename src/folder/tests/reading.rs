//! The start, and what is read again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, INotifyWatcher, RecursiveMode, Watcher as _};
use svcnat_rules::engine::Event;

use super::{PATIENCE, folder, options, service};
use crate::folder::pending::Touched;
use crate::folder::reader::{Outcome, Reader};
use crate::folder::{Folder, Options};

const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: n1}}";
const CIDR: &str = "{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: x}, spec: {cidrs: [10.0.0.0/24]}}";

fn read(reader: &mut Reader, touched: &Touched) -> Vec<Event> {
    match reader.read(touched) {
        Outcome::Read(events) => events,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_start_with_half_of_the_manifests_is_refused_with_all_errors() {
    async fn check(paths: &[&Path], expected: &[&str]) {
        let found =
            Folder::open(options(paths)).await.err().map(|error| error.to_string()).unwrap_or_default();
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{found}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "{found}");
        }
    }
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1")), ("b.yaml", "kind: ["), ("c.yaml", "")]);
    let manifests = place.path().join("manifests");
    let (missing, empty) = (place.path().join("missing"), place.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    check(&[&manifests.join("a.yaml")], &[]).await;
    check(&[&manifests], &["b.yaml:", "c.yaml: no manifests in it"]).await;
    let both = ["missing: cannot be read: No such file", "empty: no manifests in this folder"];
    check(&[&missing, &manifests.join("a.yaml"), &empty], &both).await;
}

#[test]
fn everything_that_the_manifests_say_is_told() {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1")), ("cidr.yaml", CIDR), ("node.yaml", NODE)]);
    let cidrs = vec!["10.1.0.0/24".parse().unwrap(), "10.0.0.0/24".parse().unwrap()];
    let manifests = place.path().join("manifests");
    let mut reader = Reader::new(Options { service_cidrs: cidrs, ..options(&[&manifests]) });
    let told = read(&mut reader, &Touched::ByStamp);
    let cidrs = Event::ServiceCidrs(vec!["10.0.0.0/24".parse().unwrap(), "10.1.0.0/24".parse().unwrap()]);
    assert!(told.contains(&cidrs), "{told:?}");
    assert!(matches!(&told[..], [_, Event::Node(Some(_)), Event::Service(_)]), "{told:?}");
    fs::remove_file(manifests.join("node.yaml")).unwrap();
    assert_eq!(read(&mut reader, &Touched::ByStamp), [Event::Node(None)]);
    assert_eq!(read(&mut reader, &Touched::All), []);
}

#[test]
fn a_file_that_cannot_be_read_is_tried_again_without_being_touched() {
    let place = folder(&[("a.yaml", &service("a", "10.0.0.1"))]);
    let (path, target) = (place.path().join("manifests/b.yaml"), place.path().join("target"));
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let mut reader = Reader::new(options(&[&place.path().join("manifests")]));
    assert!(matches!(reader.read(&Touched::ByStamp), Outcome::Broken(_)));
    fs::write(&target, service("b", "10.0.0.2")).unwrap();
    assert_eq!(read(&mut reader, &Touched::ByStamp).len(), 2);
}

/// What is opened in a folder.
struct Opened {
    _watcher: INotifyWatcher,
    opened: mpsc::Receiver<PathBuf>,
    folder: PathBuf,
}

impl Opened {
    fn new(folder: &Path) -> Self {
        let (sender, opened) = mpsc::channel();
        let mut watcher = INotifyWatcher::new(
            move |event: notify::Result<notify::Event>| {
                let event = event.unwrap();
                if event.kind == EventKind::Access(AccessKind::Open(AccessMode::Any)) {
                    event.paths.into_iter().for_each(|path| sender.send(path).unwrap_or_default());
                }
            },
            notify::Config::default(),
        )
        .unwrap();
        watcher.watch(folder, RecursiveMode::NonRecursive).unwrap();
        Self { _watcher: watcher, opened, folder: folder.to_owned() }
    }

    /// The files that were opened since the last time.
    fn files(&self) -> BTreeSet<String> {
        let mark = self.folder.join("mark");
        File::create(&mark).unwrap();
        let paths =
            std::iter::from_fn(|| self.opened.recv_timeout(PATIENCE).ok()).take_while(|path| *path != mark);
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        paths.filter(|path| *path != self.folder).filter_map(name).collect()
    }
}

#[test]
fn only_files_that_have_changed_are_read_again() {
    let place = folder(&[
        ("a.yaml", &service("a", "10.0.0.1")),
        ("b.yaml", &service("b", "10.0.0.2")),
        ("c.yaml", "kind: ["),
    ]);
    let manifests = place.path().join("manifests").canonicalize().unwrap();
    let path = |name: &str| manifests.join(name);
    let mut reader = Reader::new(options(&[&manifests]));
    let opened = Opened::new(&manifests);
    let mut check = |touched: Touched, changed: Option<usize>, expected: &[&str]| {
        let _ = opened.files();
        match reader.read(&touched) {
            Outcome::Read(events) => assert_eq!(Some(events.len()), changed, "{events:?}"),
            Outcome::Broken(_) => assert_eq!(None, changed),
            Outcome::Unsettled => panic!("nobody else is here"),
        }
        assert_eq!(opened.files().iter().collect::<Vec<_>>(), expected);
    };
    check(Touched::ByStamp, None, &["a.yaml", "b.yaml", "c.yaml"]);
    check(Touched::ByStamp, None, &[]);
    fs::write(path("b.yaml"), service("b", "10.0.0.20")).unwrap();
    check(Touched::ByStamp, None, &["b.yaml"]);
    fs::write(path("c.yaml"), service("c", "10.0.0.3")).unwrap();
    check(Touched::ByStamp, Some(3), &["c.yaml"]);
    fs::write(path("a.yaml"), service("a", "10.0.0.10")).unwrap();
    check(Touched::ByStamp, Some(1), &["a.yaml"]);
    check(Touched::Paths([path("a.yaml"), path("else.yaml")].into()), Some(0), &["a.yaml"]);
    fs::remove_file(path("a.yaml")).unwrap();
    check(Touched::ByStamp, Some(1), &[]);
    check(Touched::All, Some(0), &["b.yaml", "c.yaml"]);
}
