//! The files of a batch: as others may know them, and as its input.

use std::sync::Arc;

use chrono::NaiveDate;

use super::context::Context;
use super::input::BatchInput;
use crate::cores::cores;
use crate::error::Result;
use crate::ingest::{InputFile, Listing, ReadStats};
use crate::model::{Batch, Source};

/// The files as the history and other processes may know them.
pub(super) fn noted(context: &Context, files: &[InputFile]) -> Vec<InputFile> {
    let etags = context.masks.etags();
    let noted = files.iter().map(|file| InputFile {
        etag: file.noted_etag(etags),
        ..file.clone()
    });
    noted.collect()
}

/// The input of a batch that is loaded on the day `today`.
pub(super) fn input(
    context: &Context,
    source: &Source,
    batch: &Batch,
    listing: Listing,
    today: NaiveDate,
) -> Result<BatchInput> {
    let masks = context.masks.of(source, batch, today)?;
    Ok(BatchInput {
        listing: listing.hashing_names(masks.names().cloned()),
        source: Arc::new(source.clone()),
        masks,
        stats: Arc::new(ReadStats::default()),
        // Chunks are handed on in order. With more of them under way than there are cores, no core waits for the
        // oldest.
        parallelism: 2 * cores(),
        most: None,
        parts: None,
    })
}
