//! The agent as a process.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use svcnat_rules::config::Config;
use tempfile::TempDir;

use super::cluster::Cluster;
use super::http::status;
use super::objects::{Objects, RULE_FLAGS, config_of};
use super::{holds, wait_or};

/// The program under test.
pub const SVCNAT: &str = env!("CARGO_BIN_EXE_svcnat");

/// A running agent, which is killed when this is dropped; the rules stay.
pub struct Agent {
    child: RefCell<Child>,
    folder: TempDir,
    config: Config,
    /// How many bytes of what it has printed were looked at.
    seen: Cell<usize>,
}

impl Agent {
    /// `svcnat agent ARGUMENTS` in the namespace of the calling thread.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, |command| command)
    }

    /// The same with something about the process that is different.
    pub fn start_with(arguments: &[&str], change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = ["--socket".into(), folder.path().join("socket").into_os_string()];
        let socket = own.iter().filter(|_| !arguments.contains(&"--socket"));
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let mut command = Command::new(SVCNAT);
        command.arg("agent").args(socket).args(arguments).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        let child = change(&mut command).spawn().unwrap();
        Self { child: RefCell::new(child), folder, config: config_of(arguments), seen: Cell::new(0) }
    }

    /// An agent of `node-a` that watches a cluster, with more flags.
    pub fn of(cluster: &Cluster, flags: &[&str]) -> Self {
        Self::of_with(cluster, flags, |command| command)
    }

    /// The same with something about the process that is different.
    pub fn of_with(
        cluster: &Cluster,
        flags: &[&str],
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let kubeconfig = cluster.kubeconfig();
        let own = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--oom-score-adj", "0"];
        Self::start_with(&[&RULE_FLAGS[..], &own, flags].concat(), change)
    }

    /// The same once the first complete ruleset is in force.
    pub fn settled(cluster: &Cluster, flags: &[&str]) -> Self {
        let agent = Self::of(cluster, flags);
        agent.until_ready();
        agent.until_equal(&cluster.objects);
        agent
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("err")).unwrap()
    }

    /// Where it answers questions.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What it has printed since the last time that this was asked, once no more comes.
    #[track_caller]
    pub fn printed(&self) -> String {
        let all = || fs::read_to_string(self.folder.path().join("out")).unwrap();
        let seen = self.seen.get();
        self.until("something is printed", || holds(all().len() > seen, "nothing new"));
        let mut text = all();
        loop {
            // A script is printed in one go, so that a pause is its end.
            sleep(Duration::from_millis(200));
            let more = all();
            if more == text {
                break;
            }
            text = more;
        }
        self.seen.set(text.len());
        text.split_off(seen)
    }

    /// Waits until something holds while it runs; the log is shown where it never does.
    #[track_caller]
    pub fn until(&self, what: &str, mut look: impl FnMut() -> Result<(), String>) -> Duration {
        let look = || {
            assert!(self.is_running(), "{what}: the agent has ended\n{}", self.log());
            look()
        };
        wait_or(what, look, || self.log())
    }

    #[track_caller]
    pub fn until_ready(&self) {
        self.until("the agent is ready", || holds(status("/readyz") == Some(200), "it is not"));
    }

    /// Waits until the kernel equals the full compile under the options that the agent was started with; gives how long
    /// that took.
    #[track_caller]
    pub fn until_equal(&self, objects: &Objects) -> Duration {
        self.until_equal_with(objects, &self.config)
    }

    /// The same under options of a configuration file.
    #[track_caller]
    pub fn until_equal_with(&self, objects: &Objects, config: &Config) -> Duration {
        self.until("the kernel equals the full compile", || objects.compare(config))
    }

    /// Waits until the log has a line with this.
    #[track_caller]
    pub fn until_logged(&self, text: &str) {
        self.until("a line of the log", || holds(self.log().contains(text), text));
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.borrow().id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end; the exit code, or nothing where a signal ended it.
    #[track_caller]
    pub fn ended(&self) -> Option<i32> {
        let mut code = None;
        let look = || match self.child.borrow_mut().try_wait().unwrap() {
            Some(status) => {
                code = status.code();
                Ok(())
            }
            None => Err("it runs".to_owned()),
        };
        wait_or("the agent ends", look, String::new);
        code
    }

    /// Ends it by SIGTERM, which must go well.
    #[track_caller]
    pub fn stop(self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.ended(), Some(0), "{}", self.log());
    }

    /// Ends it by SIGKILL.
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.ended(), None);
    }

    pub fn is_running(&self) -> bool {
        self.child.borrow_mut().try_wait().unwrap().is_none()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let child = self.child.get_mut();
        drop(child.kill());
        drop(child.wait());
    }
}
