//! What was to be reached, and whether it was.

use std::time::Duration;

use crate::LAYOUTS;
use crate::changes::Kind;
use crate::cluster::Size;
use crate::load::{Load, Ours, quotient};
use crate::memory::What;
use crate::page::{Table, bytes, judged, time, times};
use crate::report::Results;

const COMPILE: Duration = Duration::from_millis(60);
const OF_KERNEL: f64 = 1.5;
const FASTER_THAN_PEER: f64 = 30.0;
const START: Duration = Duration::from_millis(400);
/// What may be resident, for each number of Services.
const MEMORY: [(usize, usize); 2] = [(10_000, 40_000_000), (100_000, 350_000_000)];
/// One backend comes, goes or takes the place of another: the time of 99 in 100, and how many bytes are sent.
const CHANGE: Duration = Duration::from_micros(300);
const CHANGE_BYTES: usize = 1_000;
const SERVICE_ADDED: Duration = Duration::from_millis(3);
/// What a change may take with 100,000 Services, of what it takes with 10,000.
const LARGER: usize = 100_000;
const OF_SMALLER: f64 = 1.2;
const OF_PEER_PER_CONNECTION: f64 = 1.03;

/// A figure and whether it is good enough; none where it was not measured.
type Figure = Option<(String, bool)>;

/// The table of all targets, for the size that they are about.
pub fn table(results: &Results) -> Table {
    let mut table = Table::new(&["figure", "target", "`maps`", "`chains`"]);
    let size = results.main;
    let load = results.load(size);
    let mut row = |figure: &str, target: String, of: &dyn Fn(usize) -> Figure| {
        self::row(&mut table, &format!("{figure}, {size}"), target, of);
    };
    let ours = |layout: usize| load.and_then(|load: &Load| load.ours.get(layout));
    let at_most = |limit: Duration, of: fn(&Ours) -> Option<Duration>| {
        move |layout| {
            let measured = ours(layout).and_then(of)?;
            Some((time(Some(measured)), measured <= limit))
        }
    };
    row("compile from scratch", time(Some(COMPILE)), &at_most(COMPILE, |ours| ours.compile.median()));
    row("full load, of the kernel's own time", format!("at most {OF_KERNEL} x"), &|layout| {
        let ratio = ours(layout)?.ratio?;
        Some((times(Some(ratio)), ratio <= OF_KERNEL))
    });
    row("full load, faster than the peer", format!("{FASTER_THAN_PEER} x"), &|layout| {
        let (ratio, words) = load?.faster_than_peer(ours(layout)?)?;
        Some((words, ratio >= FASTER_THAN_PEER))
    });
    row("start with an unchanged kernel", time(Some(START)), &at_most(START, |ours| ours.start.median()));
    row("a new connection, of the peer's", format!("at most {OF_PEER_PER_CONNECTION} x"), &|layout| {
        let connections = results.connections.iter().find(|connections| connections.size == size)?;
        let (_, peer) = connections.rules.last()?;
        // The first is without any rule.
        let (_, ours) = connections.rules.get(layout + 1)?;
        let ratio = quotient(ours.median(), peer.median())?;
        Some((times(Some(ratio)), ratio <= OF_PEER_PER_CONNECTION))
    });
    changes(&mut table, results);
    memory(&mut table, results);
    table
}

fn changes(table: &mut Table, results: &Results) {
    let size = results.main;
    let of = |size: Size, layout: usize, kind: Kind| {
        let (name, _) = LAYOUTS.get(layout)?;
        results.engine_changes(size, name, kind)
    };
    for (kind, limit) in
        Kind::ALL.map(|kind| (kind, if kind == Kind::ServiceAdded { SERVICE_ADDED } else { CHANGE }))
    {
        let figure = |layout| {
            let p99 = of(size, layout, kind)?.times.percentile(99)?;
            Some((time(Some(p99)), p99 <= limit))
        };
        row(table, &format!("{}, p99, {size}", kind.title()), time(Some(limit)), &figure);
    }
    let sent = |layout| {
        let sent = of(size, layout, Kind::Replaced)?.bytes;
        Some((bytes(sent), sent <= CHANGE_BYTES))
    };
    row(table, &format!("one backend replaced, sent, {size}"), bytes(CHANGE_BYTES), &sent);
    let larger = Size { services: LARGER, ..size };
    let growth = |layout| {
        let p99 = |size| of(size, layout, Kind::Replaced)?.times.percentile(99);
        let ratio = quotient(p99(larger), p99(size))?;
        Some((times(Some(ratio)), ratio <= OF_SMALLER))
    };
    let figure = format!("one backend replaced, p99, {larger}, of that at {size}");
    row(table, &figure, format!("at most {OF_SMALLER} x"), &growth);
}

fn memory(table: &mut Table, results: &Results) {
    for (services, limit) in MEMORY {
        let size = Size { services, ..results.main };
        let figure = |layout: usize| {
            let (_, layout) = *LAYOUTS.get(layout)?;
            let resident = results.memory_of(size, What::Engine(layout))?.process.resident;
            Some((bytes(resident), resident <= limit))
        };
        row(table, &format!("memory of the engine, {size}"), bytes(limit), &figure);
    }
}

fn row(table: &mut Table, figure: &str, target: String, of: &dyn Fn(usize) -> Figure) {
    let cells = (0..LAYOUTS.len()).map(|layout| judged(of(layout)));
    table.row([figure.to_owned(), target].into_iter().chain(cells));
}
