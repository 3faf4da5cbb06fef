//! What tables have columns for, as far as they are wide enough, on the screen and in print.

use ratatui::layout::Constraint;
use svcnat_rules::describe::BackendSummary;
use svcnat_rules::name::Name;
use svcnat_rules::net::Protocol;

use super::listing::Sort;
use super::meter::Meter;
use super::model::{Backend, Frontend, Place, ServicePort};
use super::view::Column;
use crate::cli::table::{UNKNOWN, known};

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// The name of a Service port, the address of a backend or a frontend.
    Name(&'static str),
    Port,
    Frontends,
    Pod,
    Node,
    Zone,
    State,
    Rate,
    Share,
    Total,
    History,
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub(super) struct Columns(Vec<(Content, Constraint)>);

/// A column with so many characters, in tables that are at least so wide.
type Optional = (u16, Content, u16);

const NUMBERS: [Optional; 4] =
    [(0, Content::Rate, 8), (40, Content::Share, 6), (50, Content::Total, 10), (60, Content::History, 14)];

/// How wide the column for service ports is.
const PORT: u16 = 12;

/// The columns of Services.
pub(super) fn of_services(width: u16) -> Columns {
    Columns::new(width, "SERVICE", &[(112, Content::Frontends, 26)])
}

/// The columns of a Service's backends.
pub(super) fn of_backends(width: u16, has_ports: bool) -> Columns {
    let more = [
        (146, Content::Pod, 24),
        (76, Content::Node, 14),
        (114, Content::Zone, 12),
        (98, Content::State, 10),
    ];
    with_port(width, "BACKEND", has_ports, &more)
}

/// The columns of a Service's frontends.
pub(super) fn of_frontends(width: u16, has_ports: bool) -> Columns {
    with_port(width, "FRONTEND", has_ports, &[])
}

/// With a column for the service port, which takes what others would have got.
fn with_port(width: u16, name: &'static str, has_ports: bool, more: &[Optional]) -> Columns {
    if !has_ports {
        return Columns::new(width, name, more);
    }
    let more: Vec<Optional> = [(0, Content::Port, PORT)].into_iter().chain(more.iter().copied()).collect();
    Columns::new(width.saturating_sub(PORT), name, &more)
}

impl Columns {
    fn new(width: u16, name: &'static str, more: &[Optional]) -> Self {
        let fitting = more.iter().chain(&NUMBERS).filter(|(least, ..)| width >= *least);
        // A sparkline says more where there is more room.
        let wide =
            |content: Content, own: u16| if content == Content::History { own.max(width / 5) } else { own };
        let rest = fitting.map(|(_, content, own)| (*content, Constraint::Length(wide(*content, *own))));
        Self([(Content::Name(name), Constraint::Fill(1))].into_iter().chain(rest).collect())
    }

    /// The same without what cannot be printed.
    pub(super) fn printable(mut self) -> Self {
        self.0.retain(|(content, _)| *content != Content::History);
        self
    }

    /// For the screen, with a mark at the one that is sorted by.
    pub(super) fn columns(&self, (sort, reversed): (Sort, bool)) -> Vec<Column> {
        let column = |(content, width): &(Content, Constraint)| {
            let is_sorted = matches!(
                (content, sort),
                (Content::Rate, Sort::Rate) | (Content::Total, Sort::Total) | (Content::Name(_), Sort::Name)
            );
            // Numbers begin with the largest, names with the first.
            let mark = if reversed == (sort == Sort::Name) { "v" } else { "^" };
            let mark = if is_sorted { mark } else { "" };
            Column {
                title: format!("{}{mark}", content.title()),
                width: *width,
                right: matches!(content, Content::Rate | Content::Share | Content::Total),
            }
        };
        self.0.iter().map(column).collect()
    }

    pub(super) fn titles(&self) -> Vec<&'static str> {
        self.0.iter().map(|(content, _)| content.title()).collect()
    }

    /// The cells of a row; the history has none.
    fn cells(&self, cell: impl Fn(Content) -> String) -> Vec<String> {
        let contents = self.0.iter().map(|(content, _)| *content);
        contents.filter(|content| *content != Content::History).map(cell).collect()
    }

    /// The row of a Service port; `sum` is the rates of all that are shown.
    pub(super) fn service(&self, port: &ServicePort, meter: &Meter<Place>, sum: Option<u64>) -> Vec<String> {
        self.cells(|content| match content {
            Content::Name(_) => port.to_string(),
            Content::Frontends => places(meter),
            _ => number(content, meter, sum),
        })
    }

    /// The row of a backend; `sum` is the rates of all of the same port.
    pub(super) fn backend(
        &self,
        backend: &Backend,
        meter: &Meter<Place>,
        sum: Option<u64>,
        summary: Option<&BackendSummary>,
    ) -> Vec<String> {
        self.cells(|content| match content {
            Content::Name(_) => backend.to_string(),
            Content::Port => port(&backend.port, backend.protocol),
            Content::Pod => known(summary.and_then(|summary| summary.pod.as_ref())),
            Content::Node => known(summary.and_then(|summary| summary.node.as_ref())),
            Content::Zone => known(summary.and_then(|summary| summary.zone.as_ref())),
            Content::State => known(summary.and_then(state)),
            _ => number(content, meter, sum),
        })
    }

    /// The row of a frontend; `sum` is the rates of all.
    pub(super) fn frontend(&self, frontend: &Frontend, meter: &Meter<()>, sum: Option<u64>) -> Vec<String> {
        self.cells(|content| match content {
            Content::Name(_) => frontend.to_string(),
            Content::Port => port(&frontend.port, frontend.protocol),
            _ => number(content, meter, sum),
        })
    }
}

impl Content {
    fn title(self) -> &'static str {
        match self {
            Self::Name(name) => name,
            Self::Port => "PORT",
            Self::Frontends => "FRONTENDS",
            Self::Pod => "POD",
            Self::Node => "NODE",
            Self::Zone => "ZONE",
            Self::State => "STATE",
            Self::Rate => "CONN/S",
            Self::Share => "SHARE",
            Self::Total => "TOTAL",
            Self::History => "HISTORY",
        }
    }
}

fn number<P: PartialEq>(content: Content, meter: &Meter<P>, sum: Option<u64>) -> String {
    match content {
        Content::Rate => known(meter.rate()),
        Content::Share => known(meter.rate().zip(sum).and_then(|(rate, sum)| share(rate.thousandths(), sum))),
        Content::Total => meter.total().to_string(),
        _ => UNKNOWN.to_owned(),
    }
}

/// How much one is of all, in a hundred; nothing where nobody connects.
fn share(one: u64, all: u64) -> Option<String> {
    let percent = (one * 100 + all / 2).checked_div(all)?;
    Some(format!("{percent} %"))
}

/// The first frontend, and how many more there are.
fn places(meter: &Meter<Place>) -> String {
    let mut places = meter.parts();
    let first = known(places.next());
    match places.len() {
        0 => first,
        more => format!("{first} +{more}"),
    }
}

fn port(name: &Name, protocol: Protocol) -> String {
    let protocol = protocol.api_name();
    if name.is_empty() { protocol.to_owned() } else { format!("{name}/{protocol}") }
}

fn state(summary: &BackendSummary) -> Option<&'static str> {
    summary.conditions.map(|conditions| match (conditions.ready, conditions.terminating) {
        (true, false) => "ready",
        (_, true) => "terminating",
        (false, false) => "not ready",
    })
}
