//! Changes as `svcnat apply` makes them, which remembers nothing: the kernel is read, everything is compiled, the
//! difference is sent.

use svcnat::netlink::{self, Netlink, encode};
use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::diff::diff;
use svcnat_rules::layout::slots_in;

use super::{Change, Cost, Subject, note};
use crate::Result;
use crate::cluster::config;
use crate::kernel::{self, Timed};
use crate::sample::timed;

/// What `svcnat apply` works with.
pub struct Apply {
    layout: &'static str,
    cluster: Cluster,
    config: Config,
    netlink: Netlink<Timed>,
}

impl Apply {
    /// Loads the whole cluster.
    pub fn new(name: &'static str, cluster: Cluster, layout: Layout) -> Result<Self> {
        let (netlink, _) = kernel::open()?;
        let mut apply = Self { layout: name, cluster, config: config(layout), netlink };
        apply.send()?;
        Ok(apply)
    }

    fn send(&mut self) -> Result<usize> {
        let installed = self.netlink.read()?;
        let compiled = compile(&self.cluster, &self.config, &slots_in(&installed));
        let transaction = diff(&compiled.ruleset, &installed);
        let options =
            netlink::Options { generation: Some(installed.generation), ..netlink::Options::default() };
        let batch = encode(&transaction, &options)?;
        self.netlink.apply(&batch)?;
        Ok(batch.as_bytes().len())
    }
}

impl Subject for Apply {
    fn name(&self) -> String {
        format!("`svcnat apply`, `{}`", self.layout)
    }

    fn apply(&mut self, change: &Change) -> Result<Option<Cost>> {
        note(&mut self.cluster, change);
        let (bytes, total) = timed(|| self.send());
        Ok(Some(Cost { total, bytes: bytes?, chains: None }))
    }
}
