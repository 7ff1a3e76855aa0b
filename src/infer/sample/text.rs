//! Reads the texts of a sample: JSON, NDJSON and CSV.

use std::io::{BufRead, ErrorKind};

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::{LONGEST_LINE, PEEKED, Reading, skip_white_space};
use crate::error::{Error, Result};
use crate::infer::kinds::Within;
use crate::infer::observe::Observe;
use crate::model::Format;

impl Reading {
    pub(super) fn json(&mut self, name: &str, mut bytes: Box<dyn BufRead + Send>) -> Result<()> {
        // NDJSON is told by its first line, which is a whole document with another one after it.
        let mut line = Vec::new();
        let mut first = std::io::Read::take(&mut bytes, LONGEST_LINE);
        let read = first.read_until(b'\n', &mut line);
        read.map_err(|error| Error::project(format!("{name} can't be read")).cause(error.kind().to_string()))?;
        let named = self.named_lines;
        let whole = serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok();
        let more = whole && !skip_white_space(&mut bytes).unwrap_or(true);
        let lines = line.first() == Some(&b'{') && whole && (more || named);
        self.note(if lines { Format::Ndjson } else { Format::Json }, name);
        let reader = std::io::Read::chain(std::io::Cursor::new(line), bytes);
        let mut documents = serde_json::Deserializer::from_reader(reader);
        let steps = self.records.clone();
        let mut of_file = 0_u64;
        loop {
            if self.is_peeking() && self.documents >= PEEKED {
                return Ok(());
            }
            if of_file > 0 {
                match documents.end() {
                    Ok(()) => break,
                    Err(error) if error.is_io() => return Err(broken(name, &error)),
                    // There is another document.
                    Err(_) => {}
                }
            }
            let seed = Observe {
                shape: &mut self.root,
                budget: &mut self.budget,
                records: steps.as_deref(),
                depth: 0,
                within: Within::Nowhere,
            };
            match seed.deserialize(&mut documents) {
                _ if self.budget.spent => return Ok(()),
                Ok(()) => {}
                // Only the beginning was looked at.
                Err(error) if error.classify() == Category::Eof && (self.cut || self.is_peeking()) => break,
                Err(error) => return Err(broken(name, &error)),
            }
            of_file += 1;
            self.documents += 1;
        }
        Ok(())
    }

    pub(super) fn csv(&mut self, name: &str, mut bytes: Box<dyn BufRead + Send>) -> Result<()> {
        let head = bytes
            .fill_buf()
            .map_err(|error| Error::project(format!("{name} can't be read")).cause(error.kind().to_string()))?;
        let header = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |sign: &u8| memchr::memchr_iter(*sign, header).count();
        let delimiter = *b",;\t|".iter().max_by_key(|sign| count(sign)).unwrap_or(&b',');
        if count(&delimiter) == 0 || std::str::from_utf8(header).is_err() {
            return Err(Error::project(format!("{name} is neither JSON nor CSV"))
                .hint("a source reads JSON, NDJSON, CSV and Parquet, plain or as .gz, .zst, .bz2 or .zip"));
        }
        self.delimiter = delimiter;
        self.note(Format::Csv, name);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(bytes);
        let broken = |error: csv::Error| {
            let line = error.position().map_or(0, csv::Position::line);
            Error::project(format!("{name}: line {line} can't be read as CSV"))
        };
        let header = reader.headers().map_err(broken)?.clone();
        for row in reader.records() {
            if self.budget.record::<serde_json::Error>().is_err() {
                break;
            }
            let row = row.map_err(broken)?;
            let object = self.root.objects.count + 1;
            for (name, cell) in header.iter().zip(row.iter()) {
                let Some(shape) = self.root.member(name, object) else {
                    continue;
                };
                // An empty cell is null, as `csv.nulls` has it.
                if cell.is_empty() {
                    shape.nulls += 1;
                } else {
                    shape.shown.keep(self.budget.keep, &cell);
                    shape.text(cell);
                }
            }
            self.root.objects.count = object;
            self.documents += 1;
        }
        Ok(())
    }
}

/// An error of JSON. Its text names no value, only what was expected and the place.
fn broken(name: &str, error: &serde_json::Error) -> Error {
    if error.classify() == Category::Io {
        let kind = error.io_error_kind().unwrap_or(ErrorKind::Other);
        return Error::project(format!("{name} can't be read")).cause(kind.to_string());
    }
    Error::project(format!("{name}:{}:{} is no valid JSON", error.line(), error.column()))
        .hint("take a sample that is whole; a run would refuse the damaged record and load its neighbours")
}
