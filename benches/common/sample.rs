//! Times, and what is said about them.

use std::time::{Duration, Instant};

/// Several times of the same thing.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Takes down a time.
    pub fn push(&mut self, time: Duration) {
        let place = self.0.partition_point(|other| *other <= time);
        self.0.insert(place, time);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a hundred do not exceed.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }

    /// The time in the middle.
    pub fn median(&self) -> Option<Duration> {
        self.percentile(50)
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut samples = Self::default();
        times.into_iter().for_each(|time| samples.push(time));
        samples
    }
}

/// Does something and says how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed())
}

/// How often something is measured: at least once, until enough time has gone by or there are enough samples.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// No more samples than this.
    pub samples: usize,
    /// No further sample after this time.
    pub time: Duration,
}

impl Effort {
    /// Repeats something.
    pub fn repeat<E>(self, mut once: impl FnMut() -> Result<(), E>) -> Result<(), E> {
        let start = Instant::now();
        for _ in 0..self.samples {
            once()?;
            if start.elapsed() > self.time {
                break;
            }
        }
        Ok(())
    }
}
