//! A batch's account while it runs, and whether it may be loaded by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::ingest::{Listing, ReadStats};
use crate::project::{Batch, Source};
use crate::quality::{Account, Quarantine, Records, Refusal, Rows};
use crate::warehouse::Staged;
use crate::warehouse::quarantine::Entry;

/// What a batch's stages count for its account.
pub(super) struct RowCounts {
    pub quarantine: Arc<Quarantine>,
    /// Rows that came out of each transform.
    produced: Vec<(String, AtomicU64)>,
}

impl RowCounts {
    pub fn new(source: &Source) -> Self {
        Self {
            quarantine: Arc::default(),
            produced: source
                .transforms
                .iter()
                .map(|t| (t.entity.clone(), AtomicU64::new(0)))
                .collect(),
        }
    }

    pub fn produced(&self, entity: &str, rows: usize) {
        if let Some((_, count)) = self.produced.iter().find(|(name, _)| name == entity) {
            count.fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    pub fn account(&self, stats: &ReadStats, staged: &[Staged]) -> Account {
        let refused = self.quarantine.counts();
        let rows = |(entity, produced): &(String, AtomicU64)| {
            let loaded = staged
                .iter()
                .find(|staged| staged.entity() == entity)
                .map_or(0, Staged::rows);
            let rows = Rows {
                produced: produced.load(Ordering::Relaxed),
                loaded,
                quarantined: refused.of(entity),
            };
            (entity.clone(), rows)
        };
        Account {
            records: Records {
                read: stats.read.load(Ordering::Relaxed),
                accepted: stats.records.load(Ordering::Relaxed),
                quarantined: refused.records,
            },
            entities: self.produced.iter().map(rows).collect(),
        }
    }
}

/// Whether the batch may be loaded: its account adds up, and no more was refused than its source allows.
pub(super) fn settle(account: &Account, source: &Source, batch: &Batch, entries: &[Entry]) -> Result<()> {
    account.balance()?;
    account.within(source.max_quarantined).map_err(|error| {
        let first = entries.first().map(|entry| {
            let mut first = entry.file.clone().unwrap_or_default();
            if let Some(record) = entry.record {
                first = format!("{first}, record {record}");
            }
            if let Some(offset) = entry.byte_offset {
                first = format!("{first} at byte {offset}");
            }
            let path = entry.path.as_deref().unwrap_or(&entry.check);
            format!("{first}: {path}: {}", entry.reason)
        });
        let error = match (first, entries.len()) {
            (Some(first), 1) => error.cause(first),
            (Some(first), n) => error.cause(format!("{first}; and {} more", n - 1)),
            (None, _) => error,
        };
        error.hint(format!(
            "`pipeline quarantine show --source {} --date {}` lists them; mend the file or the source, or raise \
             `max_quarantined`",
            batch.source, batch.date
        ))
    })
}

/// The refusals as they are kept: the file by its name, the record by its number in it.
pub(super) fn entries(listing: &Listing, refusals: Vec<Refusal>) -> Vec<Entry> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let entry = |refusal: Refusal| {
        let place = refusal.record.map(|record| listing.locate(record));
        Entry {
            entity: refusal.entity.map(|entity| entity.to_string()),
            check: refusal.check.into_owned(),
            file: place.and_then(|(file, _)| file.map(|file| file.path.clone())),
            record: place.map(|(_, record)| number(record)),
            byte_offset: refusal.byte_offset.map(number),
            path: refusal.path,
            reason: refusal.reason,
        }
    };
    refusals.into_iter().map(entry).collect()
}
