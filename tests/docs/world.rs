//! Where a document's commands run: on a machine called `node-a` with the address 192.168.1.2, in network, mount and
//! process namespaces that end with the shell. Files of the repository are in
//! the current folder. /etc and /usr/bin have what the machine's have, /var/lib has the list of packages alone, /run is empty; what is written there is lost. An
//! API server has the Services of `shop.yaml`, and kube-proxy's kubeconfig leads there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use svcnat_apiserver::{ApiServer, Options};
use svcnat_lab::Namespace;
use tempfile::TempDir;

use crate::shell::Shell;
use crate::stand_ins::STAND_INS;

/// The program under test.
const SVCNAT: &str = env!("CARGO_BIN_EXE_svcnat");

/// What of the repository the documents name.
const COPIED: [&str; 7] = ["README.md", "ARCHITECTURE.md", "Makefile", "deploy", "docs", ".ci", "Cargo.toml"];

/// The programs of the machine.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin";

/// What makes the namespaces a machine; bash goes on with the document's commands. Folders that documents write to are made of copies
/// and links, because who is root in a user namespace alone may not write to an overlay of them. Names are not resolved.
const MACHINE: &str = r#"
set -e
exec 2>&1
hostname node-a
ip link set lo up
ip link add eth0 type veth peer name wire
ip addr add 192.168.1.2/24 dev eth0
ip link set eth0 up
ip link set wire up
ip route add default via 192.168.1.1
mount -t tmpfs tmpfs "$WORLD/layers"
mkdir "$WORLD"/layers/{etc,programs,links,dpkg}
cp --recursive --preserve=mode,links /etc/. "$WORLD/layers/etc" 2>"$WORLD/layers/unreadable" || true
rm -f "$WORLD/layers/etc/resolv.conf"
mount --bind "$WORLD/layers/etc" /etc
mount --bind /usr/bin "$WORLD/layers/programs"
find /usr/bin -maxdepth 1 -type l -exec cp --no-dereference --target-directory="$WORLD/layers/links" {} +
find "$WORLD/layers/programs" -maxdepth 1 -type f -exec ln --symbolic --target-directory="$WORLD/layers/links" {} +
mount --bind "$WORLD/layers/links" /usr/bin
if [[ -d /var/lib/dpkg ]]; then mount --bind /var/lib/dpkg "$WORLD/layers/dpkg"; fi
mount -t tmpfs tmpfs /var/lib
mkdir /var/lib/dpkg
mount --bind "$WORLD/layers/dpkg" /var/lib/dpkg
mount -o remount,bind,ro /var/lib/dpkg
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /var/lib/kube-proxy
cp "$WORLD/kubeconfig" /var/lib/kube-proxy/kubeconfig.conf
cd "$WORLD/repository"
set +e
"#;

/// A world in which nothing has been typed yet.
pub struct World {
    pub shell: Shell,
    _server: ApiServer,
    _folder: TempDir,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        for name in ["bin", "layers", "repository", "shell"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        copy_repository(&path.join("repository"));
        write_programs(&path.join("bin"));
        // What is started here is in the namespace, and the namespace lives as long as that.
        let namespace = Namespace::new().expect("a network namespace");
        let (server, shell) = namespace.run(|| {
            let server = ApiServer::start(&Options::default()).unwrap();
            server.load(shop()).unwrap();
            fs::write(path.join("kubeconfig"), server.kubeconfig()).unwrap();
            (server, Shell::start(bash(&path), path.join("shell")))
        });
        let mut world = Self { shell, _server: server, _folder: folder };
        world.must(MACHINE);
        world
    }

    /// Runs a command that must go well and print nothing.
    pub fn must(&mut self, command: &str) {
        assert_eq!(self.shell.run(command), (0, String::new()), "{command}");
    }
}

/// The Services that the documents tell of, which are the cluster's.
fn shop() -> Vec<Value> {
    let documents = include_str!("shop.yaml").split("\n---\n");
    documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn bash(world: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--uts",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["bash", "--norc"])
        .env_clear()
        .env("PATH", format!("{}:{PATH}", world.join("bin").display()))
        .env("REAL_PATH", PATH)
        .env("WORLD", world)
        .env("SOURCE", env!("CARGO_MANIFEST_DIR"))
        .env("REAL_CARGO", env!("CARGO"))
        .envs(
            ["CARGO_HOME", "RUSTUP_HOME"]
                .into_iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .env("HOME", world)
        .env("LANG", "C.UTF-8");
    command
}

fn copy_repository(to: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied = COPIED.map(|name| root.join(name));
    let status = Command::new("cp").arg("--recursive").args(&copied).arg(to).status().unwrap();
    assert!(status.success());
    let release = to.join("target/release");
    fs::create_dir_all(&release).unwrap();
    symlink(SVCNAT, release.join("svcnat")).unwrap();
}

fn write_programs(to: &Path) {
    symlink(SVCNAT, to.join("svcnat")).unwrap();
    for stand_in in STAND_INS {
        let path: PathBuf = to.join(stand_in.program);
        fs::write(&path, format!("#!/bin/bash\n{}", stand_in.script)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
}
