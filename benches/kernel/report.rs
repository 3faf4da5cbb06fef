//! What the page shows of the results.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::changes::{Kind, Measured, engine_name};
use crate::cluster::{Size, thousands};
use crate::connections::Connections;
use crate::load::{Load, Ours, quotient};
use crate::memory::{Memory, What};
use crate::page::{self, Part, Table, bytes, median, time, times};
use crate::plot::{Line, Plot};
use crate::sample::Samples;
use crate::{LAYOUTS, Result, iptables, targets};

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Results {
    /// The size that the targets are about.
    pub main: Size,
    /// The machine, line by line.
    pub machine: Vec<(&'static str, String)>,
    /// Loads, one for each size.
    pub loads: Vec<Load>,
    /// Changes, for each size, subject and kind.
    pub changes: Vec<Measured>,
    /// Connections, one for each size.
    pub connections: Vec<Connections>,
    /// Memory, for each size and content.
    pub memory: Vec<Memory>,
    /// The mode iptables, one for each size.
    pub iptables: Vec<iptables::Measurements>,
}

/// The generated parts of the page with their names.
fn parts(results: &Results) -> Vec<Part> {
    let mut parts = vec![
        ("machine", machine(results)),
        ("targets", targets::table(results).markdown()),
        ("loads", loads(results).markdown()),
        ("starts", starts(results).markdown()),
        ("changes", changes(results).markdown()),
        ("connections", connections(results).markdown()),
        ("memory", memory(results).markdown()),
    ];
    parts.extend(iptables::parts(&results.iptables));
    parts
}

/// All parts one after the other.
pub fn text(results: &Results) -> String {
    page::text(&parts(results))
}

/// Writes the parts into the page and the plots into the directory with the page's name.
pub fn write(results: &Results, page: &Path) -> Result<()> {
    page::write(page, &parts(results))?;
    let directory = page.with_extension("");
    fs::create_dir_all(&directory)?;
    for (name, plot) in plots(results) {
        plot.draw(&directory.join(format!("{name}.svg")))?;
    }
    Ok(())
}

fn machine(results: &Results) -> String {
    results.machine.iter().map(|(name, value)| format!("- {name}: {value}\n")).collect()
}

fn loads(results: &Results) -> Table {
    let mut table = Table::new(&[
        "Services x backends",
        "layout",
        "compile",
        "encode",
        "kernel",
        "encode to answer",
        "of the kernel's time",
        "sent",
        "peer's shape, `nft -f`",
        "of it in the kernel",
        "its script",
        "faster than the peer",
    ]);
    for load in &results.loads {
        for ((name, _), ours) in LAYOUTS.iter().zip(&load.ours).filter(|(_, ours)| ours.bytes > 0) {
            table.row([
                load.size.to_string(),
                format!("`{name}`"),
                median(&ours.compile),
                median(&ours.encode),
                median(&ours.kernel),
                median(&ours.total),
                times(ours.ratio),
                bytes(ours.bytes),
                match load.peer_time() {
                    Some((patience, true)) => format!("over {}", time(Some(patience))),
                    measured => time(measured.map(|(measured, _)| measured)),
                },
                median(&load.peer_kernel),
                if load.peer_bytes > 0 { bytes(load.peer_bytes) } else { "-".to_owned() },
                load.faster_than_peer(ours).map_or("-".to_owned(), |(_, words)| words),
            ]);
        }
    }
    table
}

fn starts(results: &Results) -> Table {
    let mut table = Table::new(&["Services x backends", "layout", "read", "read, compile, compare"]);
    for load in &results.loads {
        for ((name, _), ours) in LAYOUTS.iter().zip(&load.ours).filter(|(_, ours)| ours.bytes > 0) {
            table.row([load.size.to_string(), format!("`{name}`"), median(&ours.read), median(&ours.start)]);
        }
    }
    table
}

fn changes(results: &Results) -> Table {
    let header = ["Services x backends", "change", "by", "p50", "p99", "samples", "sent"];
    let mut table = Table::new(&header);
    for change in &results.changes {
        table.row([
            change.size.to_string(),
            change.kind.title().to_owned(),
            change.subject.clone(),
            median(&change.times),
            time(change.times.percentile(99)),
            change.times.count().to_string(),
            bytes(change.bytes),
        ]);
    }
    table
}

fn connections(results: &Results) -> Table {
    let header = [
        "Services x backends",
        "rules",
        "one connection",
        "connections per second",
        "of the rules",
        "of the peer's",
    ];
    let mut table = Table::new(&header);
    for connections in &results.connections {
        let peer = connections.rules.last().and_then(|(_, samples)| samples.median());
        let none = connections.rules.first().and_then(|(_, samples)| samples.median());
        for (name, samples) in &connections.rules {
            let one = samples.median();
            table.row([
                connections.size.to_string(),
                name.clone(),
                time(one),
                per_second(one),
                time(one.zip(none).map(|(one, none)| one.saturating_sub(none))),
                quotient(one, peer)
                    .map_or("-".to_owned(), |ratio| format!("{:+.1} %", (ratio - 1.0) * 100.0)),
            ]);
        }
    }
    table
}

fn memory(results: &Results) -> Table {
    let header = ["Services x backends", "held", "resident", "at most"];
    let mut table = Table::new(&header);
    for memory in &results.memory {
        table.row([
            memory.size.to_string(),
            memory.title.to_owned(),
            bytes(memory.process.resident),
            bytes(memory.process.peak),
        ]);
    }
    table
}

fn plots(results: &Results) -> Vec<(&'static str, Plot<'static>)> {
    vec![
        (
            "load",
            Plot {
                title: "Full load, 10 backends each",
                x: "Services",
                y: "milliseconds",
                lines: by_layout(results, "peer's shape", |load| &load.peer, |ours| &ours.total),
            },
        ),
        (
            "change",
            Plot {
                title: "One backend replaced, p50",
                x: "Services",
                y: "milliseconds",
                lines: change_lines(&results.changes),
            },
        ),
        (
            "connection",
            Plot {
                title: "A new connection's first packet",
                x: "backends of each Service",
                y: "microseconds",
                lines: connection_lines(&results.connections),
            },
        ),
    ]
}

fn by_layout(
    results: &Results,
    peer_name: &str,
    peer: impl Fn(&Load) -> &Samples,
    ours: impl Fn(&Ours) -> &Samples,
) -> Vec<Line> {
    let loads = || results.loads.iter().filter(|load| load.size.backends == 10);
    let point =
        |load: &Load, samples: &Samples| Some((number(load.size.services), milliseconds(samples.median()?)));
    let mut lines: Vec<Line> = LAYOUTS
        .iter()
        .enumerate()
        .map(|(index, (name, _))| Line {
            name: (*name).to_owned(),
            points: loads().filter_map(|load| point(load, ours(load.ours.get(index)?))).collect(),
        })
        .collect();
    let points = loads().filter_map(|load| point(load, peer(load))).collect();
    lines.push(Line { name: peer_name.to_owned(), points });
    lines
}

fn change_lines(changes: &[Measured]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for change in changes.iter().filter(|change| change.kind == Kind::Replaced) {
        let Some(median) = change.times.median() else { continue };
        let point = (number(change.size.services), milliseconds(median));
        add(&mut lines, &change.subject, point);
    }
    lines
}

fn connection_lines(connections: &[Connections]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for connections in connections {
        for (name, samples) in &connections.rules {
            let Some(median) = samples.median() else { continue };
            add(&mut lines, name, (number(connections.size.backends), milliseconds(median) * 1e3));
        }
    }
    lines
}

fn add(lines: &mut Vec<Line>, name: &str, point: (f64, f64)) {
    let name = name.replace('`', "");
    match lines.iter_mut().find(|line| line.name == name) {
        Some(line) => line.points.push(point),
        None => lines.push(Line { name, points: vec![point] }),
    }
}

fn per_second(one: Option<Duration>) -> String {
    let count = one.and_then(|one| Duration::from_secs(1).as_nanos().checked_div(one.as_nanos()));
    count.and_then(|count| usize::try_from(count).ok()).map_or("-".to_owned(), thousands)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

impl Results {
    /// What was loaded at one size.
    pub fn load(&self, size: Size) -> Option<&Load> {
        self.loads.iter().find(|load| load.size == size)
    }

    /// The changes of a kind that the engine made at one size.
    pub fn engine_changes(&self, size: Size, layout: &str, kind: Kind) -> Option<&Measured> {
        let subject = engine_name(layout);
        self.changes.iter().find(|of| of.size == size && of.kind == kind && of.subject == subject)
    }

    /// The memory of one size.
    pub fn memory_of(&self, size: Size, what: What) -> Option<&Memory> {
        self.memory.iter().find(|memory| memory.size == size && memory.what == what)
    }
}
