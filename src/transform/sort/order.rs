//! Holds rows in memory and orders them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::interleave;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::row::Rows;
use datafusion::error::{DataFusionError, Result};

/// Memory in bytes that ordering takes per row, beside its key.
pub(super) const PER_ROW: usize = size_of::<RowRef>();

/// The batches in the order of their arrival, each with the keys of its rows.
#[derive(Default)]
pub(super) struct Run {
    batches: Vec<RecordBatch>,
    keys: Vec<Rows>,
    rows: usize,
    bytes: usize,
}

impl Run {
    /// Adds a batch, its size in memory, and its keys. All keys must come from the same converter.
    pub(super) fn push(&mut self, batch: RecordBatch, bytes: usize, keys: Rows) {
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.batches.push(batch);
        self.keys.push(keys);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The memory of all rows and their keys, in bytes.
    pub(super) fn size(&self) -> usize {
        let keys = self.keys.iter().map(Rows::size);
        self.bytes + self.rows * PER_ROW + keys.sum::<usize>()
    }

    /// The approximate number of rows that take this many bytes; at least one.
    pub(super) fn rows_of(&self, bytes: usize) -> usize {
        (bytes / (self.bytes / self.rows.max(1)).max(1)).max(1)
    }

    /// The rows in the order of their keys, in batches of at most `rows`. Rows with the same key come in any order.
    /// `schema` is that of all batches together: batches may differ in which columns can be null.
    pub(super) fn sorted(self, schema: SchemaRef, rows: usize) -> Sorted {
        let mut order = Vec::with_capacity(self.rows);
        for (batch, keys) in (0..).zip(&self.keys) {
            order.extend((0..).zip(keys).map(|(row, key)| RowRef {
                word: word(key.data(), 0),
                batch,
                row,
            }));
        }
        sort(&self.keys, &mut order, 0);
        Sorted {
            schema,
            batches: self.batches,
            order: order.into_iter(),
            rows,
        }
    }
}

/// A sorted run.
pub(super) struct Sorted {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    order: std::vec::IntoIter<RowRef>,
    rows: usize,
}

impl Iterator for Sorted {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next: Vec<(usize, usize)> = (&mut self.order)
            .take(self.rows)
            .map(|place| (place.batch as usize, place.row as usize))
            .collect();
        if next.is_empty() {
            return None;
        }
        Some(self.gather(&next).map_err(DataFusionError::from))
    }
}

impl Sorted {
    fn gather(&self, places: &[(usize, usize)]) -> Result<RecordBatch, ArrowError> {
        let column = |at: usize| -> Result<ArrayRef, ArrowError> {
            let parts: Vec<&dyn Array> = self.batches.iter().map(|batch| batch.column(at).as_ref()).collect();
            interleave(&parts, places)
        };
        let columns = (0..self.schema.fields().len()).map(column).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

/// The place of a row, and the word of its key that is being compared.
#[derive(Clone, Copy)]
struct RowRef {
    word: u64,
    batch: u32,
    row: u32,
}

impl RowRef {
    fn key<'a>(&self, keys: &'a [Rows]) -> &'a [u8] {
        keys[self.batch as usize].row(self.row as usize).data()
    }
}

/// Groups of at most this many rows are compared by whole keys.
const FEW: usize = 32;
/// This many words of a key are compared one by one. Each word is one level of recursion.
const WORDS: usize = 64;

/// Sorts rows whose keys are equal up to this word: first by this word, then rows with the same word by the next one.
/// A word is read once per row and stored beside its place, so few comparisons have to load the key from memory.
fn sort(keys: &[Rows], places: &mut [RowRef], at: usize) {
    places.sort_unstable_by_key(|place| place.word);
    for same in places.chunk_by_mut(|one, other| one.word == other.word) {
        // No key is a prefix of another, so where one ends, all of them end.
        let ended = same[0].key(keys).len() <= (at + 1) * 8;
        if same.len() == 1 || ended {
            continue;
        }
        if same.len() <= FEW || at == WORDS {
            same.sort_unstable_by(|one, other| one.key(keys).cmp(other.key(keys)));
            continue;
        }
        for place in same.iter_mut() {
            place.word = word(place.key(keys), at + 1);
        }
        sort(keys, same, at + 1);
    }
}

/// Eight bytes of a key as a number that compares as the bytes do. It is padded with zeros after the key's end.
fn word(key: &[u8], at: usize) -> u64 {
    let rest = key.get(at * 8..).unwrap_or_default();
    if let Some(word) = rest.first_chunk() {
        return u64::from_be_bytes(*word);
    }
    rest.iter()
        .rev()
        .fold(0, |word, byte| word >> 8 | u64::from(*byte) << 56)
}
