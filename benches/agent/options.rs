//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::cluster::Size;

/// Measure svcnat's agent against an API server with a synthetic cluster
#[derive(Debug, Parser)]
pub struct Options {
    /// The page whose generated parts are written anew; without it they are printed
    #[arg(long)]
    pub page: Option<PathBuf>,
    /// The number of Services
    #[arg(long, default_value_t = 10_000)]
    services: usize,
    /// The number of backends of each
    #[arg(long, default_value_t = 10)]
    backends: usize,
    /// How many starts there are, with an empty kernel and with an unchanged one
    #[arg(long, default_value_t = 7)]
    pub starts: usize,
    /// How many changes of endpoints there are: an hour's at ten in a second
    #[arg(long, default_value_t = 36_000)]
    pub changes: usize,
    /// How many of them there are in a second
    #[arg(long, default_value_t = 400.0)]
    pub changes_per_second: f64,
    /// Only a hundred Services, one start and a thousand changes: shows in seconds whether it works at all
    #[arg(long, conflicts_with_all = ["services", "backends", "starts", "changes"])]
    quick: bool,
    /// What the child process does that is the API server
    #[arg(long, hide = true, num_args = 3, value_names = ["SERVICES", "BACKENDS", "KUBECONFIG"])]
    pub serve: Option<Vec<String>>,
    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// With what `quick` means.
    pub fn effective(&self) -> Effective {
        if self.quick {
            let size = Size { services: 100, backends: 10 };
            return Effective { size, starts: 1, changes: 1_000, per_second: self.changes_per_second };
        }
        let size = Size { services: self.services, backends: self.backends };
        let per_second = self.changes_per_second;
        Effective { size, starts: self.starts, changes: self.changes, per_second }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effective {
    /// The size of the cluster.
    pub size: Size,
    /// How many starts of each kind there are.
    pub starts: usize,
    /// How many changes of endpoints there are.
    pub changes: usize,
    /// How many of them in a second.
    pub per_second: f64,
}
