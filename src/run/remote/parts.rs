//! The parts of a batch's input: what the run divides, and what the loading executor puts together again.

use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, BoxStream};
use futures::{StreamExt, future};

use super::frames::{Arrived, End, Pieces, records};
use crate::error::{Error, Result};
use crate::ingest::{InputFile, Merge, Part, ReadStats};
use crate::mask::{Masked, Masks};
use crate::model::Source;
use crate::run::input::{BatchInput, InParts, Salvaged};

/// The most parts that all batches of a run have together. Each is a stage of Ballista's.
const MOST_PARTS: usize = 256;

/// The most batches of a run of which any is divided. More of them keep the executors busy as they are.
const MOST_BATCHES: usize = 16;

/// The most bytes of recipes in one job: each part has one. A message between the machines may be about four times as large.
const MOST_RECIPES: usize = 64 << 20;

/// How many times the size of a part one of them may have. Who fills the tables holds the rows of one part in memory.
const MOST_SIZES: u64 = 4;

/// About the most bytes of salvaged records that are kept to be counted, as of one read.
const MOST_SALVAGED: usize = 32 << 20;

/// Reads the rows of a part: the pieces that its reader made. Each call reads them again.
pub type PartRows = Arc<dyn Fn() -> BoxStream<'static, Result<Vec<u8>>> + Send + Sync>;

/// Divides the input of a batch, where that is worth it. Empty: it is read as a whole. `batches` are those of the run, and
/// `recipe` the bytes that each part costs.
pub(super) fn divided(
    files: &[InputFile],
    source: &Source,
    masks: &Masks,
    size: Option<u64>,
    batches: usize,
    recipe: usize,
) -> Vec<Part> {
    let Some(size) = size else { return Vec::new() };
    if masks.make_surrogates() || batches > MOST_BATCHES {
        return Vec::new();
    }
    let most = (MOST_PARTS / batches.max(1)).min(MOST_RECIPES / recipe.max(1));
    let parts = Part::divide(files, &source.input, size, most);
    let largest = parts.iter().map(|part| part.text_bytes(files, &source.input)).max();
    if largest > Some(size.saturating_mul(MOST_SIZES)) {
        tracing::info!(
            source = source.name,
            largest,
            "the batch is not divided, since a part of it would be too large"
        );
        return Vec::new();
    }
    parts
}

/// The parts of a batch, which others have read.
pub(super) struct Parts {
    parts: Vec<(Part, PartRows)>,
    salvaged: Mutex<Vec<Salvaged>>,
}

impl Parts {
    pub fn new(parts: Vec<(Part, PartRows)>) -> Self {
        Self {
            parts,
            salvaged: Mutex::default(),
        }
    }

    fn keep(&self, salvaged: Salvaged) {
        let mut kept = self.salvaged.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = kept.iter().map(|one| one.records.batch().get_array_memory_size());
        if bytes.sum::<usize>() < MOST_SALVAGED {
            kept.push(salvaged);
        }
    }
}

/// The parts, as they are read.
struct Reading {
    parts: Arc<Parts>,
    masks: Arc<Masks>,
    merge: Merge,
    /// The only kind to read. Such a read is not the first of its batch. `None`: all of them.
    only: Option<usize>,
    /// The index of the part that is read.
    at: usize,
    rows: Option<BoxStream<'static, Result<Vec<u8>>>>,
    pieces: Pieces,
}

impl InParts for Parts {
    fn read(self: Arc<Self>, input: &BatchInput, stats: Arc<ReadStats>) -> BoxStream<'static, Result<Masked>> {
        let merge = match Merge::new(&input.listing, &input.source, stats) {
            Ok(merge) => merge,
            Err(error) => return stream::once(future::ready(Err(error))).boxed(),
        };
        let reading = Reading {
            parts: self,
            masks: Arc::clone(&input.masks),
            merge,
            only: input.listing.only(),
            at: 0,
            rows: None,
            pieces: Pieces::default(),
        };
        stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|records| (records, reading)))
        })
        .boxed()
    }

    fn take_salvaged(&self) -> Vec<Salvaged> {
        std::mem::take(&mut *self.salvaged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reading {
    /// The next records, or the end of all parts.
    async fn next(&mut self) -> Result<Option<Masked>> {
        loop {
            let Some((part, rows)) = self.parts.parts.get(self.at) else {
                self.merge.finish()?;
                return Ok(None);
            };
            let part = *part;
            let rows = self.rows.get_or_insert_with(|| rows());
            let Some(piece) = rows.next().await else {
                // A part says when it ends.
                return Err(Error::internal());
            };
            match self.pieces.add(&piece?)? {
                Some(Arrived::Records { kind, bytes }) if self.only.is_none_or(|only| only == kind) => {
                    return Ok(Some(self.numbered(records(kind, &bytes, &self.masks)?)));
                }
                Some(Arrived::Salvaged {
                    kind,
                    suppressed,
                    bytes,
                }) if self.only.is_none() => {
                    let records = self.numbered(records(kind, &bytes, &self.masks)?);
                    let suppressed = suppressed.into_iter().map(|id| self.merge.id(id)).collect();
                    self.parts.keep(Salvaged { records, suppressed });
                }
                Some(Arrived::End(end)) => {
                    let End { error, report } = *end;
                    // A bad record that fails the batch is named by its number in the file.
                    self.merge.add(part, report)?;
                    if let Some(error) = error {
                        return Err(error);
                    }
                    self.at += 1;
                    self.rows = None;
                }
                // A read of one kind passes over records of others.
                None | Some(Arrived::Records { .. } | Arrived::Salvaged { .. }) => {}
            }
        }
    }

    fn numbered(&self, records: Masked) -> Masked {
        if self.merge.numbers_stay() {
            return records;
        }
        records.renumbered(|id| self.merge.id(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::MaskKey;
    use crate::model::testing::{field, source};
    use crate::model::{FieldType, Format, MaskKind, Privacy};

    /// How many parts a file of 1000 bytes gets.
    fn count(mask: Option<MaskKind>, size: Option<u64>, batches: usize, recipe: usize) -> usize {
        divide(mask, &[("in.ndjson", 1000)], size, batches, recipe)
    }

    fn divide(
        mask: Option<MaskKind>,
        files: &[(&str, u64)],
        size: Option<u64>,
        batches: usize,
        recipe: usize,
    ) -> usize {
        let privacy = Privacy {
            mask,
            ..Privacy::default()
        };
        let mut source = source("test", vec![field("id", FieldType::String, privacy)]);
        source.input.format = Format::Ndjson;
        let masks = Masks::plan(&source, &MaskKey::for_tests()).unwrap();
        let file = |(path, size): &(&str, u64)| InputFile {
            path: (*path).into(),
            size: *size,
            etag: None,
            changed: None,
        };
        let files: Vec<InputFile> = files.iter().map(file).collect();
        divided(&files, &source, &masks, size, batches, recipe).len()
    }

    #[test]
    fn a_batch_is_not_divided_where_the_rows_of_a_part_would_not_fit_into_memory() {
        let of = |files: &[(&str, u64)], size: u64| divide(None, files, Some(size), 1, 1);
        // What can be cut anywhere has parts of the size, unless there would be too many.
        assert_eq!(of(&[("a.ndjson", 100 << 20)], 1 << 20), 100);
        assert_eq!(of(&[("a.ndjson", 4 * MOST_PARTS as u64)], 1), MOST_PARTS);
        assert_eq!(of(&[("a.ndjson", 5 * MOST_PARTS as u64)], 1), 0);
        // A compressed file is read as a whole, and holds more than its size says.
        assert_eq!(of(&[("a.ndjson.gz", 40), ("b.ndjson.gz", 40)], 80), 2);
        assert_eq!(of(&[("a.ndjson.gz", 40), ("b.ndjson.gz", 41)], 80), 0);
        assert_eq!(of(&[("a.ndjson.gz", 15), ("b.ndjson.gz", 15)], 120), 2);
    }

    #[test]
    fn a_batch_is_divided_where_that_is_worth_it() {
        assert_eq!(count(Some(MaskKind::Hash), Some(100), 1, 1), 10);
        assert_eq!(count(None, Some(500), 1, 1), 2);
        assert_eq!(count(None, Some(501), 1, 1), 0);
        assert_eq!(count(None, None, 1, 1), 0);
        assert_eq!(count(None, Some(1), 1, 1), MOST_PARTS);
        assert_eq!(count(None, Some(10), 8, 1), MOST_PARTS / 8);
        assert_eq!(count(None, Some(1), MOST_BATCHES + 1, 1), 0);
        assert_eq!(count(None, Some(100), 1, MOST_RECIPES / 3), 3);
        assert_eq!(count(None, Some(1), 1, MOST_RECIPES), 0);
        assert_eq!(count(Some(MaskKind::Surrogate), Some(100), 1, 1), 0);
    }
}
