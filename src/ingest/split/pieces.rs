//! Where the bytes to split come from.

use crate::error::Result;
use crate::model::refusal::Reason;

/// The most bytes to read from a file at a time.
pub(crate) const PIECE: usize = 1 << 20;

/// A source of bytes.
pub(crate) trait Pieces {
    /// Appends the next bytes and returns how many. 0 is the end. Bytes that could be read before an error are appended
    /// as well.
    fn append(&mut self, buffer: &mut Vec<u8>) -> Result<usize>;

    /// The offset of the first byte in its file. More than 0 where they begin within it.
    fn start(&self) -> u64 {
        0
    }

    /// What is wrong with the file, after an error that the file's own bytes caused. `None`: the cause lies elsewhere.
    fn damage(&self) -> Option<Reason> {
        None
    }
}
