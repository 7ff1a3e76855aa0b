//! Brings the counts of an executor to the process that began the run, over the database that both have. They are for
//! people only: where they can't be brought, the batch goes on.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::recipe::Work;
use crate::run::fill::{Filled, FilledEntity};
use crate::run::observer::{Activity, Observer};
use crate::run::outcome::BatchOutcome;
use crate::warehouse::{BatchLocks, EntityProgress, Phase, Progress, StageCounter, Staged};

/// How often an executor notes how far it is.
const NOTE: Duration = Duration::from_secs(2);
/// How often the process that began the run looks how far the executors are.
const LOOK: Duration = Duration::from_secs(1);

/// The counters of what an executor does of a batch.
pub(super) struct Counts {
    /// The number of the part that it reads, from 1. 0: it fills the tables.
    part: i32,
    /// The most bytes that it reads of the input for the batch; a reader goes on beyond the end of its part. 0: it reads
    /// nothing, and those who do tell how far that is.
    most: u64,
    activity: OnceLock<Activity>,
}

impl Counts {
    pub fn of(work: &Work) -> Self {
        let (part, most) = match work {
            Work::Read { number, bytes, .. } => (*number, *bytes),
            Work::Fill => (0, u64::MAX),
            Work::FillFrom(_) => (0, 0),
        };
        Self {
            part,
            most,
            activity: OnceLock::new(),
        }
    }

    /// Notes what is counted so far, again and again.
    pub async fn tell(&self, locks: &BatchLocks, run_id: i64) -> Infallible {
        loop {
            tokio::time::sleep(NOTE).await;
            self.note(locks, run_id).await;
        }
    }

    /// Notes what is counted so far.
    pub async fn note(&self, locks: &BatchLocks, run_id: i64) {
        let Some(activity) = self.activity.get() else { return };
        let mut counted = counted(activity);
        counted.bytes = counted.bytes.min(self.most);
        if self.most == 0 {
            counted.records = 0;
        }
        if let Err(error) = locks.note_progress(run_id, self.part, &counted).await {
            tracing::debug!(%error, run_id, "progress is not shown");
        }
    }
}

impl Observer for Counts {
    fn started(&self, activity: Activity) {
        let _ = self.activity.set(activity);
    }

    fn finished(&self, _: &BatchOutcome) {}

    fn key_made(&self, _: &str) {}

    fn refreshing(&self) {}
}

fn counted(activity: &Activity) -> Progress {
    let entity = |(name, counter): &(String, Arc<StageCounter>)| {
        let progress = EntityProgress {
            rows: counter.rows.load(Ordering::Relaxed),
            bytes: counter.bytes.load(Ordering::Relaxed),
            phase: counter.phase(),
        };
        (name.clone(), progress)
    };
    Progress {
        bytes: activity.read.bytes.load(Ordering::Relaxed),
        records: activity.read.records.load(Ordering::Relaxed),
        entities: activity.entities.iter().map(entity).collect(),
    }
}

/// Shows in the counters of this process what executors note of a run, again and again.
pub(super) async fn follow(locks: &BatchLocks, run_id: i64, shown: &Activity) -> Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
        match locks.progress(run_id).await {
            Ok(progress) => show(&progress, shown),
            Err(error) => tracing::debug!(%error, run_id, "progress is not shown"),
        }
    }
}

/// Shows all that came of a batch.
pub(super) fn end(filled: &Filled<Staged>, shown: &Activity) {
    let entity = |one: &FilledEntity<Staged>| {
        let progress = EntityProgress {
            rows: one.table.rows(),
            bytes: one.table.bytes(),
            phase: Phase::Staged,
        };
        (one.table.entity().to_owned(), progress)
    };
    let progress = Progress {
        bytes: shown.input_bytes,
        records: filled.read.records.accepted,
        entities: filled.entities.iter().map(entity).collect(),
    };
    show(&progress, shown);
}

fn show(progress: &Progress, shown: &Activity) {
    shown.read.bytes.store(progress.bytes, Ordering::Relaxed);
    shown.read.records.store(progress.records, Ordering::Relaxed);
    for (name, counter) in &shown.entities {
        let of = progress.entities.get(name).copied().unwrap_or_default();
        counter.show(of.rows, of.bytes, of.phase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::ReadStats;
    use crate::model::Batch;

    fn activity() -> Activity {
        let entity = |name: &str| (name.to_owned(), Arc::new(StageCounter::default()));
        Activity {
            batch: Batch {
                source: "clinic".to_owned(),
                date: chrono::NaiveDate::default(),
            },
            input_bytes: 100,
            read: Arc::new(ReadStats::default()),
            entities: vec![entity("visits"), entity("drugs")],
        }
    }

    #[test]
    fn what_an_executor_counts_is_shown_elsewhere() {
        let (there, here) = (activity(), activity());
        there.read.bytes.store(40, Ordering::Relaxed);
        there.read.records.store(7, Ordering::Relaxed);
        there.entities[1].1.show(5, 60, Phase::Indexing);
        show(&counted(&there), &here);
        assert_eq!(counted(&here), counted(&there));
        assert_eq!(here.entities[1].1.phase(), Phase::Indexing);
        assert_eq!(here.entities[0].1.rows.load(Ordering::Relaxed), 0);
    }
}
