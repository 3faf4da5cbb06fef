//! Files, folders and streams.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use svcnat_rules::name::Name;

use crate::manifests::{Progress, Source, read, read_and_tell, source};

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("svcnat-manifests-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// What reading the paths in it gives, the folder's own path left out: names of the Services, notes, errors.
    fn read(&self, paths: &[&str]) -> String {
        let sources: Vec<_> = paths.iter().map(|path| Source::Path(self.0.join(path))).collect();
        let found = match read(&sources, "n1") {
            Ok(found) => {
                let services = found.cluster.services.values();
                let services = services.map(|service| format!("{} {:?}", service.name, service.cluster_ips));
                services.chain(found.notes.iter().map(ToString::to_string)).collect::<Vec<_>>().join("\n")
            }
            Err(errors) => errors.to_string(),
        };
        found.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn service(name: &str, ip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: {ip}, ports: [{{port: 80}}]}}\n"
    )
}

#[test]
fn a_folder_is_read_in_order_of_names_and_the_last_object_counts() {
    let folder = Folder::new("order");
    folder.write("b.yml", &service("web", "10.0.0.2"));
    folder.write("a.yaml", &service("web", "10.0.0.1"));
    folder.write(
        "c.json",
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"api"},
        "spec":{"clusterIP":"10.0.0.3","ports":[{"port":80}]}}"#,
    );
    folder.write("d.txt", "not a manifest");
    folder.write("e.yaml.bak", "not one either");
    folder.write(".f.yaml", &service("hidden", "10.0.0.8"));
    fs::create_dir(folder.0.join("x.yaml")).unwrap();
    folder.write("x.yaml/f.yaml", &service("deep", "10.0.0.9"));
    let expected = "default/api [10.0.0.3]\ndefault/web [10.0.0.2]\n\
                    x.yaml: passed over: not a file; folders within folders are not read\n\
                    a.yaml:1: document 1: Service default/web: replaced by the one in b.yml:1: document 1";
    assert_eq!(folder.read(&[""]), expected);
    assert_eq!(folder.read(&["x.yaml"]), "default/deep [10.0.0.9]");
    assert_eq!(folder.read(&[".f.yaml"]), "default/hidden [10.0.0.8]");
    assert_eq!(
        folder.read(&["b.yml", "a.yaml"]),
        "default/web [10.0.0.1]\nb.yml:1: document 1: Service default/web: replaced by the one in a.yaml:1: document 1"
    );
}

#[test]
fn what_cannot_be_read_is_named_with_everything_else_that_is_wrong() {
    let folder = Folder::new("unreadable");
    fs::create_dir(folder.0.join("empty")).unwrap();
    folder.write("port.yaml", &service("web", "10.0.0.1").replace("80", "0"));
    symlink("nowhere", folder.0.join("link.yaml")).unwrap();
    let expected = "link.yaml: cannot be read: No such file or directory (os error 2)\n\
                    port.yaml:4: document 1: Service default/web: spec.ports[0].port: must be from 1 to 65535, not 0\n\
                    empty: no manifests in this folder: no file in it ends in .yaml, .yml or .json\n\
                    missing: cannot be read: No such file or directory (os error 2)";
    assert_eq!(folder.read(&["", "empty", "missing"]), expected);
}

/// A file that fails after its first bytes.
struct Failing(bool);

impl io::Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        buffer[0] = b'#';
        Ok(1)
    }
}

#[test]
fn a_stream_that_fails_or_has_no_end_is_an_error() {
    let errors = |reader: io::Result<Box<dyn io::Read>>| {
        let parsed = source::read_from(&Name::from("-"), reader);
        parsed.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(errors(Ok(Box::new(Failing(false)))), "-: cannot be read: permission denied");
    assert_eq!(errors(Err(io::ErrorKind::PermissionDenied.into())), "-: cannot be read: permission denied");
    assert_eq!(errors(Ok(Box::new(io::repeat(b'a')))), "-: larger than 256 MiB; split it into several files");
}

#[test]
fn how_far_the_reading_is_is_told_up_to_the_end() {
    let folder = Folder::new("progress");
    folder.write("a.yaml", &format!("{}---\n{}", service("a", "10.0.0.1"), service("b", "10.0.0.2")));
    let other = r#"{"kind":"List","apiVersion":"v1","items":[{"kind":"Secret","apiVersion":"v1"}]}"#;
    folder.write("b.json", other);
    let mut told: Vec<Progress> = Vec::new();
    let sources = [Source::Path(folder.0.clone()), Source::Path(folder.0.join("b.json"))];
    read_and_tell(&sources, "n1", &mut |so_far| told.push(so_far)).unwrap();
    let size = |name: &str| fs::metadata(folder.0.join(name)).unwrap().len();
    let total = size("a.yaml") + 2 * size("b.json");
    assert!(told.iter().all(|so_far| so_far.total == Some(total)), "{told:?}");
    assert!(told.is_sorted_by_key(|so_far| (so_far.bytes, so_far.objects)), "{told:?}");
    assert_eq!(told.last(), Some(&Progress { bytes: total, total: Some(total), objects: 4 }));
    // What has no size makes the total unknown.
    let mut told: Vec<Progress> = Vec::new();
    let endless = [Source::Path("/dev/null".into()), Source::Path(folder.0.join("b.json"))];
    drop(read_and_tell(&endless, "n1", &mut |so_far| told.push(so_far)));
    assert_eq!(told.last(), Some(&Progress { bytes: size("b.json"), total: None, objects: 1 }));
}
