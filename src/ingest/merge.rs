//! Puts the parts of a batch's input together, so that their records and findings are those of one read of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::listing::Listing;
use super::part::Part;
use super::reading::Reading;
use super::stats::{PartReport, ReadStats};
use crate::error::Result;
use crate::model::{RECORD_BITS, Refusal, Source};

/// The parts of an input so far. They are added in their order.
pub struct Merge {
    /// Stands for the one read.
    reading: Reading,
    /// The records that the parts so far hold of the files that are cut, by the index of the file.
    before: BTreeMap<usize, u64>,
}

impl Merge {
    /// Begins with no part. `stats` count as those of one read do.
    ///
    /// # Errors
    /// A source that can't be read.
    pub fn new(listing: &Listing, source: &Source, stats: Arc<ReadStats>) -> Result<Self> {
        Ok(Self {
            reading: Reading::new(listing, source, stats)?,
            before: BTreeMap::new(),
        })
    }

    /// The number that a record of the next part has in the whole input, by [`crate::model::RECORD_COLUMN`]. `id` is its
    /// number in the part.
    pub fn id(&self, id: u64) -> u64 {
        let file = usize::try_from(id >> RECORD_BITS).ok();
        id + file.and_then(|file| self.before.get(&file)).copied().unwrap_or(0)
    }

    /// Whether the numbers of the next part are those of the whole input.
    pub fn numbers_stay(&self) -> bool {
        self.before.values().all(|records| *records == 0)
    }

    /// Adds what the next part has found.
    ///
    /// # Errors
    /// A bad record that fails the batch; all parts together have too many refusals.
    pub fn add(&mut self, part: Part, mut report: PartReport) -> Result<()> {
        let files = self.reading.listing.files();
        let fatal = report.findings.fatal.iter_mut().map(|(refusal, _)| refusal);
        for refusal in report.refused.iter_mut().chain(fatal) {
            let of_file = |index: &&usize| refusal.file.as_ref() == files.get(**index).map(|file| &file.path);
            if let Some(record) = &mut refusal.record
                && let Some(index) = self.before.keys().find(of_file)
            {
                *record += self.before[index];
            }
        }
        for (file, records) in std::mem::take(&mut report.cut) {
            let found = self.before.entry(file).or_default();
            *found += records;
            if *found == 0 && part.ends(file, files[file].size) {
                self.reading.stats.add_empty(&files[file].path);
            }
        }
        for file in std::mem::take(&mut report.empty) {
            self.reading.stats.add_empty(&file);
        }
        let fatal = report.findings.fatal.take();
        self.reading.add_part(report)?;
        match fatal {
            Some((refusal, fault_offset)) => Err(Refusal {
                fault_offset,
                ..refusal
            }
            .into()),
            None => Ok(()),
        }
    }

    /// Ends the read, after all parts: warns, and judges as one read does.
    ///
    /// # Errors
    /// An input without records, or a file without records, where the source does not allow them.
    pub fn finish(&self) -> Result<()> {
        self.reading.finish()
    }
}
