//! Splits newline-delimited JSON. Each line that is not blank is a record. With a record path, each line is a JSON
//! document with records in it. Without a path, the content of a line is not looked at.

use std::ops::Range;

use memchr::memchr_iter;

use super::super::failure::{Flaw, SplitFault};
use super::{Found, JsonScanner, Scanner};
use crate::model::{Encoding, OnNoRecords, RecordPath};

pub(crate) struct NdjsonScanner {
    path: RecordPath,
    on_no_records: OnNoRecords,
    encoding: Encoding,
    /// How many bytes of the input come before the buffer. While the buffer lacks bytes of a line that is too large,
    /// this holds only for the lines after it.
    before: u64,
    /// How many bytes of the input were scanned.
    seen: u64,
    /// The start of the line that has not ended yet.
    line: usize,
    /// The line is too large. The buffer lacks bytes of it, and it is one bad record.
    too_large: bool,
}

impl NdjsonScanner {
    pub fn new(path: &RecordPath, on_no_records: OnNoRecords, encoding: Encoding) -> Self {
        Self {
            path: path.clone(),
            on_no_records,
            encoding,
            before: 0,
            seen: 0,
            line: 0,
            too_large: false,
        }
    }

    fn line(&mut self, buffer: &[u8], line: Range<usize>, records: &mut Vec<Found>) {
        if std::mem::take(&mut self.too_large) {
            records.push(line.into());
            return;
        }
        let text = &buffer[line.clone()];
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() {
            return;
        }
        let start = line.start + (text.len() - text.trim_ascii_start().len());
        if self.path.0.is_empty() {
            records.push((start..start + trimmed.len()).into());
            return;
        }
        // Each line has a scanner of its own, so damage in one line can't affect the next.
        let mut scanner = JsonScanner::new(&self.path, self.on_no_records, self.encoding);
        let mut found = Vec::new();
        let result = scanner
            .scan(trimmed, 0, &mut found)
            .and_then(|()| scanner.finish(trimmed, &mut found));
        if let Err(fault) = result {
            // The rest of the line is one bad record.
            let last = found.last().map_or(0, |found| found.range.end);
            let at = usize::try_from(fault.offset).map_or(trimmed.len(), |at| at.min(trimmed.len()));
            let from = scanner.keep_from(trimmed.len()).min(at).max(last);
            found.push(Found {
                fault: Some(Flaw::malformed(fault.reason)),
                ..Found::from(from..trimmed.len())
            });
        }
        records.extend(found.into_iter().map(|found| Found {
            range: start + found.range.start..start + found.range.end,
            from: found.from.map(|from| self.before + start as u64 + from),
            ..found
        }));
    }
}

impl Scanner for NdjsonScanner {
    fn scan(&mut self, buffer: &[u8], from: usize, records: &mut Vec<Found>) -> Result<(), SplitFault> {
        // While bytes of a line are missing, `before` is wrong for that line. No offset in it is computed.
        let seen = self.seen + (buffer.len() - from) as u64;
        self.before = seen.saturating_sub(buffer.len() as u64);
        self.seen = seen;
        for at in memchr_iter(b'\n', &buffer[from..]) {
            let end = from + at;
            self.line(buffer, self.line..end, records);
            self.line = end + 1;
        }
        Ok(())
    }

    fn finish(&mut self, buffer: &[u8], records: &mut Vec<Found>) -> Result<(), SplitFault> {
        self.line(buffer, self.line..buffer.len(), records);
        Ok(())
    }

    fn keep_from(&self, _end: usize) -> usize {
        self.line
    }

    fn skip_open(&mut self) -> bool {
        self.too_large = true;
        true
    }

    fn shift(&mut self, count: usize) {
        self.line -= count.min(self.line);
    }
}
