//! Says how far a run is where stderr is no terminal: a line when a batch ends, and one every 10 seconds.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use indicatif::BinaryBytes;

use super::logs::LogFormat;
use super::outcome::summary_line;
use super::{message, thousands};
use crate::model::Batch;
use crate::run::{Activity, BatchOutcome, Observer};
use crate::warehouse::Phase;

/// How long a run may say nothing.
const INTERVAL: Duration = Duration::from_secs(10);

/// Sets another interval, in milliseconds. It is for tests, which can't wait that long.
const INTERVAL_VARIABLE: &str = "PIPELINE_PROGRESS_MS";

pub(super) fn key_made(file: &str) -> String {
    format!("made a key for the masks, {file}: keep a copy apart from the data")
}

/// Prints lines of progress to stderr.
pub(super) struct Lines(Arc<State>);

struct State {
    format: LogFormat,
    /// How many batches the run has.
    batches: usize,
    begun: Instant,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    running: Vec<Activity>,
    /// What the batches that have ended came to.
    ended: Sum,
    done: usize,
    refreshing: bool,
}

/// What some batches have read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    /// The size of the input, in bytes.
    bytes: u64,
    read: u64,
    records: u64,
    rows: u64,
    indexing: bool,
}

impl Sum {
    fn of(activity: &Activity) -> Self {
        let counters = || activity.entities.iter().map(|(_, counter)| counter);
        Self {
            bytes: activity.input_bytes,
            // A file that grows is read further than it was listed.
            read: activity.read.bytes.load(Ordering::Relaxed).min(activity.input_bytes),
            records: activity.read.records.load(Ordering::Relaxed),
            rows: counters().map(|counter| counter.rows.load(Ordering::Relaxed)).sum(),
            indexing: counters().any(|counter| counter.phase() == Phase::Indexing),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            read: self.read + other.read,
            records: self.records + other.records,
            rows: self.rows + other.rows,
            indexing: self.indexing || other.indexing,
        }
    }
}

impl Counts {
    fn end(&mut self, batch: &Batch) {
        self.done += 1;
        if let Some(index) = self.running.iter().position(|activity| activity.batch == *batch) {
            let ended = Sum::of(&self.running.swap_remove(index));
            self.ended = Sum {
                indexing: false,
                ..self.ended.and(ended)
            };
        }
    }

    fn sum(&self) -> Sum {
        self.running.iter().map(Sum::of).fold(self.ended, Sum::and)
    }

    /// What is going on now, for the end of a line.
    fn doing(&self) -> &'static str {
        if self.refreshing {
            "; refreshing materialized views"
        } else if self.sum().indexing {
            "; indexing"
        } else {
            ""
        }
    }

    /// A line without names: `1 of 3 batches done; 2.00 MiB of 8.00 MiB read, 1,200 records, 3,400 rows`.
    fn line(&self, batches: usize) -> String {
        let sum = self.sum();
        format!(
            "{} of {batches} batches done; {} of {} read, {} records, {} rows{}",
            self.done,
            BinaryBytes(sum.read),
            BinaryBytes(sum.bytes),
            thousands(sum.records),
            thousands(sum.rows),
            self.doing()
        )
    }
}

impl Lines {
    /// Starts to print lines, as text or as JSON. They end when this is dropped.
    pub fn start(batches: usize, format: LogFormat) -> Self {
        let state = Arc::new(State {
            format,
            batches,
            begun: Instant::now(),
            counts: Mutex::default(),
        });
        let milliseconds = std::env::var(INTERVAL_VARIABLE).ok().and_then(|text| text.parse().ok());
        let interval = milliseconds.map_or(INTERVAL, |given: u64| Duration::from_millis(given.max(1)));
        tokio::spawn(repeat(Arc::downgrade(&state), interval));
        Self(state)
    }
}

async fn repeat(state: Weak<State>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        match state.upgrade() {
            Some(state) => state.say(),
            None => return,
        }
    }
}

impl State {
    fn with<T>(&self, what: impl FnOnce(&mut Counts) -> T) -> T {
        what(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn say(&self) {
        let seconds = self.begun.elapsed().as_secs();
        let (sum, done, line) = self.with(|counts| (counts.sum(), counts.done, counts.line(self.batches)));
        match self.format {
            LogFormat::Text => message(&format!("after {seconds} s: {line}")),
            LogFormat::Json => tracing::info!(
                target: super::logs::PROGRESS,
                seconds,
                batches = self.batches,
                batches_done = done,
                bytes = sum.bytes,
                bytes_read = sum.read,
                records = sum.records,
                rows = sum.rows,
                "{line}"
            ),
        }
    }
}

impl Observer for Lines {
    fn started(&self, activity: Activity) {
        self.0.with(|counts| counts.running.push(activity));
    }

    fn finished(&self, outcome: &BatchOutcome) {
        self.0.with(|counts| counts.end(&outcome.batch));
        message(&summary_line(outcome));
    }

    fn key_made(&self, file: &str) {
        message(&key_made(file));
    }

    fn refreshing(&self) {
        self.0.with(|counts| counts.refreshing = true);
    }
}

/// Prints no progress.
pub(super) struct Quiet;

impl Observer for Quiet {
    fn started(&self, _activity: Activity) {}

    fn finished(&self, _outcome: &BatchOutcome) {}

    fn key_made(&self, file: &str) {
        message(&key_made(file));
    }

    fn refreshing(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::ReadStats;
    use crate::warehouse::StageCounter;

    fn activity(name: &str, bytes: u64, read: u64) -> Activity {
        let stats = ReadStats::default();
        stats.bytes.store(read, Ordering::Relaxed);
        stats.records.store(1_200, Ordering::Relaxed);
        let counter = StageCounter::default();
        counter.rows.store(1_700, Ordering::Relaxed);
        let counter = Arc::new(counter);
        let date = chrono::NaiveDate::from_ymd_opt(2023, 5, 1).unwrap();
        Activity {
            batch: Batch {
                source: name.to_owned(),
                date,
            },
            input_bytes: bytes,
            read: Arc::new(stats),
            entities: vec![
                ("visits".to_owned(), Arc::clone(&counter)),
                ("drugs".to_owned(), counter),
            ],
        }
    }

    #[test]
    fn a_line_adds_up_the_batches_that_run_and_those_that_ended() {
        let mut counts = Counts::default();
        assert_eq!(
            counts.line(3),
            "0 of 3 batches done; 0 B of 0 B read, 0 records, 0 rows"
        );
        counts.running.push(activity("north", 8 << 20, 2 << 20));
        let one = "0 of 3 batches done; 2.00 MiB of 8.00 MiB read, 1,200 records, 3,400 rows";
        assert_eq!(counts.line(3), one);
        counts.running.push(activity("south", 1 << 20, 2 << 20));
        let south = counts.running[1].batch.clone();
        let both = "0 of 3 batches done; 3.00 MiB of 9.00 MiB read, 2,400 records, 6,800 rows";
        assert_eq!(counts.line(3), both);
        counts.end(&south);
        assert_eq!(counts.line(3), both.replace("0 of 3", "1 of 3"));
        counts.refreshing = true;
        assert!(counts.line(3).ends_with("; refreshing materialized views"));
    }
}
