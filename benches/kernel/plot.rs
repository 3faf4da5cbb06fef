//! Plots.

use std::path::Path;

use plotters::prelude::*;

use crate::Result;

/// A line of a plot.
pub struct Line {
    /// For the legend.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// What is to be seen of some lines.
pub struct Plot<'a> {
    /// Over the plot.
    pub title: &'a str,
    /// The unit of the first number of each point.
    pub x: &'a str,
    /// The unit of the second one.
    pub y: &'a str,
    /// The lines; those without points are left out.
    pub lines: Vec<Line>,
}

impl Plot<'_> {
    /// Draws into an SVG file, both axes logarithmic.
    pub fn draw(&self, file: &Path) -> Result<()> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().next().is_none() {
            return Err(format!("there is nothing to draw in {}", self.title).into());
        }
        let root = SVGBackend::new(file, (760, 440)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(
                around(points().map(|point| point.0)).log_scale(),
                around(points().map(|point| point.1)).log_scale(),
            )?;
        let label = |value: &f64| label(*value);
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&label)
            .y_label_formatter(&label)
            .draw()?;
        for (index, line) in self.lines.iter().enumerate().filter(|(_, line)| !line.points.is_empty()) {
            let color = Palette99::pick(index).to_rgba();
            let points = line.points.iter().map(move |&point| Circle::new(point, 3, color.filled()));
            chart.draw_series(points)?;
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
        Ok(())
    }
}

/// From a little below the least to a little above the greatest.
fn around(values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
    values.clone().fold(f64::MAX, f64::min) / 1.5..values.fold(0.0, f64::max) * 1.5
}

fn label(value: f64) -> String {
    if value >= 1e6 { format!("{} M", value / 1e6) } else { format!("{value}") }
}
