//! Newline-delimited JSON: each line that is not blank is a record, or with a record path a document of its own.
//! It never looks into a line unless there is a path.

use std::ops::Range;

use memchr::memchr_iter;

use super::super::failure::SplitFault;
use super::{Found, JsonScanner, Scanner};
use crate::model::RecordPath;

pub(crate) struct NdjsonScanner {
    path: RecordPath,
    /// Where the line starts that has not ended yet.
    line: usize,
    /// The line lacks bytes, and is one bad record.
    too_large: bool,
}

impl NdjsonScanner {
    pub fn new(path: &RecordPath) -> Self {
        Self {
            path: path.clone(),
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
        // A fresh scanner per line: damage in one can't reach into the next.
        let mut scanner = JsonScanner::new(&self.path);
        let mut found = Vec::new();
        let result = scanner
            .scan(trimmed, 0, &mut found)
            .and_then(|()| scanner.finish(trimmed, &mut found));
        if let Err(fault) = result {
            // What is left of the line is one bad record, and the next line a new beginning.
            let last = found.last().map_or(0, |found| found.range.end);
            let at = usize::try_from(fault.offset).map_or(trimmed.len(), |at| at.min(trimmed.len()));
            let from = scanner.keep_from(trimmed.len()).min(at).max(last);
            found.push(Found {
                range: from..trimmed.len(),
                fault: Some(fault.reason),
            });
        }
        records.extend(found.into_iter().map(|found| Found {
            range: start + found.range.start..start + found.range.end,
            ..found
        }));
    }
}

impl Scanner for NdjsonScanner {
    fn scan(&mut self, buffer: &[u8], from: usize, records: &mut Vec<Found>) -> Result<(), SplitFault> {
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
