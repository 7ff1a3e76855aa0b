//! A batch's input on its way to the transforms: read, decoded and masked, once or as often as the transforms need it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

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
    /// Of the first read, which counts for the account of the batch.
    pub stats: Arc<ReadStats>,
    /// Chunks of input that are decoded or masked at once.
    pub parallelism: usize,
}

impl BatchInput {
    /// As the transforms see it.
    pub fn schema(&self) -> SchemaRef {
        self.masks.output_schema()
    }

    pub fn locate(&self, record: u64) -> RecordRef {
        self.listing.locate(record)
    }

    /// The read that counts. `tally` sees each record once, however often the input is read.
    pub fn read(&self, tally: &Arc<Tally>) -> BoxStream<'static, Result<Masked>> {
        tally.watch(self.records(Arc::clone(&self.stats)))
    }

    /// Another read of the same input, for a transform of its own.
    pub fn read_again(&self) -> BoxStream<'static, Result<Masked>> {
        self.records(Arc::new(self.stats.again()))
    }

    /// For a transform whose every scan reads the input anew.
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

/// Bytes of columns that are held of a small input. Of such files, compressed ones alone can come to more.
const HELD: usize = 8 << 20;

impl BatchInput {
    /// Bytes of input files up to which [`BatchInput::hold`] is worth it.
    pub const SMALL: u64 = 64 << 10;

    /// Reads a small input once and keeps its columns, so that one transform after the other can use them over one
    /// session: opening another session costs as much as staging so few rows. Where the columns come to more than the
    /// files let expect, each transform reads by itself.
    pub async fn hold(&self, tally: &Arc<Tally>) -> Result<Arc<ScanInput>> {
        let mut records = self.read(tally);
        let (mut held, mut bytes) = (Some(Vec::new()), 0);
        while let Some(batch) = records.next().await {
            let batch = batch?;
            bytes += batch.batch().get_array_memory_size();
            if bytes > HELD {
                held = None;
            }
            if let Some(held) = &mut held {
                held.push(batch);
            }
        }
        Ok(match held {
            Some(held) => ScanInput::own(self.schema(), move || {
                stream::iter(held.clone().into_iter().map(Ok)).boxed()
            }),
            None => self.scan(),
        })
    }
}
