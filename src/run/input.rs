//! Reads, decodes and masks a batch's input for the transforms, once or as often as they need it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;

use super::masking::masked;
use crate::error::Result;
use crate::ingest::{Listing, ReadStats};
use crate::mask::{Masked, Masks};
use crate::model::{RecordRef, Source};
use crate::transform::{ScanInput, Tally};

/// The input of one batch.
#[derive(Clone)]
pub(super) struct BatchInput {
    pub listing: Listing,
    pub source: Arc<Source>,
    pub masks: Arc<Masks>,
    /// The counters of the first read. The account of the batch is made from them.
    pub stats: Arc<ReadStats>,
    /// Chunks of input that are decoded or masked at once.
    pub parallelism: usize,
}

impl BatchInput {
    /// The schema that the transforms see.
    pub fn schema(&self) -> SchemaRef {
        self.masks.output_schema()
    }

    pub fn locate(&self, record: u64) -> RecordRef {
        self.listing.locate(record)
    }

    /// The read that counts for the account. `tally` counts elements in this read only.
    pub fn read(&self, tally: &Arc<Tally>) -> BoxStream<'static, Result<Masked>> {
        tally.watch(self.records(Arc::clone(&self.stats)))
    }

    /// Reads the same input again. It does not count for the account.
    pub fn read_again(&self) -> BoxStream<'static, Result<Masked>> {
        self.records(Arc::new(self.stats.again()))
    }

    /// An input for a transform that reads `source` more than once: each scan reads the files again.
    pub fn scan(&self) -> Arc<ScanInput> {
        let input = self.clone();
        ScanInput::own(self.schema(), move || input.read_again())
    }

    fn records(&self, stats: Arc<ReadStats>) -> BoxStream<'static, Result<Masked>> {
        let times = Arc::clone(&stats.times);
        let records = self.listing.read(&self.source, self.parallelism, stats);
        masked(records, Arc::clone(&self.masks), self.parallelism, times)
    }
}
