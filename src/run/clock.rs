//! How long the stages of a batch took.

use std::time::{Duration, Instant};

/// The time of each stage, in the order of the way.
pub(super) struct Clock {
    last: Instant,
    pub laps: Vec<(&'static str, Duration)>,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }

    /// A stage ends here and the next begins.
    pub fn lap(&mut self, stage: &'static str) {
        let elapsed = self.last.elapsed();
        self.last = Instant::now();
        self.laps.push((stage, elapsed));
    }

    /// Time that goes on within a lap.
    pub fn add(&mut self, stage: &'static str, spent: Duration) {
        match self.laps.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, sum)) => *sum += spent,
            None => self.laps.push((stage, spent)),
        }
    }
}
