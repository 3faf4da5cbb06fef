//! Changes by iptables: everything is compiled, compared with what was written before, and the program of the family is given
//! the chains that differ.

use std::time::Duration;

use svcnat::iptables::Variant;
use svcnat_rules::cluster::Cluster;
use svcnat_rules::config::Layout;
use svcnat_rules::iptables::{Installed, TableChange, compile, diff};

use super::{Change, Cost, Kind, Measured, Subject, measure_subject, note};
use crate::Result;
use crate::cluster::{Maker, Size, config};
use crate::iptables::restore;
use crate::kernel;
use crate::sample::timed;

/// The kinds that are measured: one endpoint is one endpoint, whether it comes, goes or takes another's place.
const KINDS: [Kind; 2] = [Kind::Replaced, Kind::ServiceAdded];

/// A variant whose tables hold the whole cluster.
struct Restore<'a> {
    variant: Variant,
    cluster: Cluster,
    installed: Installed,
    patience: &'a Duration,
}

/// Measures one variant in a namespace of its own; nothing where it lost our patience.
pub fn measure(
    size: Size,
    maker: &Maker,
    (variant, cluster): (Variant, Cluster),
    patience: Duration,
) -> Result<Vec<Measured>> {
    kernel::in_namespace(|| {
        let installed = Installed::default();
        let mut subject = Restore { variant, cluster, installed, patience: &patience };
        match subject.send()? {
            Some(_) => measure_subject(size, maker, subject, &KINDS),
            None => Ok(Vec::new()),
        }
    })
}

impl Restore<'_> {
    fn send(&mut self) -> Result<Option<Cost>> {
        let (sent, total) = timed(|| {
            let compiled = compile(&self.cluster, &config(Layout::Auto));
            let change = diff(&compiled.ruleset, &self.installed);
            let bytes = restore(self.variant, &change, *self.patience)?;
            let tables = change.families.values().flat_map(|tables| tables.values());
            let chains = tables.map(|table: &TableChange<'_>| table.written.len()).sum();
            Ok::<_, crate::Error>(bytes.map(|(_, bytes)| (compiled.ruleset, bytes, chains)))
        });
        let Some((ruleset, bytes, chains)) = sent? else { return Ok(None) };
        self.installed = Installed::from(&ruleset);
        Ok(Some(Cost { total, bytes, chains: Some(chains) }))
    }
}

impl Subject for Restore<'_> {
    fn name(&self) -> String {
        format!("`{}-restore`", self.variant)
    }

    fn apply(&mut self, change: &Change) -> Result<Option<Cost>> {
        note(&mut self.cluster, change);
        self.send()
    }
}
