//! Serves a synthetic cluster, for benchmarks and for work by hand.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use svcnat_apiserver::synthetic::Cluster;
use svcnat_apiserver::{ApiServer, Options, Transport};

/// A Kubernetes API server with a synthetic cluster, until it is ended by a signal.
#[derive(Debug, Parser)]
#[command(name = "svcnat-apiserver", version)]
struct Arguments {
    /// How many Services there are.
    #[arg(long, value_name = "N", default_value_t = 100)]
    services: usize,
    /// How many backends each of them has.
    #[arg(long, value_name = "M", default_value_t = 10)]
    backends: usize,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "P", default_value_t = 6443)]
    port: u16,
    /// Where to write a kubeconfig once everything is served. Without it, the kubeconfig goes to standard output.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How many EndpointSlices per second get a backend replaced.
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    changes_per_second: f64,
    /// Serve plain TCP instead of TLS.
    #[arg(long)]
    plain: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "svcnat-apiserver: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let mut options =
        Options { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)), ..Options::default() };
    if arguments.plain {
        options.transport = Transport::Plain;
    }
    let server = ApiServer::start(&options).map_err(|e| e.to_string())?;
    let cluster = Cluster { services: arguments.services, backends: arguments.backends };
    server.load(cluster.objects()).map_err(|e| e.to_string())?;
    let kubeconfig = server.kubeconfig();
    match &arguments.kubeconfig {
        Some(path) => write_whole(path, &kubeconfig)
            .map_err(|e| format!("cannot write the kubeconfig to {}: {e}", path.display()))?,
        // Whoever closed our output does not need it.
        None => drop(io::stdout().write_all(kubeconfig.as_bytes())),
    }
    let _ = writeln!(io::stderr(), "svcnat-apiserver: {} has everything", server.url());
    change(&server, cluster, arguments.changes_per_second)
}

/// Writes a file that is there as a whole or not at all, so that scripts can wait for it.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

/// Changes one slice after the other at a steady rate, for ever.
fn change(server: &ApiServer, cluster: Cluster, per_second: f64) -> Result<(), String> {
    cluster.change(server, per_second, 0..usize::MAX).map_err(|e| e.to_string())?;
    loop {
        thread::park();
    }
}
