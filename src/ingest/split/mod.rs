//! Splits the decompressed bytes of a file into records, without decoding them. Records can then be decoded on all
//! cores, and each knows its number and byte offset. Where the next record can be found after damage, the damage is one
//! bad record. Where it can't, the rest of the file is an error with its byte offset and length.

mod csv;
mod json;
mod ndjson;
mod pieces;
mod record_end;
mod skipped;
mod token;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

pub(super) use csv::{Cells, CsvHeader, CsvScanner};
pub(super) use json::JsonScanner;
pub(super) use ndjson::NdjsonScanner;
pub(super) use pieces::{PIECE, Pieces};

use super::failure::{Flaw, SplitFault};
use crate::error::Result;
use crate::model::refusal::Reason;

/// A chunk is handed on when it holds about this many bytes. In tests the number is small, so that records cross the
/// borders of chunks.
pub(super) const CHUNK: usize = if cfg!(test) { 64 } else { 1 << 20 };

/// ... or this many records.
pub(super) const CHUNK_RECORDS: usize = if cfg!(test) { 3 } else { 8192 };

/// The largest record, in bytes. A larger one is refused, since a record has to fit into memory as a whole, in several
/// forms at once.
pub(super) const MAX_RECORD: usize = if cfg!(test) { 1 << 20 } else { 32 << 20 };

/// How deep objects and arrays may nest, in records and in values that are skipped.
pub(super) const MAX_DEPTH: usize = 128;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Whole records of one file, with their bytes.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// The index of the file in the listing.
    pub file: usize,
    pub bytes: Bytes,
    /// The number of the first record in its file. The first record of a file has number 1.
    pub first: u64,
    pub records: Vec<Span>,
    /// The columns of the file. Only csv has them.
    pub header: Option<Arc<CsvHeader>>,
}

/// Where a record lies in its chunk and in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// The record's bytes in the chunk.
    pub range: Range<usize>,
    /// The byte offset of the record in the decompressed file.
    pub offset: u64,
    /// Why the record is bad although its own text may be valid. Example: a comma is missing before it.
    pub fault: Option<Flaw>,
}

/// A record that a scanner has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The record's bytes in the buffer.
    pub range: Range<usize>,
    /// Where an object starts that should hold records and does not, in bytes since the start of the scan. `range` is
    /// then empty, and lies where the object ends. `None`: the record is all of `range`.
    pub from: Option<u64>,
    /// As in [`Span::fault`].
    pub fault: Option<Flaw>,
}

impl From<Range<usize>> for Found {
    fn from(range: Range<usize>) -> Self {
        Self {
            range,
            from: None,
            fault: None,
        }
    }
}

/// Finds the records of one format in a buffer that grows. All positions are in the buffer. Between calls, the buffer
/// keeps its bytes from [`Scanner::keep_from`] on.
pub(super) trait Scanner: Send {
    /// Scans `buffer[from..]`, which is new, and adds the records that end there.
    fn scan(&mut self, buffer: &[u8], from: usize, records: &mut Vec<Found>) -> Result<(), SplitFault>;

    /// Ends the scan: the input ends with `buffer`, which has been scanned. Adds the record that ends with the input.
    fn finish(&mut self, buffer: &[u8], records: &mut Vec<Found>) -> Result<(), SplitFault>;

    /// The start of the record that has not ended yet. `end`, the length of the buffer, if there is none.
    fn keep_from(&self, end: usize) -> usize;

    /// Corrects positions after the first `count` bytes were removed from the buffer.
    fn shift(&mut self, count: usize);

    /// Asks whether the end of the open record, which is too large, can still be found. If so, the caller removes all
    /// its bytes but the first from the buffer, and the scanner adds the record like any other.
    fn skip_open(&mut self) -> bool;

    fn header(&self) -> Option<Arc<CsvHeader>> {
        None
    }
}

/// Why splitting stopped.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The receiver of the chunks wants no more.
    Unwanted,
    /// The file can't be read, for a reason other than its content.
    Source(crate::error::Error),
    /// The file is of a kind that can't be read, and the reason for its refusal says which.
    Foreign(crate::error::Error, Box<Reason>),
    /// The compressed data is truncated or damaged. The rest reaches as far as bytes could be decompressed.
    Damaged(crate::error::Error, Box<Unreadable>),
    /// The next record can't be found.
    Split(Unreadable),
}

/// The rest of a file, in which no record can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub fault: SplitFault,
    /// The number that its first record would have.
    pub record: u64,
    /// The byte offset of its start in the decompressed file.
    pub from: u64,
    /// Its length in decompressed bytes: to the end of the file, or to where reading failed.
    pub bytes: u64,
}

/// Splits the bytes of a file and hands their records to `emit`. Returns their number.
pub(super) fn split(
    file: usize,
    source: &mut dyn Pieces,
    scanner: &mut dyn Scanner,
    emit: &mut dyn FnMut(Chunk) -> ControlFlow<()>,
) -> Result<u64, Stopped> {
    let mut window = Window {
        file,
        buffer: Vec::new(),
        base: source.start(),
        begin: source.start(),
        found: Vec::new(),
        next: 1,
        dropped: 0,
    };
    let mut seen = 0;
    let mut ended = match window.skip_bom(source) {
        Ok(ended) => ended,
        Err(error) => return Err(window.broken(error, seen, scanner, source, emit)),
    };
    loop {
        if let Err(fault) = scanner.scan(&window.buffer, seen, &mut window.found) {
            return Err(window.give_up(fault, scanner, source, emit));
        }
        let end = window.buffer.len();
        if ended {
            if let Err(fault) = scanner.finish(&window.buffer, &mut window.found) {
                return Err(window.give_up(fault, scanner, source, emit));
            }
            window.cut(end, scanner.header().as_ref(), emit)?;
            return Ok(window.next - 1);
        }
        let open = scanner.keep_from(end);
        // The dropped bytes are part of the open record, unless what they belong to has ended since.
        let dropped = if open == 0 { window.dropped } else { 0 };
        let too_large = open < end && end - open + dropped > MAX_RECORD;
        if too_large && !scanner.skip_open() {
            let reason = format!("a record of more than {} MiB starts here", MAX_RECORD >> 20);
            return Err(window.give_up(SplitFault::new(open, reason), scanner, source, emit));
        }
        if end >= CHUNK && (open > 0 || !window.found.is_empty()) {
            window.cut(open, scanner.header().as_ref(), emit)?;
            scanner.shift(open);
        }
        if too_large {
            window.drop_open();
        }
        seen = window.buffer.len();
        ended = match source.append(&mut window.buffer) {
            Ok(count) => count == 0,
            Err(error) => return Err(window.broken(error, seen, scanner, source, emit)),
        };
    }
}

/// The part of a file that is in memory.
struct Window {
    file: usize,
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte in the file.
    base: u64,
    /// The offset of the first byte that the scanner gets: 3 after a byte order mark, otherwise that of the source.
    begin: u64,
    found: Vec<Found>,
    /// The number of the next record to hand on.
    next: u64,
    /// How many bytes are missing after the buffer's first byte. They belonged to a record that is too large.
    dropped: usize,
}

impl Window {
    /// The offset in the file of a byte of the buffer.
    fn offset(&self, at: usize) -> u64 {
        let dropped = if at == 0 { 0 } else { self.dropped };
        self.base.wrapping_add(at as u64).wrapping_add(dropped as u64)
    }

    /// Drops all bytes of the buffer but the first. The buffer holds nothing but a record that is too large.
    fn drop_open(&mut self) {
        self.dropped += self.buffer.len() - 1;
        self.buffer = vec![self.buffer[0]];
    }

    /// What is wrong with a record: that it is too large, or what the scanner says. The bytes count that were dropped
    /// behind the buffer's first one.
    fn fault(&self, found: &Found) -> Option<Flaw> {
        let dropped = if found.range.start == 0 { self.dropped } else { 0 };
        let bytes = found.range.len() + dropped;
        if bytes <= MAX_RECORD {
            return found.fault.clone();
        }
        let limit = MAX_RECORD >> 20;
        let reason = format!("a record of {bytes} bytes, and at most {limit} MiB can be read");
        Some(Flaw::malformed(reason))
    }

    /// Removes a byte order mark, which only a file's beginning has. Returns whether the input has ended.
    fn skip_bom(&mut self, source: &mut dyn Pieces) -> Result<bool> {
        if self.base > 0 {
            return Ok(false);
        }
        let mut read = Ok(1);
        while self.buffer.len() < BOM.len() && matches!(read, Ok(1..)) {
            read = source.append(&mut self.buffer);
        }
        if self.buffer.starts_with(BOM) {
            self.buffer.drain(..BOM.len());
            self.base = BOM.len() as u64;
            self.begin = self.base;
        }
        read.map(|count| count == 0)
    }

    /// Handles an error of reading. Where damage of the file is the cause, hands on the records that are complete.
    fn broken(
        mut self,
        error: crate::error::Error,
        seen: usize,
        scanner: &mut dyn Scanner,
        source: &mut dyn Pieces,
        emit: &mut dyn FnMut(Chunk) -> ControlFlow<()>,
    ) -> Stopped {
        let Some(reason) = source.damage() else {
            return Stopped::Source(error);
        };
        if let Err(fault) = scanner.scan(&self.buffer, seen, &mut self.found) {
            return self.give_up(fault, scanner, source, emit);
        }
        let end = self.buffer.len();
        let last = self.found.last().map_or(0, |found| found.range.end);
        let offset = self.offset(end);
        if let Err(stopped) = self.cut(scanner.keep_from(end).clamp(last, end), scanner.header().as_ref(), emit) {
            return stopped;
        }
        let rest = Unreadable {
            fault: SplitFault { offset, reason },
            record: self.next,
            from: self.base,
            bytes: (self.buffer.len() + self.dropped) as u64,
        };
        Stopped::Damaged(error, Box::new(rest))
    }

    /// Handles a fault after which no record can be found. Hands on the records before it, and measures the rest of the
    /// file.
    fn give_up(
        mut self,
        fault: SplitFault,
        scanner: &dyn Scanner,
        source: &mut dyn Pieces,
        emit: &mut dyn FnMut(Chunk) -> ControlFlow<()>,
    ) -> Stopped {
        let end = self.buffer.len();
        let last = self.found.last().map_or(0, |found| found.range.end);
        let at = usize::try_from(fault.offset).map_or(end, |offset| offset.min(end));
        let from = scanner.keep_from(end).min(at).max(last);
        let fault = SplitFault {
            offset: usize::try_from(fault.offset).map_or(fault.offset, |at| self.offset(at)),
            ..fault
        };
        if let Err(stopped) = self.cut(from, scanner.header().as_ref(), emit) {
            return stopped;
        }
        let from = self.base;
        let mut bytes = (self.buffer.len() + self.dropped) as u64;
        loop {
            self.buffer.clear();
            match source.append(&mut self.buffer) {
                Ok(0) => break,
                Ok(more) => bytes += more as u64,
                Err(_) => {
                    // The fault that was found first is the one to report.
                    bytes += self.buffer.len() as u64;
                    break;
                }
            }
        }
        Stopped::Split(Unreadable {
            fault,
            record: self.next,
            from,
            bytes,
        })
    }

    /// Hands on the records found so far and removes the bytes before `keep` from the buffer.
    fn cut(
        &mut self,
        keep: usize,
        header: Option<&Arc<CsvHeader>>,
        emit: &mut dyn FnMut(Chunk) -> ControlFlow<()>,
    ) -> Result<(), Stopped> {
        let spans = self.spans();
        let mut rest = Vec::new();
        if keep < self.buffer.len() {
            rest.reserve_exact(self.buffer.len() - keep + PIECE);
            rest.extend_from_slice(&self.buffer[keep..]);
        }
        let bytes = Bytes::from(std::mem::replace(&mut self.buffer, rest));
        for spans in spans.chunks(CHUNK_RECORDS) {
            let start = spans[0].range.start;
            let end = spans[spans.len() - 1].range.end;
            let within = |span: &Span| Span {
                range: span.range.start - start..span.range.end - start,
                ..span.clone()
            };
            let chunk = Chunk {
                file: self.file,
                // A small part of the buffer is copied. Otherwise a chunk that waits for others would keep the whole
                // buffer in memory.
                bytes: if end - start < bytes.len() / 2 {
                    Bytes::copy_from_slice(&bytes[start..end])
                } else {
                    bytes.slice(start..end)
                },
                first: self.next,
                records: spans.iter().map(within).collect(),
                header: header.cloned(),
            };
            self.next += spans.len() as u64;
            if emit(chunk).is_break() {
                return Err(Stopped::Unwanted);
            }
        }
        if keep > 0 {
            self.base = self.offset(keep);
            self.dropped = 0;
        }
        Ok(())
    }

    /// Takes out the records found so far. Their ranges are still in the buffer.
    fn spans(&mut self) -> Vec<Span> {
        let found = std::mem::take(&mut self.found);
        let span = |found: &Found| Span {
            range: found.range.clone(),
            offset: found
                .from
                .map_or_else(|| self.offset(found.range.start), |from| self.begin + from),
            fault: self.fault(found),
        };
        found.iter().map(span).collect()
    }
}

#[cfg(test)]
mod tests;
