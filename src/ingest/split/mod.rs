//! Splits a file's decompressed bytes into records without decoding them, so that they can be decoded on all cores and
//! each knows its place. Damage after which the next record can be found is one bad record; what can't be split any
//! further is an error with its place and length, never a shorter read.

mod csv;
mod json;
mod ndjson;
mod record_end;
mod skipped;
mod token;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

pub(super) use csv::{Cells, CsvHeader, CsvScanner};
pub(super) use json::JsonScanner;
pub(super) use ndjson::NdjsonScanner;

use super::failure::{Flaw, SplitFault};
use crate::error::Result;
use crate::model::refusal::Reason;

/// A chunk is handed on when it holds about this many bytes. Tests use few, so that records cross the borders.
pub(super) const CHUNK: usize = if cfg!(test) { 64 } else { 1 << 20 };

/// ... or this many records.
pub(super) const CHUNK_RECORDS: usize = if cfg!(test) { 3 } else { 8192 };

/// A larger record is refused, since a record has to fit into memory as a whole, in several forms at once.
pub(super) const MAX_RECORD: usize = if cfg!(test) { 1 << 20 } else { 32 << 20 };

/// How deep objects and arrays may nest, in records and in values that are skipped.
pub(super) const MAX_DEPTH: usize = 128;

/// Bytes that a file hands over at a time.
pub(super) const PIECE: usize = 1 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Bytes that hold whole records of one file.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// Index in the listing.
    pub file: usize,
    pub bytes: Bytes,
    /// The number of the first record within its file, from 1.
    pub first: u64,
    pub records: Vec<Span>,
    /// csv only.
    pub header: Option<Arc<CsvHeader>>,
}

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// In the chunk's bytes.
    pub range: Range<usize>,
    /// Of the record's first byte, in the decompressed file.
    pub offset: u64,
    /// Why it is no record, where that lies around it and not in it.
    pub fault: Option<Flaw>,
}

/// A record that a scanner has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// In the buffer.
    pub range: Range<usize>,
    /// Where it starts, in bytes that the scanner has seen: of what is larger than its range, which then only says where
    /// it ends.
    pub from: Option<u64>,
    /// As in [`Span::fault`]
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

/// Where bytes come from.
pub(super) trait Pieces {
    /// Appends the next bytes; 0 is the end. What could be read before an error is appended, too.
    fn append(&mut self, buffer: &mut Vec<u8>) -> Result<usize>;

    /// After an error: what is wrong with the file's bytes, where they are the cause.
    fn damage(&self) -> Option<Reason> {
        None
    }
}

/// Finds the records of one format. Positions are in the buffer, which keeps its bytes from
/// [`Scanner::keep_from`] on between calls.
pub(super) trait Scanner: Send {
    /// Looks at all of `buffer[from..]`, seen for the first time, and adds the records that end there.
    fn scan(&mut self, buffer: &[u8], from: usize, records: &mut Vec<Found>) -> Result<(), SplitFault>;

    /// The input ends with `buffer`, which has been scanned: adds the record that the end completes.
    fn finish(&mut self, buffer: &[u8], records: &mut Vec<Found>) -> Result<(), SplitFault>;

    /// Where the record starts that has not ended yet; `end` (the buffer's) if there is none.
    fn keep_from(&self, end: usize) -> usize;

    /// The first `count` bytes of the buffer are gone.
    fn shift(&mut self, count: usize);

    /// The open record is too large: its bytes but the first are gone from the buffer. Whether its end can be found all
    /// the same; then it is added to the records like any other.
    fn skip_open(&mut self) -> bool;

    fn header(&self) -> Option<Arc<CsvHeader>> {
        None
    }
}

/// Why splitting stopped.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Whoever took the chunks wants no more.
    Unwanted,
    Source(crate::error::Error),
    /// The file's bytes end early; `bytes` counts those that could be read.
    Damaged(crate::error::Error, Box<Unreadable>),
    Split(Unreadable),
}

/// The rest of a file in which no next record can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub fault: SplitFault,
    /// The number that its first record would have.
    pub record: u64,
    /// Where it starts, in the decompressed file.
    pub from: u64,
    /// How long it is: to the file's end, or to where reading on failed.
    pub bytes: u64,
}

/// Splits a whole file; gives the number of its records.
pub(super) fn split(
    file: usize,
    source: &mut dyn Pieces,
    scanner: &mut dyn Scanner,
    emit: &mut dyn FnMut(Chunk) -> ControlFlow<()>,
) -> Result<u64, Stopped> {
    let mut window = Window {
        file,
        buffer: Vec::new(),
        base: 0,
        begin: 0,
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
        // What was dropped is the open record's, unless that has been found since.
        let dropped = if window.found.is_empty() { window.dropped } else { 0 };
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

/// The part of the file that is in memory.
struct Window {
    file: usize,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte in the file.
    base: u64,
    /// Offset of the first byte that the scanner sees.
    begin: u64,
    found: Vec<Found>,
    /// Number of the next record to hand on.
    next: u64,
    /// Bytes that are missing after the buffer's first: of a record that is too large.
    dropped: usize,
}

impl Window {
    /// Where a byte of the buffer lies in the file.
    fn offset(&self, at: usize) -> u64 {
        let dropped = if at == 0 { 0 } else { self.dropped };
        self.base.wrapping_add(at as u64).wrapping_add(dropped as u64)
    }

    /// The buffer holds nothing but a record that is too large, and forgets it but for its first byte.
    fn drop_open(&mut self) {
        self.dropped += self.buffer.len() - 1;
        self.buffer = vec![self.buffer[0]];
    }

    /// Why a record that was found is none; the first one of the buffer may lack bytes.
    fn fault(&self, found: &Found, is_first: bool) -> Option<Flaw> {
        let dropped = if is_first { self.dropped } else { 0 };
        let bytes = found.range.len() + dropped;
        if bytes <= MAX_RECORD {
            return found.fault.clone();
        }
        let limit = MAX_RECORD >> 20;
        let reason = format!("a record of {bytes} bytes, and at most {limit} MiB can be read");
        Some(Flaw::malformed(reason))
    }

    /// Gives whether the input ended.
    fn skip_bom(&mut self, source: &mut dyn Pieces) -> Result<bool> {
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

    /// No further byte can be read: hands on the records that are whole, where the file is to blame.
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

    /// No next record can be found: hands on those found before, and measures what is left.
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
                    // The damage that was found first is the one to tell of.
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

    /// Hands on the records found and forgets the bytes before `keep`.
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
                // Few bytes of many are copied, or a chunk that waits for others would hold all of them.
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

    /// The records found, taken out; their ranges are in the buffer.
    fn spans(&mut self) -> Vec<Span> {
        let found = std::mem::take(&mut self.found);
        let span = |(index, found): (usize, &Found)| Span {
            range: found.range.clone(),
            offset: found
                .from
                .map_or_else(|| self.offset(found.range.start), |from| self.begin + from),
            fault: self.fault(found, index == 0),
        };
        found.iter().enumerate().map(span).collect()
    }
}

#[cfg(test)]
mod tests;
