//! Decides how many rows of a row group are decoded at a time, and joins the batches of small files and row groups.

use std::collections::BTreeMap;

use ::parquet::basic::Type;
use ::parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};

use super::super::decode::{Cuts, Decoded, Parts};
use super::super::unknown::Unknown;
use crate::error::{Error, Result};

/// The most rows in a batch.
pub(super) const ROWS: usize = if cfg!(test) { 64 } else { 8192 };

/// About the most decoded bytes in a batch.
const BYTES: u64 = if cfg!(test) { 16 << 10 } else { 8 << 20 };

/// Where a dictionary hides how large the values are, the worst case is assumed. It makes batches of no fewer rows than
/// this.
const GUESSED_ROWS: u64 = 128;

/// How many rows of a group take about [`BYTES`] when they are decoded. `wanted` says whether the column with this
/// index is read.
pub(super) fn rows_of(group: &RowGroupMetaData, wanted: impl Fn(usize) -> bool) -> usize {
    let columns = group.columns().iter().enumerate().filter(|(index, _)| wanted(*index));
    let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
    let (mut bytes, mut repeated) = (0_u64, 0_u64);
    for (_, column) in columns {
        let stored = u64::try_from(column.uncompressed_size()).unwrap_or(0);
        let unencoded = column.unencoded_byte_array_data_bytes();
        let unencoded = unencoded.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        bytes = bytes.saturating_add(stored.max(unencoded));
        if unencoded == 0 && hides_size(column) {
            // In the worst case, the dictionary is one value of this size, which each row repeats.
            repeated = repeated.saturating_add(stored);
        }
    }
    let at_once = |bytes_per_row: u64| BYTES / bytes_per_row.max(1);
    let known = at_once(bytes / rows);
    let guessed = at_once(repeated).max(GUESSED_ROWS);
    usize::try_from(known.min(guessed)).unwrap_or(ROWS).clamp(1, ROWS)
}

fn hides_size(column: &ColumnChunkMetaData) -> bool {
    let texts = matches!(column.column_type(), Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY);
    texts && column.dictionary_page_offset().is_some()
}

/// Joins batches as long as they have at most [`ROWS`] rows and [`BYTES`] together. Batches that were read before an
/// error are returned before it.
pub(super) fn filled(batches: impl Stream<Item = Result<Parts>> + Send + 'static) -> BoxStream<'static, Result<Parts>> {
    let state = (batches.boxed(), None, None);
    stream::unfold(state, |(mut batches, held, mut after)| async move {
        let mut gathered: Vec<Parts> = held.into_iter().collect();
        // Summed up once for each: small files give thousands of batches.
        let mut size = gathered.first().map_or_else(Size::default, Size::of);
        let mut held = None;
        while after.is_none() {
            match batches.next().await {
                Some(Ok(next)) => {
                    let with_next = size.with(&Size::of(&next));
                    if !gathered.is_empty() && !with_next.fits() {
                        held = Some(next);
                        break;
                    }
                    size = with_next;
                    gathered.push(next);
                }
                // An error or the end of the input.
                end => after = Some(end),
            }
        }
        if gathered.is_empty() {
            let end = after.take().flatten()?;
            return Some((end, (batches, None, Some(None))));
        }
        Some((together_by_kind(gathered), (batches, held, after)))
    })
    .boxed()
}

/// The size of decoded records in memory.
#[derive(Default)]
struct Size {
    rows: usize,
    bytes: u64,
}

impl Size {
    fn of(parts: &Parts) -> Self {
        let batches = || parts.decoded.iter().map(|decoded| &decoded.batch);
        Self {
            rows: batches().map(RecordBatch::num_rows).sum(),
            bytes: batches().map(|batch| batch.get_array_memory_size() as u64).sum(),
        }
    }

    fn with(&self, other: &Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
        }
    }

    fn fits(&self) -> bool {
        self.rows <= ROWS && self.bytes <= BYTES
    }
}

/// The batches as one; `None` where there is none.
pub(super) fn together(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Option<RecordBatch>> {
    match batches {
        [] => Ok(None),
        several => concat(schema, several.iter()).map(Some),
    }
}

fn concat<'a>(schema: &SchemaRef, batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<RecordBatch> {
    let made = concat_batches(schema, batches);
    made.map_err(|error| Error::batch("the decoded records do not make an Arrow batch").cause(error))
}

fn together_by_kind(gathered: Vec<Parts>) -> Result<Parts> {
    let mut of_kind: BTreeMap<usize, Vec<Decoded>> = BTreeMap::new();
    let (mut refused, mut strays, mut skipped) = (Vec::new(), Unknown::default(), 0);
    for parts in gathered {
        skipped += parts.skipped;
        refused.extend(parts.refused);
        strays.add(parts.strays);
        for decoded in parts.decoded {
            of_kind.entry(decoded.kind).or_default().push(decoded);
        }
    }
    Ok(Parts {
        decoded: of_kind.into_values().map(joined).collect::<Result<_>>()?,
        refused,
        strays,
        skipped,
    })
}

fn joined(mut parts: Vec<Decoded>) -> Result<Decoded> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let kind = parts[0].kind;
    let batch = concat(parts[0].batch.schema_ref(), parts.iter().map(|part| &part.batch))?;
    let mut unknown = vec![Unknown::default(); parts[0].unknown.len()];
    let (mut refused, mut salvaged, mut cuts) = (Vec::new(), Vec::new(), Cuts::default());
    for part in parts {
        cuts.add(part.cuts);
        for (sum, met) in unknown.iter_mut().zip(part.unknown) {
            sum.add(met);
        }
        refused.extend(part.refused);
        salvaged.extend(part.salvaged);
    }
    Ok(Decoded {
        kind,
        salvaged: together(&batch.schema(), &salvaged)?,
        batch,
        refused,
        unknown,
        cuts,
    })
}
