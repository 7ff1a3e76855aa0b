//! Puts chunks of many files together, so that small files are decoded into batches as full as those of a large one. It
//! changes neither the order of records nor what a chunk knows of its file.

use super::split::{CHUNK, CHUNK_RECORDS, Chunk};

/// What is decoded into one batch: about [`CHUNK`] bytes or [`CHUNK_RECORDS`] records, of one file or of many.
pub(super) type Load = Vec<Chunk>;

/// Chunks that wait until they are worth a batch.
#[derive(Default)]
pub(super) struct Gather {
    waiting: Load,
    bytes: usize,
    records: usize,
}

impl Gather {
    /// Adds a chunk, and gives the load that is full by now, if one is.
    pub fn add(&mut self, chunk: Chunk) -> Option<Load> {
        let (bytes, records) = (chunk.bytes.len(), chunk.records.len());
        let fits = self.bytes + bytes <= CHUNK && self.records + records <= CHUNK_RECORDS;
        let full = if fits { None } else { self.take() };
        self.waiting.push(chunk);
        self.bytes += bytes;
        self.records += records;
        match full {
            None if self.bytes >= CHUNK || self.records >= CHUNK_RECORDS => self.take(),
            full => full,
        }
    }

    /// What still waits.
    pub fn take(&mut self) -> Option<Load> {
        let Self { waiting, .. } = std::mem::take(self);
        (!waiting.is_empty()).then_some(waiting)
    }
}
