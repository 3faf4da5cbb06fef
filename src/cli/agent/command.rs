//! `svcnat agent`: the program that keeps a node's rules true.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use svcnat_rules::net::Cidr;
use tracing::level_filters::LevelFilter;

use super::{AgentFlags, Start};
use crate::agent::{self, Options, Print};
use crate::agent_api::SOCKET;
use crate::cli::Failure;
use crate::cli::output;

/// Keep this node's rules in line with the cluster, until SIGTERM; the rules stay
///
/// What kube-proxy's flags and configuration file say is understood. Without --manifests, the Kubernetes API is watched.
#[derive(Debug, Args)]
pub struct Agent {
    #[command(flatten)]
    flags: AgentFlags,
    /// Follow manifests instead of the Kubernetes API: a file or a folder, as `svcnat apply -f` takes it; may be repeated
    #[arg(long, value_name = "PATH")]
    manifests: Vec<PathBuf>,
    /// With --manifests: networks that ClusterIPs are taken from, besides those of ServiceCIDR objects
    #[arg(long, value_name = "CIDR", value_delimiter = ',', requires = "manifests")]
    service_cluster_ip_range: Vec<Cidr>,
    /// The Unix socket that answers `svcnat services`, `backends` and `status`; empty for none
    // clap's own parser of paths refuses the empty one.
    #[arg(long, value_name = "PATH", default_value = SOCKET, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    socket: PathBuf,
    /// Change nothing; print what every change would be made with: the nft script, or what the programs of iptables would be
    /// given
    #[arg(long)]
    dry_run: bool,
}

impl Agent {
    /// Runs until a signal ends it. `set_log_level` makes standard error say more or less.
    pub(in crate::cli) fn run(
        &self,
        set_log_level: impl Fn(LevelFilter) + Send + Sync + 'static,
    ) -> Result<(), Failure> {
        let Start::Run(settings) = self.flags.start()? else { return Ok(()) };
        set_log_level(settings.log_level());
        let print: Print = Box::new(|script| match output::print(script) {
            Err(Failure::Output(error)) => Err(error),
            _ => Ok(()),
        });
        let options = Options {
            settings: *settings,
            settings_source: self.flags.source(),
            manifests: self.manifests.clone(),
            service_cidrs: self.service_cluster_ip_range.clone(),
            socket: Some(self.socket.clone()).filter(|path| !path.as_os_str().is_empty()),
            dry_run: self.dry_run.then_some(print),
            set_log_level: Box::new(move |settings| set_log_level(settings.log_level())),
        };
        // One thread for all that is read and answered; the keeper has its own.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| agent::Error::Io { action: "start the runtime", source })?;
        let result = runtime.block_on(agent::run(options));
        // What still reads or writes in the background has nothing to add.
        runtime.shutdown_background();
        Ok(result?)
    }
}
