//! Histograms as `/metrics` has them.

use std::time::Duration;

use crate::Result;

/// How many observations were at most so long, for ascending bounds; the last one is infinite.
#[derive(Debug, Clone, Default)]
pub struct Histogram(Vec<(f64, u64)>);

impl Histogram {
    /// Finds the histogram of times with a name, which has no labels but `le`.
    pub fn find(metrics: &str, name: &str) -> Result<Self> {
        let head = format!("{name}_bucket{{le=\"");
        let mut buckets = Vec::new();
        for line in metrics.lines().filter_map(|line| line.strip_prefix(&head)) {
            let (bound, count) = line.split_once("\"} ").ok_or("a bucket without a count")?;
            buckets.push((bound.parse()?, count.parse()?));
        }
        if buckets.is_empty() { Err(format!("no histogram {name}").into()) } else { Ok(Self(buckets)) }
    }

    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    /// What was observed since.
    pub fn since(&self, earlier: &Self) -> Self {
        let buckets = self.0.iter().zip(&earlier.0);
        Self(buckets.map(|((bound, now), (_, then))| (*bound, now.saturating_sub(*then))).collect())
    }

    /// The time that so many of a hundred do not exceed, interpolated within its bucket as `histogram_quantile` of PromQL
    /// does; beyond the last finite bound that bound.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let all = self.count();
        let rank = float(all) * percent / 100.0;
        let place = self.0.iter().position(|(_, count)| *count > 0 && float(*count) >= rank)?;
        let (lower, below) =
            place.checked_sub(1).and_then(|place| self.0.get(place)).copied().unwrap_or_default();
        let (upper, count) = self.0.get(place).copied()?;
        let within = (rank - float(below)) / float(count - below);
        let seconds = if upper.is_finite() { lower + (upper - lower) * within } else { lower };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[expect(clippy::cast_precision_loss, reason = "no benchmark makes so many observations")]
fn float(count: u64) -> f64 {
    count as f64
}
