//! Newline-delimited JSON: each line that is not blank is a record, or with a record path a document of its own.
//! It never looks into a line unless there is a path.

use std::ops::Range;

use memchr::memchr_iter;

use super::super::failure::SplitFault;
use super::{JsonScanner, Scanner};
use crate::project::RecordPath;

pub(crate) struct NdjsonScanner {
    path: RecordPath,
    /// Where the line starts that has not ended yet.
    line: usize,
}

impl NdjsonScanner {
    pub fn new(path: &RecordPath) -> Self {
        Self {
            path: path.clone(),
            line: 0,
        }
    }

    fn line(&self, buffer: &[u8], line: Range<usize>, records: &mut Vec<Range<usize>>) -> Result<(), SplitFault> {
        let text = &buffer[line.clone()];
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() {
            return Ok(());
        }
        let start = line.start + (text.len() - text.trim_ascii_start().len());
        if self.path.0.is_empty() {
            records.push(start..start + trimmed.len());
            return Ok(());
        }
        // A fresh scanner per line: damage in one can't reach into the next.
        let mut scanner = JsonScanner::new(&self.path);
        let mut found = Vec::new();
        scanner
            .scan(trimmed, 0, &mut found)
            .and_then(|()| scanner.finish(trimmed, &mut found))
            .map_err(|fault| SplitFault {
                offset: start as u64 + fault.offset,
                ..fault
            })?;
        records.extend(found.into_iter().map(|range| start + range.start..start + range.end));
        Ok(())
    }
}

impl Scanner for NdjsonScanner {
    fn scan(&mut self, buffer: &[u8], from: usize, records: &mut Vec<Range<usize>>) -> Result<(), SplitFault> {
        for at in memchr_iter(b'\n', &buffer[from..]) {
            let end = from + at;
            self.line(buffer, self.line..end, records)?;
            self.line = end + 1;
        }
        Ok(())
    }

    fn finish(&mut self, buffer: &[u8], records: &mut Vec<Range<usize>>) -> Result<(), SplitFault> {
        self.line(buffer, self.line..buffer.len(), records)
    }

    fn keep_from(&self, _end: usize) -> usize {
        self.line
    }

    fn shift(&mut self, count: usize) {
        self.line -= count.min(self.line);
    }
}
