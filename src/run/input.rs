//! Reads, decodes and masks a batch's input for the transforms, once or as often as they need it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::{SchemaRef, UInt64Type};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::masking::masked;
use crate::error::Result;
use crate::ingest::{Listing, Part, ReadStats};
use crate::mask::{Masked, Masks, Unmasked};
use crate::model::{RecordRef, Source};
use crate::transform::{ScanInput, Tally};

/// The input of one batch.
#[derive(Clone)]
pub(crate) struct BatchInput {
    pub listing: Listing,
    pub source: Arc<Source>,
    pub masks: Arc<Masks>,
    /// The counters of the first read. The account of the batch is made from them.
    pub stats: Arc<ReadStats>,
    /// Chunks of input that are decoded or masked at once.
    pub parallelism: usize,
    /// Where to stop reading. `None`: at the end of the input.
    pub most: Option<Most>,
    /// Where the records come from if others have read them, in parts. `None`: from the files.
    pub parts: Option<Arc<dyn InParts>>,
}

/// The records of a batch that others have read and masked, in parts.
pub(crate) trait InParts: Send + Sync {
    /// The records of all parts, in order, and their counts in `stats`, as one read of the files gives them.
    fn read(self: Arc<Self>, input: &BatchInput, stats: Arc<ReadStats>) -> BoxStream<'static, Result<Masked>>;

    /// Takes out what could be read of the refused records of the parts that were read.
    fn take_salvaged(&self) -> Vec<Salvaged>;
}

/// What could be read of refused records of one kind.
pub(crate) struct Salvaged {
    pub records: Masked,
    /// The records of persons on the suppression list, by their numbers. They are not among `records`.
    pub suppressed: Vec<u64>,
}

/// A limit of a read. The records after it are not read, apart from what was read ahead.
#[derive(Clone)]
pub(crate) struct Most {
    pub records: usize,
    /// The last record that a read handed on, by [`crate::model::RECORD_COLUMN`].
    pub last: Arc<AtomicU64>,
}

impl Most {
    pub fn new(records: usize) -> Self {
        Self {
            records,
            last: Arc::default(),
        }
    }

    /// Ends a stream after its first records. It asks for no batch after the one with the last of them.
    fn end(self, records: BoxStream<'static, Result<Masked>>) -> BoxStream<'static, Result<Masked>> {
        let Self { records: most, last } = self;
        stream::try_unfold((records, most), move |(mut records, left)| {
            let last = Arc::clone(&last);
            async move {
                if left == 0 {
                    return Ok(None);
                }
                let Some(batch) = records.next().await else {
                    return Ok(None);
                };
                let batch = batch?.first(left);
                let ids = batch.batch().columns().last();
                let ids = ids.and_then(|ids| ids.as_primitive_opt::<UInt64Type>());
                if let Some(id) = ids.and_then(|ids| ids.values().last()) {
                    // Batches of several kinds do not come in the order of their records.
                    last.fetch_max(*id, Ordering::Relaxed);
                }
                let left = left - batch.num_rows();
                Ok(Some((batch, (records, left))))
            }
        })
        .boxed()
    }
}

impl BatchInput {
    /// The schemas of the kinds, as the transforms see them.
    pub fn schemas(&self) -> Arc<[SchemaRef]> {
        self.masks.output_schemas()
    }

    pub fn locate(&self, record: u64) -> RecordRef {
        self.listing.locate(record)
    }

    /// The read that counts for the account. `tally` counts elements in this read only.
    pub fn read(&self, tally: &Arc<Tally>) -> BoxStream<'static, Result<Masked>> {
        tally.watch(self.records(Arc::clone(&self.stats)))
    }

    /// Reads the records of a kind again. Those of other kinds are found and not decoded, where the format allows that. It
    /// does not count for the account.
    pub fn read_again(&self, kind: usize) -> BoxStream<'static, Result<Masked>> {
        let mut again = self.clone();
        // A limit counts the records of all kinds, so that each read ends where the first one did.
        if self.most.is_none() {
            again.listing = again.listing.of_kind(kind);
        }
        again.records(Arc::new(self.stats.again()))
    }

    /// An input for a transform that reads the records more than once: each scan reads the files again.
    pub fn scan(&self) -> Arc<ScanInput> {
        let input = self.clone();
        ScanInput::own_of_kind(self.schemas(), move |kind| input.read_again(kind))
    }

    /// The read of a part, for who puts the parts together. The counters of this input are those of the part.
    pub fn read_part(&self, part: Part) -> BoxStream<'static, Result<Masked>> {
        let mut of_part = self.clone();
        of_part.listing = of_part.listing.of_part(part);
        of_part.records(Arc::clone(&self.stats))
    }

    /// Takes out what could be read of the records that the first read has refused. It is there to be counted.
    ///
    /// # Errors
    /// The subject has a type that can't name a person.
    pub fn take_salvaged(&self) -> Result<Vec<Salvaged>> {
        if let Some(parts) = &self.parts {
            return Ok(parts.take_salvaged());
        }
        let salvaged = |records: Unmasked| {
            Ok(Salvaged {
                suppressed: self.masks.suppressed_among(&records)?,
                records: self.masks.apply(records)?,
            })
        };
        self.stats.take_salvaged().into_iter().map(salvaged).collect()
    }

    fn records(&self, stats: Arc<ReadStats>) -> BoxStream<'static, Result<Masked>> {
        if let Some(parts) = &self.parts {
            return Arc::clone(parts).read(self, stats);
        }
        let records = self.listing.read(&self.source, self.parallelism, Arc::clone(&stats));
        let records = masked(records, Arc::clone(&self.masks), self.parallelism, stats);
        match &self.most {
            None => records,
            Some(most) => most.clone().end(records),
        }
    }
}
