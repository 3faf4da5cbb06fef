//! Loading everything, reading it back, and starting with a kernel that has everything already.

use std::time::Duration;

use svcnat::netlink::{self, encode};
use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::compile;
use svcnat_rules::config::Config;
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::{Slots, slots_in};
use svcnat_rules::net::Protocol;

use crate::cluster::{Maker, Size, config};
use crate::page::times;
use crate::sample::{Effort, Samples, timed};
use crate::{LAYOUTS, Result, kernel, peer, reach};

/// What was measured for one size.
#[derive(Debug, Default)]
pub struct Load {
    /// The size.
    pub size: Size,
    /// svcnat's layouts, in the order of [`LAYOUTS`]; without samples where they are out of [reach].
    pub ours: Vec<Ours>,
    /// The peer's shape; empty where nft lost our patience or is out of [reach].
    pub peer: Samples,
    /// What nft took at least where it lost our patience.
    pub peer_at_least: Option<Duration>,
    /// The part of it that was spent in the kernel.
    pub peer_kernel: Samples,
    /// How large its script is in bytes.
    pub peer_bytes: usize,
}

/// What was measured for one of svcnat's layouts.
#[derive(Debug, Default)]
pub struct Ours {
    /// The compile from scratch.
    pub compile: Samples,
    /// From the transaction to the batch.
    pub encode: Samples,
    /// The `sendmsg` that carries the batch: the kernel's own time.
    pub kernel: Samples,
    /// From the transaction to the kernel's answer.
    pub total: Samples,
    /// The same divided by the kernel's own time.
    pub ratio: Option<f64>,
    /// How large the batch is in bytes.
    pub bytes: usize,
    /// Reading all of it back.
    pub read: Samples,
    /// A start with an unchanged kernel: read, compile, compare.
    pub start: Samples,
}

const EFFORT: Effort = Effort { samples: 7, time: Duration::from_secs(12) };
const PEER_EFFORT: Effort = Effort { samples: 5, time: Duration::from_secs(8) };

/// Measures one size.
pub fn measure(size: Size, patience: Duration) -> Result<Load> {
    let cluster = Maker::new(size, Protocol::Tcp).cluster();
    let mut ours = Vec::new();
    for (_, layout) in LAYOUTS {
        let config = config(layout);
        let mut of_layout = Ours::default();
        if reach::layout(layout, size) {
            EFFORT.repeat(|| kernel::in_namespace(|| of_layout.once(&cluster, &config)))?;
        }
        of_layout.ratio = quotient(of_layout.total.median(), of_layout.kernel.median());
        ours.push(of_layout);
    }
    let mut load = Load { size, ours, ..Load::default() };
    if !reach::peer(size) {
        return Ok(load);
    }
    let script = peer::full(&cluster);
    load.peer_bytes = script.len();
    PEER_EFFORT.repeat(|| {
        match kernel::in_namespace(|| kernel::nft(&script, patience))? {
            Some(time) => {
                load.peer.push(time.total);
                load.peer_kernel.push(time.kernel);
            }
            None => load.peer_at_least = Some(patience),
        }
        Ok::<(), crate::Error>(())
    })?;
    Ok(load)
}

impl Load {
    /// How long the peer's shape took, and whether it was that or longer.
    pub fn peer_time(&self) -> Option<(Duration, bool)> {
        let measured = self.peer.median().map(|time| (time, false));
        measured.or_else(|| self.peer_at_least.map(|time| (time, true)))
    }

    /// How many times as long as one of ours; with the words for the page.
    pub fn faster_than_peer(&self, ours: &Ours) -> Option<(f64, String)> {
        let (time, longer) = self.peer_time()?;
        let ratio = quotient(Some(time), ours.total.median())?;
        Some((ratio, format!("{}{}", if longer { "over " } else { "" }, times(Some(ratio)))))
    }
}

/// How many times as long one time is as another.
pub fn quotient(time: Option<Duration>, other: Option<Duration>) -> Option<f64> {
    let (time, other) = (time?, other?);
    (!other.is_zero()).then(|| time.as_secs_f64() / other.as_secs_f64())
}

impl Ours {
    fn once(&mut self, cluster: &Cluster, config: &Config) -> Result<()> {
        let (mut netlink, spent) = kernel::open()?;
        let (compiled, compile_time) = timed(|| compile(cluster, config, &Slots::default()));
        let nothing = Installed::default();
        let transaction = diff(&compiled.ruleset, &nothing);
        let before = spent.get();
        let ((encode_time, bytes), total) = timed(|| {
            let (batch, time) = timed(|| encode(&transaction, &netlink::Options::default()));
            let batch = batch?;
            netlink.apply(&batch)?;
            Ok::<_, crate::Error>((time, batch.as_bytes().len()))
        })
        .flatten()?;
        self.compile.push(compile_time);
        self.encode.push(encode_time);
        self.kernel.push(spent.get() - before);
        self.total.push(total);
        self.bytes = bytes;
        drop(transaction);
        drop(compiled);

        let (installed, read) = timed(|| netlink.read());
        let installed = installed?;
        let (unchanged, compare) = timed(|| {
            let compiled = compile(cluster, config, &slots_in(&installed));
            diff(&compiled.ruleset, &installed).is_empty()
        });
        if !unchanged {
            return Err("what was read back is not what was loaded".into());
        }
        self.read.push(read);
        self.start.push(read + compare);
        Ok(())
    }
}

/// Carries an error out of what was timed.
trait Flatten<T> {
    fn flatten(self) -> Result<(T, Duration)>;
}

impl<T> Flatten<T> for (Result<T>, Duration) {
    fn flatten(self) -> Result<(T, Duration)> {
        let (result, time) = self;
        result.map(|value| (value, time))
    }
}
