//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::cluster::Size;

/// Measure svcnat against kernels in network namespaces, side by side with the rules that kube-proxy would load
#[derive(Debug, Parser)]
pub struct Options {
    /// The page whose generated parts are written anew, with its plots beside it; without it they are printed
    #[arg(long)]
    pub page: Option<PathBuf>,
    /// The numbers of Services, in ascending order
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 10_000, 100_000])]
    pub services: Vec<usize>,
    /// The numbers of backends of each, in ascending order
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 50])]
    pub backends: Vec<usize>,
    /// Only a hundred Services of ten backends: shows in a minute whether it works at all
    #[arg(long, conflicts_with_all = ["services", "backends"])]
    pub quick: bool,
    /// How long a program such as nft may take for one script, in seconds
    #[arg(long, default_value_t = 120)]
    pub patience: u64,
    /// What the child processes do in which memory is measured
    #[arg(long, hide = true, num_args = 3, value_names = ["WHAT", "SERVICES", "BACKENDS"])]
    pub hold: Option<Vec<String>>,
    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// How long a program may take for one script.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }

    /// All sizes. Beyond a million backends the peer's script alone has gigabytes, so there are none.
    pub fn sizes(&self) -> Vec<Size> {
        if self.quick {
            return vec![Size { services: 100, backends: 10 }];
        }
        let all = self
            .services
            .iter()
            .flat_map(|&services| self.backends.iter().map(move |&backends| Size { services, backends }));
        all.filter(|size| size.services * size.backends <= 1_000_000).collect()
    }

    /// The sizes that iptables is measured with, whose targets are about three backends each.
    pub fn iptables_sizes(&self) -> Vec<Size> {
        let services = if self.quick { &[100][..] } else { &self.services };
        services.iter().map(|&services| Size { services, backends: 3 }).collect()
    }

    /// The size that the targets are about, or what comes next to it.
    pub fn main_size(&self) -> Size {
        let far = |size: &Size| (size.services.abs_diff(10_000), size.backends.abs_diff(10));
        self.sizes().into_iter().min_by_key(far).unwrap_or_default()
    }
}
