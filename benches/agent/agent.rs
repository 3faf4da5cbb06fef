//! The agent: a process in a network namespace, asked by HTTP how it is doing.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use svcnat_lab::Namespace;

use crate::Result;
use crate::cluster::POD_CIDR;
use crate::common::process::{Memory, processor_time};
use crate::histogram::Histogram;

const PROGRAM: &str = env!("CARGO_BIN_EXE_svcnat");
/// Where the agent answers.
const HEALTH: u16 = 10256;
const METRICS: u16 = 10249;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether the agent is ready: each look costs the agent some of its time.
const LOOK: Duration = Duration::from_millis(5);

/// An agent. It ends with this value, and its rules stay.
pub struct Agent<'a> {
    child: Child,
    namespace: &'a Namespace,
    /// From before its start until its first complete ruleset was in force.
    pub start: Duration,
}

impl<'a> Agent<'a> {
    /// Starts one as `deploy/` does, and waits until it is ready.
    pub fn start(namespace: &'a Namespace, kubeconfig: &Path, state_file: &Path) -> Result<Self> {
        let began = Instant::now();
        let child = namespace.run(|| {
            Command::new(PROGRAM)
                .args([
                    "agent",
                    "--socket=",
                    "--hostname-override=node-0",
                    "--cluster-cidr",
                    POD_CIDR,
                    "--kubeconfig",
                ])
                .arg(kubeconfig)
                .arg("--state-file")
                .arg(state_file)
                .env("RUST_LOG", "error")
                .spawn()
        })?;
        let mut agent = Self { child, namespace, start: Duration::ZERO };
        agent.wait_until_ready(began)?;
        agent.start = began.elapsed();
        Ok(agent)
    }

    fn wait_until_ready(&mut self, began: Instant) -> Result<()> {
        while !self.is_ready()? {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the agent has ended: {status}").into());
            }
            if began.elapsed() > PATIENCE {
                return Err("the agent is not ready after two minutes".into());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn is_ready(&self) -> Result<bool> {
        match self.get(HEALTH, "/readyz") {
            Ok(answer) => Ok(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Its memory.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.child.id())
    }

    /// Its processor time since it was started.
    pub fn processor_time(&self) -> Result<Duration> {
        processor_time(self.child.id())
    }

    /// How long changes took, from being read until they were in force.
    pub fn latencies(&self) -> Result<Histogram> {
        Histogram::find(&self.get(METRICS, "/metrics")?, "svcnat_change_duration_seconds")
    }

    /// Waits until so many changes are in force.
    pub fn wait_for_changes(&self, count: u64) -> Result<Histogram> {
        let began = Instant::now();
        loop {
            let latencies = self.latencies()?;
            if latencies.count() >= count {
                return Ok(latencies);
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{} of {count} changes are in force", latencies.count()).into());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The answer to a request, with its head.
    fn get(&self, port: u16, path: &str) -> io::Result<String> {
        self.namespace.run(|| {
            let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            connection.set_read_timeout(Some(PATIENCE))?;
            write!(connection, "GET {path} HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            Ok(answer)
        })
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        // An agent that ends in order writes its state file.
        if let Ok(process) = i32::try_from(self.child.id()) {
            // It fails where the agent has ended by itself.
            let _ = kill(Pid::from_raw(process), Signal::SIGTERM);
        }
        drop(self.child.wait());
    }
}

/// Removes the rules of the namespace.
pub fn clean_up(namespace: &Namespace) -> Result<()> {
    let status = namespace.run(|| Command::new(PROGRAM).arg("cleanup").stdout(Stdio::null()).status())?;
    if status.success() { Ok(()) } else { Err(format!("svcnat cleanup: {status}").into()) }
}
