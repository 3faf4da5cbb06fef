//! The API server: a child process, so that its processor time and its memory are not the agent's.
//!
//! The child reads a line for each series of changes that it shall make, and answers with a line when it has made them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use svcnat_apiserver::synthetic::Cluster;
use svcnat_apiserver::{ApiServer, Options};

use crate::Result;
use crate::cluster::Size;

/// What the child says when it is done, with everything at first and then with each series.
const DONE: &str = "done";

/// An API server. It ends with this value.
pub struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    made: usize,
}

impl Server {
    /// Starts one in the network namespace of the calling thread, which writes a kubeconfig and has everything.
    pub fn start(size: Size, kubeconfig: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", &size.services.to_string(), &size.backends.to_string()])
            .arg(kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().ok_or("the API server has no input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("the API server has no output")?);
        let mut server = Self { child, orders, answers, made: 0 };
        server.wait()?;
        Ok(server)
    }

    /// Replaces one backend in each of so many slices, so many in a second, and waits until all are told.
    pub fn change(&mut self, changes: usize, per_second: f64) -> Result<()> {
        let end = self.made + changes;
        writeln!(self.orders, "{per_second} {} {end}", self.made)?;
        self.made = end;
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.trim_end() == DONE { Ok(()) } else { Err("the API server has ended".into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already if this fails.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the child does, until its input ends.
pub fn serve(arguments: &[String]) -> Result<()> {
    let [services, backends, kubeconfig] = arguments else { return Err("three arguments".into()) };
    let cluster = Cluster { services: services.parse()?, backends: backends.parse()? };
    let server = ApiServer::start(&Options::default())?;
    server.load(cluster.objects())?;
    std::fs::write(kubeconfig, server.kubeconfig())?;
    let mut answers = std::io::stdout();
    writeln!(answers, "{DONE}")?;
    for order in std::io::stdin().lines() {
        let order = order?;
        let parts: Vec<&str> = order.split(' ').collect();
        let [per_second, begin, end] = parts.as_slice() else { return Err("three numbers".into()) };
        cluster.change(&server, per_second.parse()?, begin.parse()?..end.parse()?)?;
        writeln!(answers, "{DONE}")?;
    }
    Ok(())
}
