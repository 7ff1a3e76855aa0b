//! Puts chunks of several files together, so that small files fill a batch as a large file does. The order of records
//! stays, and each chunk still knows its file.

use super::split::{CHUNK, CHUNK_RECORDS, Chunk};

/// The chunks that are decoded into one batch: about [`CHUNK`] bytes or [`CHUNK_RECORDS`] records, of one file or of
/// several.
pub(super) type Load = Vec<Chunk>;

/// Chunks that wait until there are enough for a batch.
#[derive(Default)]
pub(super) struct Gather {
    waiting: Load,
    bytes: usize,
    records: usize,
}

impl Gather {
    /// Adds a chunk. Returns a load, once enough chunks wait for one.
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

    /// Takes out the chunks that still wait. `None`: there are none.
    pub fn take(&mut self) -> Option<Load> {
        let Self { waiting, .. } = std::mem::take(self);
        (!waiting.is_empty()).then_some(waiting)
    }
}
