//! Cases on disk, and namespaces to try their scripts in.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use clap::Parser;
use nix::sched::{CloneFlags, unshare};
use similar::TextDiff;
use svcnat::cli::{ManifestOptions, RuleOptions};
use svcnat_rules::cluster::Cluster;
use svcnat_rules::config::Config;

/// One folder of `golden/`.
pub struct Case {
    pub name: String,
    folder: PathBuf,
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    manifests: ManifestOptions,
    #[command(flatten)]
    rules: RuleOptions,
}

impl Case {
    pub fn all() -> Vec<Self> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let mut cases: Vec<Self> = fs::read_dir(golden)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .map(|folder| Self { name: folder.file_name().unwrap().to_string_lossy().into_owned(), folder })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    /// What the case shows, in a sentence: the first line of its options.
    pub fn shows(&self) -> Result<String, String> {
        let text = self.options_text()?;
        let first = text.lines().next().and_then(|line| line.strip_prefix("# "));
        first
            .map(str::to_owned)
            .ok_or_else(|| format!("{}: options begin with what the case shows", self.name))
    }

    pub fn config(&self) -> Result<Config, String> {
        self.config_with(&[])
    }

    /// The options with `--proxy-mode iptables`.
    pub fn iptables_config(&self) -> Result<Config, String> {
        self.config_with(&["--proxy-mode", "iptables"])
    }

    fn config_with(&self, more: &[&str]) -> Result<Config, String> {
        let loaded = self.options(&self.folder, more)?.rules.load();
        loaded.map(|(config, _)| config).map_err(|error| error.to_string())
    }

    pub fn cluster(&self) -> Result<Cluster, String> {
        self.read(&self.folder)
    }

    /// The state after the change that the case shows, if it shows one.
    pub fn next_cluster(&self) -> Result<Option<Cluster>, String> {
        let next = self.folder.join("next");
        if next.is_dir() { self.read(&next).map(Some) } else { Ok(None) }
    }

    /// nft 1.0.6 aborts when it parses a map statement with an IPv6 affinity key; the netlink path has no such limit.
    pub fn nft_can_parse(&self) -> bool {
        !self.folder.join("nft-cannot-parse").exists()
    }

    /// Compares with a golden file, or writes it where `BLESS` is set.
    pub fn compare(&self, file: &str, actual: &str) -> Result<(), String> {
        let path = self.folder.join(file);
        if env::var_os("BLESS").is_some() {
            return fs::write(&path, actual).map_err(|error| error.to_string());
        }
        let expected =
            fs::read_to_string(&path).map_err(|error| format!("{file}: {error}; BLESS=1 writes it"))?;
        if expected == actual { Ok(()) } else { Err(unified_diff(file, &expected, "actual", actual)) }
    }

    fn options_text(&self) -> Result<String, String> {
        fs::read_to_string(self.folder.join("options")).map_err(|error| format!("options: {error}"))
    }

    fn options(&self, manifests: &Path, more: &[&str]) -> Result<Options, String> {
        let text = self.options_text()?;
        let words = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
        let head = ["case", "-f"].map(str::to_owned);
        // Mode iptables counts nothing.
        let words = words.filter(|word| more.is_empty() || *word != "--counters");
        let words = words.chain(more.iter().copied()).map(str::to_owned);
        let arguments = head.into_iter().chain([manifests.display().to_string()]).chain(words);
        Options::try_parse_from(arguments).map_err(|error| error.to_string())
    }

    fn read(&self, folder: &Path) -> Result<Cluster, String> {
        let options = self.options(folder, &[])?;
        let config = self.config()?;
        let manifests = options.manifests.read(&config.node_name).map_err(|error| error.to_string())?;
        Ok(manifests.cluster)
    }
}

/// What would change from one text to the other.
pub fn unified_diff(old_name: &str, old: &str, new_name: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().header(old_name, new_name).to_string()
}

/// Does something in a network namespace of its own, which ends with it.
pub fn in_namespace<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("no network namespace: {error}"))?;
            work()
        });
        worker.join().unwrap_or_else(|_| Err("the check panicked".to_owned()))
    })
}

/// `nft -f -`
pub fn load(script: &str) -> Result<(), String> {
    run("nft", &["-f", "-"], script).map(drop)
}

/// Runs a program to its end and gives its standard output.
pub fn run(program: &str, arguments: &[&str], script: &str) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    child.stdin.take().unwrap().write_all(script.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program} does not take this:\n{script}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// `nft list ruleset`
pub fn list() -> Result<String, String> {
    run("nft", &["list", "ruleset"], "")
}
