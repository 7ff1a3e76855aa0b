//! Measures how long the stages of a batch take.

use std::time::{Duration, Instant};

/// The time of each stage, in the order in which data goes through them.
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

    /// Ends a stage and begins the next.
    pub fn lap(&mut self, stage: &'static str) {
        let elapsed = self.last.elapsed();
        self.last = Instant::now();
        self.laps.push((stage, elapsed));
    }

    /// Adds time that was spent within another stage.
    pub fn add(&mut self, stage: &'static str, spent: Duration) {
        match self.laps.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, sum)) => *sum += spent,
            None => self.laps.push((stage, spent)),
        }
    }
}
