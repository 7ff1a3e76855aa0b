//! Shows the progress of a run: bars on a terminal, lines elsewhere.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use super::logs::LogFormat;
use super::outcome::summary_line;
use super::progress_lines::{Lines, Quiet, key_made};
use super::{message, thousands};
use crate::model::Batch;
use crate::run::{Activity, BatchOutcome, Observer};
use crate::warehouse::Phase;

/// How often the bars are redrawn.
const TICK: Duration = Duration::from_millis(120);

/// Bars if stderr is a terminal, otherwise lines, in the format of the log. Nothing, if it is to be `quiet`.
pub fn progress(batches: usize, quiet: bool, format: LogFormat) -> Arc<dyn Observer> {
    if quiet {
        Arc::new(Quiet)
    } else if io::stderr().is_terminal() {
        Arc::new(Bars::new())
    } else {
        Arc::new(Lines::start(batches, format))
    }
}

/// Shows a bar per batch, and below it a bar per entity.
struct Bars {
    all: MultiProgress,
    running: Mutex<HashMap<Batch, Arc<BatchBars>>>,
}

struct BatchBars {
    activity: Activity,
    begun: Instant,
    batch: ProgressBar,
    entities: Vec<ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        Self {
            all: MultiProgress::new(),
            running: Mutex::default(),
        }
    }

    fn add(&self, activity: Activity) -> Arc<BatchBars> {
        let style =
            |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let batch = self.all.add(ProgressBar::new(activity.input_bytes));
        batch.set_style(style("{prefix:.bold} [{bar:24}] {bytes}/{total_bytes} {msg}"));
        batch.set_prefix(activity.batch.to_string());
        let entities = activity.entities.iter().map(|(name, _)| {
            let bar = self.all.add(ProgressBar::new_spinner());
            bar.set_style(style("  {spinner} {prefix:14} {msg}"));
            bar.set_prefix(name.clone());
            bar
        });
        let entities = entities.collect();
        Arc::new(BatchBars {
            activity,
            begun: Instant::now(),
            batch,
            entities,
        })
    }
}

impl BatchBars {
    fn update(&self) {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        self.batch
            .set_position(self.activity.read.bytes.load(Ordering::Relaxed));
        let records = self.activity.read.records.load(Ordering::Relaxed);
        self.batch.set_message(format!("{} records", thousands(records)));
        for ((_, counter), bar) in self.activity.entities.iter().zip(&self.entities) {
            let rows = counter.rows.load(Ordering::Relaxed);
            let bytes = counter.bytes.load(Ordering::Relaxed);
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            let rate = (rows as f64 / seconds) as u64;
            bar.set_message(format!(
                "{:>12} rows {:>10} {:>12} rows/s {}",
                thousands(rows),
                HumanBytes(bytes).to_string(),
                thousands(rate),
                phase(counter.phase())
            ));
            bar.tick();
        }
    }

    fn clear(&self) {
        self.entities.iter().for_each(ProgressBar::finish_and_clear);
        self.batch.finish_and_clear();
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "",
        Phase::Copying => "copying",
        Phase::Indexing => "indexing",
        Phase::Staged => "ready",
    }
}

impl Observer for Bars {
    fn started(&self, activity: Activity) {
        let batch = activity.batch.clone();
        let bars = self.add(activity);
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(batch, Arc::clone(&bars));
        tokio::spawn(async move {
            while !bars.batch.is_finished() {
                bars.update();
                tokio::time::sleep(TICK).await;
            }
        });
    }

    fn finished(&self, outcome: &BatchOutcome) {
        let bars = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&outcome.batch);
        if let Some(bars) = bars {
            bars.clear();
        }
        self.all.suspend(|| message(&summary_line(outcome)));
    }

    fn key_made(&self, file: &str) {
        message(&key_made(file));
    }

    fn refreshing(&self) {
        self.all.suspend(|| message("refreshing materialized views"));
    }
}
