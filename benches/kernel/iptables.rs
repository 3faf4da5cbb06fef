//! The mode iptables: compiling everything, and what `iptables-restore` takes for all of it and for one change, in each
//! variant that is installed.

use std::time::Duration;

use svcnat::iptables::{Iptables, Variant};
use svcnat_rules::config::Layout;
use svcnat_rules::iptables::{Change, Installed, compile, diff};
use svcnat_rules::net::{Family, Protocol};

use crate::changes::{self, Kind, Measured};
use crate::cluster::{Maker, Size, config};
use crate::kernel::{self, ProgramTime};
use crate::page::{Part, Table, bytes, judged, median, time};
use crate::sample::{Effort, Samples, timed};
use crate::{Result, reach};

/// How long the compile may take, at 10,000 x 3.
const COMPILE: Duration = Duration::from_millis(100);

/// How many chains a replaced backend may write: that of its Service.
const CHAINS: usize = 1;

const EFFORT: Effort = Effort { samples: 7, time: Duration::from_secs(5) };
const LOAD_EFFORT: Effort = Effort { samples: 5, time: Duration::from_secs(8) };

/// What was measured for one size.
#[derive(Debug)]
pub struct Measurements {
    size: Size,
    /// The compile from scratch.
    compile: Samples,
    /// A change of nothing: compile and compare.
    nothing: Samples,
    variants: Vec<OfVariant>,
    changes: Vec<Measured>,
}

/// A full load.
#[derive(Debug)]
struct OfVariant {
    variant: Variant,
    /// The whole program; empty where it lost our patience.
    load: Samples,
    /// The part of it that was spent in the kernel.
    kernel: Samples,
    bytes: usize,
}

/// Measures one size.
pub fn measure(size: Size, patience: Duration) -> Result<Option<Measurements>> {
    if !reach::iptables(size) {
        return Ok(None);
    }
    let maker = Maker::new(size, Protocol::Tcp);
    let (cluster, config) = (maker.cluster(), config(Layout::Auto));
    let ruleset = compile(&cluster, &config).ruleset;
    let (mut compiles, mut nothing) = (Samples::default(), Samples::default());
    let installed = Installed::from(&ruleset);
    EFFORT.repeat(|| {
        let (compiled, compile_time) = timed(|| compile(&cluster, &config));
        let (change, diff_time) = timed(|| diff(&compiled.ruleset, &installed));
        if !change.is_empty() {
            return Err("the same cluster compiles to other rules".into());
        }
        compiles.push(compile_time);
        nothing.push(compile_time + diff_time);
        Ok::<(), crate::Error>(())
    })?;
    drop(installed);
    let (mut variants, mut changes) = (Vec::new(), Vec::new());
    for variant in Iptables::installed()?.iter().map(Iptables::variant) {
        let none = Installed::default();
        variants.push(load(variant, &diff(&ruleset, &none), patience)?);
        changes.extend(changes::iptables::measure(size, &maker, (variant, cluster.clone()), patience)?);
    }
    Ok(Some(Measurements { size, compile: compiles, nothing, variants, changes }))
}

fn load(variant: Variant, everything: &Change<'_>, patience: Duration) -> Result<OfVariant> {
    let mut of_variant =
        OfVariant { variant, load: Samples::default(), kernel: Samples::default(), bytes: 0 };
    LOAD_EFFORT.repeat(|| {
        let loaded = kernel::in_namespace(|| restore(variant, everything, patience))?;
        if let Some((time, bytes)) = loaded {
            of_variant.load.push(time.total);
            of_variant.kernel.push(time.kernel);
            of_variant.bytes = bytes;
        }
        Ok::<(), crate::Error>(())
    })?;
    Ok(of_variant)
}

/// Makes a change as [`Iptables::apply`] does, but with our own patience; how long the programs took and how many bytes they
/// were given, or `None` where that was too long.
pub fn restore(
    variant: Variant,
    change: &Change<'_>,
    patience: Duration,
) -> Result<Option<(ProgramTime, usize)>> {
    let mut sum = ProgramTime { total: Duration::ZERO, kernel: Duration::ZERO };
    let mut bytes = 0;
    for (family, tables) in &change.families {
        let input = Change::input(tables);
        let program = match family {
            Family::Ipv4 => format!("{variant}-restore"),
            Family::Ipv6 => format!("{variant}-restore").replacen("iptables", "ip6tables", 1),
        };
        let Some(time) = kernel::load(&program, &["--noflush", "-w", "5"], &input, patience)? else {
            return Ok(None);
        };
        sum.total += time.total;
        sum.kernel += time.kernel;
        bytes += input.len();
    }
    Ok(Some((sum, bytes)))
}

/// The parts of the page.
pub fn parts(measurements: &[Measurements]) -> Vec<Part> {
    vec![
        ("iptables targets", targets(measurements).markdown()),
        ("iptables loads", loads(measurements).markdown()),
        ("iptables changes", changes(measurements).markdown()),
    ]
}

/// For the largest size.
fn targets(measurements: &[Measurements]) -> Table {
    let mut table = Table::new(&["figure", "target", "measured"]);
    let Some(of) = measurements.last() else { return table };
    let compile = of.compile.median().map(|median| (time(Some(median)), median <= COMPILE));
    table.row([format!("compile from scratch, {}", of.size), time(Some(COMPILE)), judged(compile)]);
    let replaced = of.changes.iter().filter(|change| change.kind == Kind::Replaced);
    let chains = replaced.filter_map(|change| change.chains).max();
    let figure = format!("one backend replaced, chains written, {}", of.size);
    table.row([figure, CHAINS.to_string(), judged(chains.map(|count| (count.to_string(), count <= CHAINS)))]);
    table
}

fn loads(measurements: &[Measurements]) -> Table {
    let header = [
        "Services x backends",
        "compile",
        "nothing changed: compile and compare",
        "program",
        "full load",
        "of it in the kernel",
        "its input",
    ];
    let mut table = Table::new(&header);
    for of in measurements {
        for variant in &of.variants {
            table.row([
                of.size.to_string(),
                median(&of.compile),
                median(&of.nothing),
                format!("`{}-restore`", variant.variant),
                median(&variant.load),
                median(&variant.kernel),
                bytes(variant.bytes),
            ]);
        }
    }
    table
}

fn changes(measurements: &[Measurements]) -> Table {
    let header =
        ["Services x backends", "change", "by", "p50", "p99", "samples", "its input", "chains written"];
    let mut table = Table::new(&header);
    for change in measurements.iter().flat_map(|of| &of.changes) {
        table.row([
            change.size.to_string(),
            change.kind.title().to_owned(),
            change.subject.clone(),
            median(&change.times),
            time(change.times.percentile(99)),
            change.times.count().to_string(),
            bytes(change.bytes),
            change.chains.map_or("-".to_owned(), |chains| chains.to_string()),
        ]);
    }
    table
}
