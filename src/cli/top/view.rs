//! How it is drawn. Only what is on the screen is formatted.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Block, Clear, Paragraph, RenderDirection, Sparkline, Widget as _, Wrap};

use super::columns;
use super::keys::HELP;
use super::meter::{Rate, per_second};
use super::model::{Drilled, Model};

/// Colours, where the terminal shows any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    pub(super) coloured: bool,
}

impl Palette {
    fn of(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    fn wrong(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }
}

const HEADING: Style = Style::new().add_modifier(Modifier::BOLD);
const CURSOR: Style = Style::new().add_modifier(Modifier::REVERSED);

/// What ends a text that is cut off.
const MORE: &str = "…";

/// A column of a table.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) title: String,
    pub(super) width: Constraint,
    /// Whether its cells stand at its right edge.
    pub(super) right: bool,
}

/// A row of a table: its cells, and its rates, the newest first, for the sparkline.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) rates: Vec<Rate>,
    pub(super) is_cursor: bool,
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut Model, palette: Palette) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(frame.area());
    let buffer = frame.buffer_mut();
    write(buffer, head, &title(model), HEADING);
    match &mut model.drilled {
        None => services(buffer, body, model, palette),
        Some(drilled) => service(buffer, body, drilled, palette),
    }
    let (text, style) = footer(model, palette);
    write(buffer, foot, &text, style);
    if model.help {
        help(buffer, body);
    }
}

/// What all rows are together.
fn title(model: &Model) -> String {
    let (what, sum, total) = match &model.drilled {
        Some(drilled) => {
            let of = &drilled.frontends;
            (drilled.service.to_string(), of.sum(), of.total())
        }
        None => {
            let of = &model.services;
            let within = model.namespace.as_deref().unwrap_or("all namespaces");
            (format!("{within}, {} ports", of.len()), of.sum(), of.total())
        }
    };
    let rate = sum.map_or_else(|| "-".to_owned(), per_second);
    let every = model.interval.as_secs_f64();
    let state = if model.paused { "stopped".to_owned() } else { format!("every {every} s") };
    format!("svcnat: {what}, {rate} conn/s, {total} total, {state}")
}

fn footer(model: &Model, palette: Palette) -> (String, Style) {
    match &model.problem {
        _ if model.typing => (format!("/{}_", model.filter), HEADING),
        Some(problem) => (problem.replace('\n', " "), palette.wrong()),
        None if model.drilled.is_some() => {
            ("Esc back  Tab frontends  s sort  r reverse  p stop  h help  q back".to_owned(), Style::new())
        }
        None if !model.filter.is_empty() => {
            (format!("filter {}  Esc drops it  / another  h help", model.filter), HEADING)
        }
        None => {
            ("Enter backends  s sort  r reverse  / filter  p stop  h help  q end".to_owned(), Style::new())
        }
    }
}

fn services(buffer: &mut Buffer, area: Rect, model: &mut Model, palette: Palette) {
    let listing = &mut model.services;
    let wanted = columns::of_services(area.width);
    let sum = listing.sum();
    let columns = wanted.columns(listing.sort());
    let rows = listing.rows(below_heading(area)).map(|(port, meter, is_cursor)| Row {
        cells: wanted.service(port, meter, sum),
        rates: meter.rates().collect(),
        is_cursor,
    });
    let rows: Vec<Row> = rows.collect();
    table(buffer, area, &columns, &rows, palette);
    if rows.is_empty() {
        let why = if model.filter.is_empty() {
            "no Service has frontends here"
        } else {
            "no Service has this in its name"
        };
        write(buffer, Rect { y: area.y.saturating_add(1), ..area }.intersection(area), why, Style::new());
    }
}

/// The backends, and below them the frontends, which take at most a third of the lines.
fn service(buffer: &mut Buffer, area: Rect, drilled: &mut Drilled, palette: Palette) {
    if !drilled.is_read {
        return write(buffer, area, "reading", Style::new());
    }
    let frontends =
        u16::try_from(drilled.frontends.len() + 1).unwrap_or(u16::MAX).min(area.height.div_ceil(3));
    let [above, below] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(frontends)]).spacing(1).areas(area);
    let has_ports = drilled.has_ports();
    let (in_frontends, sum) = (drilled.in_frontends, drilled.frontends.sum());

    let wanted = columns::of_backends(area.width, has_ports);
    let columns = wanted.columns(drilled.backends.sort());
    let sums = drilled.sums();
    let (known, listing) = (&drilled.known, &mut drilled.backends);
    let rows = listing.rows(below_heading(above)).map(|(backend, meter, is_cursor)| Row {
        cells: wanted.backend(backend, meter, sums.get(&backend.service_port()).copied(), known.get(backend)),
        rates: meter.rates().collect(),
        is_cursor: is_cursor && !in_frontends,
    });
    let rows: Vec<Row> = rows.collect();
    table(buffer, above, &columns, &rows, palette);

    let wanted = columns::of_frontends(area.width, has_ports);
    let columns = wanted.columns(drilled.frontends.sort());
    let rows = drilled.frontends.rows(below_heading(below)).map(|(frontend, meter, is_cursor)| Row {
        cells: wanted.frontend(frontend, meter, sum),
        rates: meter.rates().collect(),
        is_cursor: is_cursor && in_frontends,
    });
    let rows: Vec<Row> = rows.collect();
    table(buffer, below, &columns, &rows, palette);
}

fn below_heading(area: Rect) -> usize {
    area.height.saturating_sub(1).into()
}

/// Draws a heading and rows. A row with one cell less than there are columns has its sparkline in the last one.
fn table(buffer: &mut Buffer, area: Rect, columns: &[Column], rows: &[Row], palette: Palette) {
    let heading = Rect { height: area.height.min(1), ..area };
    let places = Layout::horizontal(columns.iter().map(|column| column.width)).spacing(1).split(heading);
    for (column, place) in columns.iter().zip(places.iter()) {
        write(buffer, *place, &aligned(&column.title, place.width, column.right), HEADING);
    }
    for (row, line) in rows.iter().zip(area.rows().skip(1)) {
        for ((column, place), cell) in columns.iter().zip(places.iter()).zip(&row.cells) {
            let place = Rect { y: line.y, ..*place };
            write(buffer, place, &aligned(cell, place.width, column.right), Style::new());
        }
        if let Some(place) = places.get(row.cells.len()) {
            Sparkline::default()
                .data(row.rates.iter().map(|rate| rate.thousandths()))
                .direction(RenderDirection::RightToLeft)
                .style(palette.of(Color::Cyan))
                .render(Rect { y: line.y, ..*place }, buffer);
        }
        if row.is_cursor {
            buffer.set_style(line, CURSOR);
        }
    }
}

/// A text on one line; what does not fit is cut off.
fn write(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if area.height > 0 {
        let text = aligned(text, area.width, false);
        buffer.set_stringn(area.x, area.y, text, area.width.into(), style);
    }
}

/// A text in so many columns. What is longer ends in [`MORE`].
fn aligned(text: &str, width: u16, right: bool) -> String {
    let width = usize::from(width);
    if text.chars().count() > width {
        let kept = text.chars().take(width.saturating_sub(1));
        return if width == 0 { String::new() } else { kept.collect::<String>() + MORE };
    }
    if right { format!("{text:>width$}") } else { text.to_owned() }
}

fn help(buffer: &mut Buffer, area: Rect) {
    let lines: Vec<String> = HELP.iter().map(|(keys, what)| format!("{keys:22} {what}")).collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect { height, ..area };
    Clear.render(place, buffer);
    Paragraph::new(lines.join("\n"))
        .wrap(Wrap { trim: false })
        .block(Block::bordered().title("Keys"))
        .render(place, buffer);
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::listing::Move;
    use super::super::model::tests::{frontend, model, sample};
    use super::super::model::{Command, Effect, Sample};
    use super::*;

    /// The lines of a screen of this size, without blanks at their ends.
    fn screen(model: &mut Model, columns: u16, rows: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| draw(frame, model, Palette { coloured: true })).unwrap();
        let buffer = terminal.backend().buffer();
        let lines = buffer.area.rows().map(|line| {
            let cells = line.columns().map(|cell| buffer[(cell.x, cell.y)].symbol());
            cells.collect::<String>().trim_end().to_owned()
        });
        lines.collect()
    }

    #[track_caller]
    fn check(model: &mut Model, (columns, rows): (u16, u16), expected: &str) {
        let mut found = screen(model, columns, rows);
        assert_eq!(found.len(), usize::from(rows));
        let foot = found.pop().unwrap();
        let end = found.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        found.truncate(end);
        found.push(foot);
        assert_eq!(found.join("\n"), expected.trim_matches('\n'));
    }

    /// After `seconds`, what a shop with three service ports has counted.
    fn shop(began: Instant, seconds: u64, drilled: bool) -> Sample {
        let (web, dns) = (1_000 + 40 * seconds, 7 * seconds.pow(2));
        let backends = [("10.244.0.2:8080", web - 800), ("10.244.1.2:8080", 800)];
        let of_web = vec![
            frontend("shop/web:http 10.96.0.10:80", web, &backends),
            frontend("shop/web:http 30080", seconds, &[("10.244.0.2:8080", seconds)]),
        ];
        let mut all = vec![frontend("kube-system/kube-dns:dns 10.96.0.2:53", dns, &[])];
        all.extend(of_web.iter().cloned());
        all.push(frontend(
            "shop/a-service-with-a-name-that-is-much-too-long-for-its-column 10.96.0.3:443",
            0,
            &[],
        ));
        sample(began + Duration::from_secs(seconds), all, drilled.then_some(("shop/web", of_web)))
    }

    #[test]
    fn services_fit_on_80_columns() {
        let (mut model, began) = (model(), Instant::now());
        model.take(shop(began, 0, false));
        check(
            &mut model,
            (80, 24),
            "
svcnat: all namespaces, 3 ports, - conn/s, 1000 total, every 1 s
SERVICE                               CONN/Sv  SHARE      TOTAL HISTORY
shop/web:http                               -      -       1000
kube-system/kube-dns:dns                    -      -          0
shop/a-service-with-a-name-that-is-…        -      -          0
Enter backends  s sort  r reverse  / filter  p stop  h help  q end
",
        );
        for second in 1..=8 {
            model.take(shop(began, second, false));
        }
        model.apply(Command::Go(Move::Down));
        check(
            &mut model,
            (80, 24),
            "
svcnat: all namespaces, 3 ports, 146 conn/s, 1776 total, every 1 s
SERVICE                               CONN/Sv  SHARE      TOTAL HISTORY
kube-system/kube-dns:dns                  105   72 %        448          ▁▂▃▄▅▆█
shop/web:http                            41.0   28 %       1328         ████████
shop/a-service-with-a-name-that-is-…        0    0 %          0
Enter backends  s sort  r reverse  / filter  p stop  h help  q end
",
        );
    }

    #[test]
    fn backends_and_frontends_of_a_service_fit_on_80_columns() {
        let (mut model, began) = (model(), Instant::now());
        model.take(shop(began, 0, false));
        model.apply(Command::Enter);
        check(
            &mut model,
            (80, 24),
            "
svcnat: shop/web, - conn/s, 0 total, every 1 s
reading
Esc back  Tab frontends  s sort  r reverse  p stop  h help  q back
",
        );
        model.take(shop(began, 0, true));
        model.take(shop(began, 2, true));
        check(
            &mut model,
            (80, 12),
            "
svcnat: shop/web, 41.0 conn/s, 1082 total, every 1 s
BACKEND               NODE            CONN/Sv  SHARE      TOTAL HISTORY
10.244.0.2:8080       -                  41.0  100 %        282                █
10.244.1.2:8080       -                     0    0 %        800




FRONTEND                              CONN/Sv  SHARE      TOTAL HISTORY
10.96.0.10:80                            40.0   98 %       1080                █
node port 30080                           1.0    2 %          2                █
Esc back  Tab frontends  s sort  r reverse  p stop  h help  q back
",
        );
    }

    #[test]
    fn wide_terminals_show_more() {
        let (mut model, began) = (model(), Instant::now());
        model.take(shop(began, 0, false));
        let lines = screen(&mut model, 120, 40);
        assert!(lines[2].contains("10.96.0.10:80 +1"), "{lines:?}");
        model.apply(Command::Enter);
        model.take(shop(began, 1, true));
        let lines = screen(&mut model, 160, 40);
        for heading in ["BACKEND", "POD", "NODE", "ZONE", "STATE", "CONN/S", "SHARE", "TOTAL", "HISTORY"] {
            assert!(lines[1].contains(heading), "{heading}: {lines:?}");
        }
    }

    #[test]
    fn what_is_wrong_and_what_is_typed_stand_at_the_foot() {
        let mut model = model();
        model.take(shop(Instant::now(), 0, false));
        model.problem = Some("the agent\nhas gone".to_owned());
        assert_eq!(screen(&mut model, 80, 24).last().unwrap(), "the agent has gone");
        for command in [Command::Filter, Command::Type('x'), Command::Type('y')] {
            model.apply(command);
        }
        let lines = screen(&mut model, 80, 24);
        assert_eq!((lines[2].as_str(), lines[23].as_str()), ("no Service has this in its name", "/xy_"));
        model.problem = None;
        model.apply(Command::Enter);
        assert_eq!(screen(&mut model, 80, 24)[23], "filter xy  Esc drops it  / another  h help");
        model.apply(Command::Pause);
        model.apply(Command::Help);
        let lines = screen(&mut model, 80, 24);
        assert!(lines[0].ends_with("stopped"), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("sort backwards")), "{lines:?}");
    }

    #[test]
    fn no_size_is_too_small() {
        let (mut model, began) = (model(), Instant::now());
        for state in 0..4 {
            for columns in 0..=48 {
                for rows in 0..=9 {
                    assert_eq!(screen(&mut model, columns, rows).len(), usize::from(rows));
                }
            }
            match state {
                0 => model.take(shop(began, 0, false)),
                1 => assert_eq!(model.apply(Command::Enter), Effect::Read),
                2 => model.take(shop(began, 1, true)),
                _ => assert_eq!(model.apply(Command::Help), Effect::Nothing),
            }
        }
    }

    #[test]
    fn the_row_of_the_cursor_is_on_the_screen_and_stands_out() {
        let mut model = model();
        let services =
            (0..100).map(|number| frontend(&format!("shop/s-{number:02} 10.96.1.{number}:80"), 0, &[]));
        model.take(sample(Instant::now(), services.collect(), None));
        model.apply(Command::Go(Move::Last));
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &mut model, Palette { coloured: false })).unwrap();
        let buffer = terminal.backend().buffer();
        let reversed = |y: u16| buffer[(0, y)].modifier.contains(Modifier::REVERSED);
        assert_eq!((0..24).filter(|y| reversed(*y)).collect::<Vec<u16>>(), [22]);
        assert_eq!([7, 8].map(|x| buffer[(x, 22)].symbol()).concat(), "99");
    }
}
