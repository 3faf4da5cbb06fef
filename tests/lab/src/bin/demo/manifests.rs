//! The manifests of the demo: those in deploy/examples/web, and a copy that can be changed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The example, from the root of the repository.
pub const EXAMPLE: &str = "deploy/examples/web";

const PODS: &str = "pods.yaml";

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A copy of the example in a temporary folder, which goes when this value is dropped.
pub struct Copy {
    folder: PathBuf,
}

impl Copy {
    pub fn new() -> Result<Self, Error> {
        let folder = std::env::temp_dir().join(format!("svcnat-demo-{}", std::process::id()));
        // Fails if it exists, so nobody else's folder is filled or removed.
        DirBuilder::new().mode(0o700).create(&folder).map_err(at(&folder))?;
        let copy = Self { folder };
        let example = repository().join(EXAMPLE);
        for entry in fs::read_dir(&example).map_err(at(&example))? {
            let entry = entry.map_err(at(&example))?;
            fs::copy(entry.path(), copy.folder.join(entry.file_name())).map_err(at(&entry.path()))?;
        }
        Ok(copy)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes the Pod web-b out and adds web-d, which is web-c under another name and address.
    pub fn replace_a_pod(&self) -> Result<(), Error> {
        let path = self.folder.join(PODS);
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let documents: Vec<&str> = text.split("\n---\n").collect();
        let find = |pod: &'static str| {
            let name = format!("\n  name: {pod}\n");
            let found = documents.iter().position(|document| document.contains(&name));
            found.ok_or_else(|| Error::OtherExample { path: path.clone(), pod })
        };
        let (gone, model) = (find("web-b")?, find("web-c")?);
        let mut changed: Vec<String> = documents.iter().map(|&document| document.to_owned()).collect();
        if let (Some(new), Some(slot)) = (documents.get(model), changed.get_mut(gone)) {
            *slot = new.replace("web-c", "web-d").replace("10.244.1.2", "10.244.1.3");
        }
        fs::write(&path, changed.join("\n---\n")).map_err(at(&path))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Manifest { path, source }
}
