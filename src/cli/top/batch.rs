//! Without a terminal: tables, one after the other.

use std::io::{self, Write as _};
use std::thread;

use jiff::Timestamp;

use super::columns;
use super::meter::per_second;
use super::model::Model;
use super::source::{Place, Question, Source};
use crate::cli::Failure;
use crate::cli::table::{Cell, Table, UNKNOWN};

/// A width at which all columns are there.
const WIDE: u16 = u16::MAX;

/// Prints so many tables, or without end. Each is about the time since the one before.
pub(super) fn run(mut model: Model, place: &Place, count: Option<u64>) -> Result<(), Failure> {
    let mut source = Source::open(place)?;
    let question = Question { services: model.wanted().is_none(), service: model.wanted().cloned() };
    model.take(source.read(&question)?);
    let mut printed = 0;
    while count.is_none_or(|count| printed < count) {
        thread::sleep(model.interval);
        model.take(source.read(&question)?);
        let gap = if printed == 0 { "" } else { "\n" };
        let text = format!("{gap}{}", page(&model, Timestamp::now()));
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // A reader that has seen enough is no error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
        printed += 1;
    }
    Ok(())
}

/// A line with the time and the sum, and a table; of a Service two tables.
fn page(model: &Model, now: Timestamp) -> String {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let head = |what: &str, sum: Option<u64>, total: u64| {
        let rate = sum.map_or_else(|| UNKNOWN.to_owned(), per_second);
        format!("{now} {what}: {rate} new connections/s, {total} in all\n")
    };
    let Some(drilled) = &model.drilled else {
        let listing = &model.services;
        let columns = columns::of_services(WIDE).printable();
        let rows = listing.all().map(|(port, meter)| columns.service(port, meter, listing.sum()));
        let what = format!("{} service ports", listing.len());
        return head(&what, listing.sum(), listing.total()) + &table(&columns, rows);
    };
    let (sums, sum) = (drilled.sums(), drilled.frontends.sum());
    let columns = columns::of_backends(WIDE, drilled.has_ports()).printable();
    let rows = drilled.backends.all().map(|(backend, meter)| {
        let of_port = sums.get(&backend.service_port()).copied();
        columns.backend(backend, meter, of_port, drilled.known.get(backend))
    });
    let backends = table(&columns, rows);
    let columns = columns::of_frontends(WIDE, drilled.has_ports()).printable();
    let rows = drilled.frontends.all().map(|(frontend, meter)| columns.frontend(frontend, meter, sum));
    let frontends = table(&columns, rows);
    let what = drilled.service.to_string();
    format!("{}{backends}\n{frontends}", head(&what, sum, drilled.frontends.total()))
}

/// Never in colours: it is for scripts.
fn table(columns: &columns::Columns, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new(false, &columns.titles());
    rows.for_each(|row| table.add(row.into_iter().map(Cell::from).collect()));
    table.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::model::Command;
    use super::super::model::tests::{frontend, model, sample};
    use super::*;

    #[test]
    fn tables_have_all_that_is_known_and_the_busiest_first() {
        let (mut model, at) = (model(), Instant::now());
        let look = |web: u64, node_port: u64, api: u64| {
            vec![
                frontend("shop/api 10.96.0.11:80", api, &[]),
                frontend(
                    "shop/web:http 10.96.0.10:80",
                    web,
                    &[("10.244.0.2:8080", web), ("[fd00::2]:8080", 0)],
                ),
                frontend("shop/web:http 30080", node_port, &[("10.244.0.2:8080", node_port)]),
            ]
        };
        let time = Timestamp::from_millisecond(1_767_225_600_123).unwrap();
        model.take(sample(at, look(10, 0, 7), None));
        model.take(sample(at + Duration::from_secs(2), look(15, 1, 7), None));
        assert_eq!(
            page(&model, time),
            "2026-01-01T00:00:00Z 2 service ports: 3.0 new connections/s, 23 in all\n\
             SERVICE         FRONTENDS          CONN/S   SHARE   TOTAL\n\
             shop/web:http   10.96.0.10:80 +1   3.0      100 %   16\n\
             shop/api        10.96.0.11:80      0        0 %     7\n"
        );
        model.apply(Command::Enter);
        let web = |web, node_port| look(web, node_port, 0).split_off(1);
        model.take(sample(at, look(15, 1, 7), Some(("shop/web", web(15, 1)))));
        model.take(sample(at + Duration::from_secs(4), look(15, 1, 7), Some(("shop/web", web(17, 3)))));
        assert_eq!(
            page(&model, time),
            "2026-01-01T00:00:00Z shop/web: 1.0 new connections/s, 20 in all\n\
             BACKEND           POD   NODE   ZONE   STATE   CONN/S   SHARE   TOTAL\n\
             10.244.0.2:8080   -     -      -      -       1.0      100 %   20\n\
             [fd00::2]:8080    -     -      -      -       0        0 %     0\n\
             \n\
             FRONTEND          CONN/S   SHARE   TOTAL\n\
             10.96.0.10:80     0.5      50 %    17\n\
             node port 30080   0.5      50 %    3\n"
        );
    }
}
