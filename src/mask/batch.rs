//! Batches before and after their masks. The types make sure that SQL sees a decoded batch only after it was masked.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::UInt64Type;

use super::plan::Masks;

/// A batch as it was decoded. Only [`Masks::apply`] may read it.
pub struct Unmasked {
    pub(super) batch: RecordBatch,
    pub(super) kind: usize,
}

impl Unmasked {
    /// A batch of records that are all of one kind, by the kind's index in its source.
    pub fn new(batch: RecordBatch, kind: usize) -> Self {
        Self { batch, kind }
    }

    #[cfg(test)]
    pub fn into_inner(self) -> RecordBatch {
        self.batch
    }

    pub fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The index of the records' kind in their source.
    pub fn kind(&self) -> usize {
        self.kind
    }
}

impl fmt::Debug for Unmasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unmasked({} rows)", self.num_rows())
    }
}

/// A batch in which every mask was applied. Only [`Masks::apply`] makes one.
#[derive(Clone)]
pub struct Masked {
    pub(super) batch: RecordBatch,
    pub(super) kind: usize,
}

impl Masked {
    /// Marks a batch of the first kind as masked, for tests of later stages.
    #[cfg(test)]
    pub fn assumed(batch: RecordBatch) -> Self {
        Self { batch, kind: 0 }
    }

    pub fn into_inner(self) -> RecordBatch {
        self.batch
    }

    /// A batch that another process of this program has masked, by the same masks and key. `None`: it is none of these
    /// masks.
    pub fn arrived(batch: RecordBatch, kind: usize, masks: &Masks) -> Option<Self> {
        let planned = masks.kinds.get(kind)?;
        (batch.schema() == planned.output).then_some(Self { batch, kind })
    }

    /// The same records, with other numbers ([`crate::model::RECORD_COLUMN`]).
    #[must_use]
    pub fn renumbered(self, number: impl Fn(u64) -> u64) -> Self {
        let Self { batch, kind } = self;
        let mut columns = batch.columns().to_vec();
        let ids = columns
            .last_mut()
            .and_then(|ids| Some((ids.as_primitive_opt::<UInt64Type>()?.unary(number), ids)));
        if let Some((numbers, ids)) = ids {
            let numbers: UInt64Array = numbers;
            *ids = Arc::new(numbers);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        // The columns are as long and of the types as before.
        let batch = RecordBatch::try_new_with_options(batch.schema(), columns, &options).unwrap_or(batch);
        Self { batch, kind }
    }

    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The index of the records' kind in their source.
    pub fn kind(&self) -> usize {
        self.kind
    }

    pub fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The first rows, at most so many.
    #[must_use]
    pub fn first(&self, rows: usize) -> Self {
        Self {
            batch: self.batch.slice(0, rows.min(self.batch.num_rows())),
            kind: self.kind,
        }
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masked({} rows)", self.num_rows())
    }
}
