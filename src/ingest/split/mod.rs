//! Splits a file's decompressed bytes into records without decoding them, so that they can be decoded on all cores and
//! each knows its place. Damage after which the next record can be found is one bad record; what can't be split any
//! further is an error with its place and length, never a shorter read.

mod csv;
mod json;
mod ndjson;
mod token;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

pub(super) use csv::{Cells, CsvHeader, CsvScanner};
pub(super) use json::JsonScanner;
pub(super) use ndjson::NdjsonScanner;

use super::failure::SplitFault;
use crate::error::Result;
use crate::model::refusal::Reason;

/// A chunk is handed on when it holds about this many bytes. Tests use few, so that records cross the borders.
const CHUNK: usize = if cfg!(test) { 64 } else { 1 << 20 };

/// ... or this many records.
const CHUNK_RECORDS: usize = if cfg!(test) { 3 } else { 8192 };

/// No record may be larger, since it has to fit into memory as a whole.
const MAX_RECORD: usize = 256 << 20;

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
    pub fault: Option<Reason>,
}

/// A record that a scanner has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// In the buffer.
    pub range: Range<usize>,
    /// As in [`Span::fault`]
    pub fault: Option<Reason>,
}

impl From<Range<usize>> for Found {
    fn from(range: Range<usize>) -> Self {
        Self { range, fault: None }
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
        found: Vec::new(),
        next: 1,
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
        if end - open > MAX_RECORD {
            let reason = format!("a record of more than {} MiB starts here", MAX_RECORD >> 20);
            return Err(window.give_up(SplitFault::new(open, reason), scanner, source, emit));
        }
        if end >= CHUNK && (open > 0 || !window.found.is_empty()) {
            window.cut(open, scanner.header().as_ref(), emit)?;
            scanner.shift(open);
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
    found: Vec<Found>,
    /// Number of the next record to hand on.
    next: u64,
}

impl Window {
    /// Gives whether the input ended.
    fn skip_bom(&mut self, source: &mut dyn Pieces) -> Result<bool> {
        let mut read = Ok(1);
        while self.buffer.len() < BOM.len() && matches!(read, Ok(1..)) {
            read = source.append(&mut self.buffer);
        }
        if self.buffer.starts_with(BOM) {
            self.buffer.drain(..BOM.len());
            self.base = BOM.len() as u64;
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
        let offset = self.base + end as u64;
        if let Err(stopped) = self.cut(scanner.keep_from(end).clamp(last, end), scanner.header().as_ref(), emit) {
            return stopped;
        }
        let rest = Unreadable {
            fault: SplitFault { offset, reason },
            record: self.next,
            from: self.base,
            bytes: self.buffer.len() as u64,
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
            offset: self.base.wrapping_add(fault.offset),
            ..fault
        };
        if let Err(stopped) = self.cut(from, scanner.header().as_ref(), emit) {
            return stopped;
        }
        let from = self.base;
        let mut bytes = self.buffer.len() as u64;
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
        let mut rest = Vec::with_capacity(self.buffer.len() - keep + PIECE);
        rest.extend_from_slice(&self.buffer[keep..]);
        let bytes = Bytes::from(std::mem::replace(&mut self.buffer, rest));
        for ranges in self.found.chunks(CHUNK_RECORDS) {
            let start = ranges[0].range.start;
            let end = ranges[ranges.len() - 1].range.end;
            let span = |Found { range, fault }: &Found| Span {
                range: range.start - start..range.end - start,
                offset: self.base + range.start as u64,
                fault: fault.clone(),
            };
            let chunk = Chunk {
                file: self.file,
                bytes: bytes.slice(start..end),
                first: self.next,
                records: ranges.iter().map(span).collect(),
                header: header.cloned(),
            };
            self.next += ranges.len() as u64;
            if emit(chunk).is_break() {
                return Err(Stopped::Unwanted);
            }
        }
        self.found.clear();
        self.base += keep as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
