//! Puts chunks of several files together, so that small files fill a batch as a large file does. The order of records
//! stays, and each chunk still knows its file.

use super::split::{CHUNK, CHUNK_RECORDS, Chunk};

/// The chunks that are decoded together, of one file or of several: about [`CHUNK`] bytes for each kind of record, at most
/// [`MOST_CHUNKS`] times as many, or [`CHUNK_RECORDS`] records.
pub(super) type Load = Vec<Chunk>;

/// The records of a load become a batch for each kind. Each batch costs time for each of its columns, so that loads of
/// several kinds are larger.
const MOST_CHUNKS: usize = 4;

/// Chunks that wait until there are enough for a load.
pub(super) struct Gather {
    /// In bytes.
    enough: usize,
    waiting: Load,
    bytes: usize,
    records: usize,
}

impl Gather {
    /// For the records of a source with so many kinds.
    pub fn new(kinds: usize) -> Self {
        Self {
            enough: CHUNK * kinds.clamp(1, MOST_CHUNKS),
            waiting: Load::new(),
            bytes: 0,
            records: 0,
        }
    }

    /// Adds a chunk. Returns a load, once enough chunks wait for one.
    pub fn add(&mut self, chunk: Chunk) -> Option<Load> {
        let (bytes, records) = (chunk.bytes.len(), chunk.records.len());
        let fits = self.bytes + bytes <= self.enough && self.records + records <= CHUNK_RECORDS;
        let full = if fits { None } else { self.take() };
        self.waiting.push(chunk);
        self.bytes += bytes;
        self.records += records;
        match full {
            None if self.bytes >= self.enough || self.records >= CHUNK_RECORDS => self.take(),
            full => full,
        }
    }

    /// Takes out the chunks that still wait. `None`: there are none.
    pub fn take(&mut self) -> Option<Load> {
        (self.bytes, self.records) = (0, 0);
        let waiting = std::mem::take(&mut self.waiting);
        (!waiting.is_empty()).then_some(waiting)
    }
}
