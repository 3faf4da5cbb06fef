//! What the page shows of the results.

use std::time::Duration;

use crate::cluster::thousands;
use crate::measure::{Changes, Results, Starts};
use crate::page::{Part, Table, bytes, judged, time};

const START: Duration = Duration::from_millis(1_500);
const P50: Duration = Duration::from_micros(300);
const P99: Duration = Duration::from_millis(1);
const MEMORY: usize = 64_000_000;
const PROCESSOR: Duration = Duration::from_millis(300);

/// The generated parts of the page with their names.
pub fn parts(results: &Results) -> Vec<Part> {
    vec![
        ("agent targets", targets(results).markdown()),
        ("agent starts", starts(results).markdown()),
        ("agent changes", changes(results).markdown()),
    ]
}

fn targets(results: &Results) -> Table {
    let mut table = Table::new(&[&format!("figure, {}", results.size), "target", "measured"]);
    let mut row = |figure: &str, target: String, measured| {
        table.row([figure.to_owned(), target, judged(measured)]);
    };
    let within = |measured: Option<Duration>, limit| {
        measured.map(|measured| (time(Some(measured)), measured <= limit))
    };
    let memory = |resident| Some((bytes(resident), resident <= MEMORY));
    let changes = &results.changes;
    let latency = |percent| changes.latencies.percentile(percent);
    row("start to first complete ruleset", time(Some(START)), within(results.first.times.median(), START));
    row("change of endpoints to committed, p50", time(Some(P50)), within(latency(50.0), P50));
    row("change of endpoints to committed, p99", time(Some(P99)), within(latency(99.0), P99));
    row("resident memory after the start", bytes(MEMORY), memory(results.first.settled.resident));
    let after = format!("resident memory after {} changes", thousands(changes.count));
    row(&after, bytes(MEMORY), memory(changes.memory.resident));
    let for_thousand = within(per_thousand(changes), PROCESSOR);
    row("processor time for 1,000 changes of endpoints", time(Some(PROCESSOR)), for_thousand);
    table
}

fn starts(results: &Results) -> Table {
    let header =
        ["start", "median", "longest", "processor time", "resident at once", "15 s later", "at most"];
    let mut table = Table::new(&header);
    let kinds = [
        ("from nothing", &results.first),
        ("with an unchanged kernel", &results.again),
        ("with an unchanged kernel and a state file", &results.from_file),
    ];
    for (kind, Starts { times, processor, memory, settled }) in kinds {
        table.row([
            kind.to_owned(),
            time(times.median()),
            time(times.percentile(100)),
            time(Some(*processor)),
            bytes(memory.resident),
            bytes(settled.resident),
            bytes(settled.peak),
        ]);
    }
    table
}

fn changes(results: &Results) -> Table {
    let header = [
        "changes",
        "in a second",
        "p50",
        "p90",
        "p99",
        "processor time for 1,000",
        "stolen",
        "resident",
        "at most",
    ];
    let mut table = Table::new(&header);
    let changes = &results.changes;
    let latency = |percent| time(changes.latencies.percentile(percent));
    table.row([
        thousands(changes.count),
        changes.per_second.to_string(),
        latency(50.0),
        latency(90.0),
        latency(99.0),
        time(per_thousand(changes)),
        format!("{:.1} %", 100.0 * changes.stolen),
        bytes(changes.memory.resident),
        bytes(changes.memory.peak),
    ]);
    table
}

fn per_thousand(changes: &Changes) -> Option<Duration> {
    let thousands = u32::try_from(changes.count).ok()?;
    (changes.processor * 1_000).checked_div(thousands)
}
