//! What was to be reached, and whether it was.

use std::time::Duration;

use svcnat_rules::config::Layout;

use crate::LAYOUTS;
use crate::load::{Load, Ours, quotient};
use crate::memory::What;
use crate::page::{Table, bytes, time, times};
use crate::report::Results;

const COMPILE: Duration = Duration::from_millis(60);
const OF_KERNEL: f64 = 1.5;
const FASTER_THAN_PEER: f64 = 30.0;
const START: Duration = Duration::from_millis(400);
const MEMORY: usize = 40_000_000;
const OF_PEER_PER_CONNECTION: f64 = 1.03;

/// A figure and whether it is good enough; none where it was not measured.
type Figure = Option<(String, bool)>;

/// The table of all targets, for the size that they are about.
pub fn table(results: &Results) -> Table {
    let mut table = Table::new(&["figure", "target", "`maps`", "`chains`"]);
    let size = results.main;
    let load = results.load(size);
    let mut row = |figure: &str, target: String, of: &dyn Fn(usize) -> Figure| {
        let cells = (0..LAYOUTS.len()).map(|layout| cell(of(layout)));
        table.row([format!("{figure}, {size}"), target].into_iter().chain(cells));
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
        let ratio = quotient(load?.peer.median(), ours(layout)?.total.median())?;
        Some((times(Some(ratio)), ratio >= FASTER_THAN_PEER))
    });
    row("start with an unchanged kernel", time(Some(START)), &at_most(START, |ours| ours.start.median()));
    row("memory", bytes(MEMORY), &|layout| {
        let (_, layout): (_, Layout) = *LAYOUTS.get(layout)?;
        let resident = results.memory_of(size, What::Compiled(layout))?.resident;
        Some((bytes(resident), resident <= MEMORY))
    });
    row("a new connection, of the peer's", format!("at most {OF_PEER_PER_CONNECTION} x"), &|layout| {
        let connections = results.connections.iter().find(|connections| connections.size == size)?;
        let (_, peer) = connections.rules.last()?;
        // The first is without any rule.
        let (_, ours) = connections.rules.get(layout + 1)?;
        let ratio = quotient(ours.median(), peer.median())?;
        Some((times(Some(ratio)), ratio <= OF_PEER_PER_CONNECTION))
    });
    table
}

fn cell(figure: Figure) -> String {
    match figure {
        Some((text, true)) => text,
        Some((text, false)) => format!("**{text}** (missed)"),
        None => "-".to_owned(),
    }
}
