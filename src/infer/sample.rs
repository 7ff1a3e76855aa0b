//! Reads a sample and folds it into the shape of its documents.

use std::io::{BufRead, ErrorKind};

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::parquet;
use super::records::{self, Records};
use super::shape::{Budget, Observe, Shape};
use crate::error::{Error, Result};
use crate::ingest::{Opened, SampleFile};
use crate::model::{Compression, Format};

/// The most values that are looked at, whatever the number of records.
const MOST_VALUES: u64 = 5_000_000;
/// The longest first line by which NDJSON is recognized.
const LONGEST_LINE: u64 = 32 << 20;

pub(super) struct Sample {
    pub format: Format,
    pub delimiter: u8,
    pub root: Shape,
    pub records: Records,
    /// The files that were read.
    pub files: usize,
    /// Not all of the sample was read.
    pub cut: bool,
}

impl Sample {
    /// The shape of the records.
    pub fn record(&self) -> Option<&Shape> {
        self.records.of(&self.root).filter(|shape| shape.objects.count > 0)
    }
}

/// Reads up to `limit` records of the files.
pub(super) async fn read(files: &[SampleFile], limit: u64) -> Result<Sample> {
    let mut reading = Reading {
        root: Shape::default(),
        budget: Budget {
            records: limit.max(1),
            values: MOST_VALUES,
            spent: false,
        },
        documents: 0,
        formats: Vec::new(),
        delimiter: b',',
        cut: false,
    };
    let mut read = 0;
    for file in files {
        let opened = file.open().await?;
        let (one, name) = (reading, file.name.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut one = one;
            one.file(&name, opened).map(|()| one)
        });
        reading = done.await.map_err(|_| Error::internal())??;
        read += 1;
        if reading.budget.spent {
            reading.cut = true;
            break;
        }
    }
    reading.finish(read)
}

struct Reading {
    root: Shape,
    budget: Budget,
    documents: u64,
    formats: Vec<(Format, String)>,
    delimiter: u8,
    cut: bool,
}

impl Reading {
    fn finish(self, files: usize) -> Result<Sample> {
        let Some((format, first)) = self.formats.first().cloned() else {
            return Err(Error::project("the sample holds no record: its files are empty")
                .hint("name a file that holds some records"));
        };
        if let Some((other, name)) = self.formats.iter().find(|(other, _)| *other != format) {
            return Err(Error::project(format!(
                "the files of a source have one format: {first} is {}, {name} is {}",
                word(format),
                word(*other)
            ))
            .hint("add a source for each format"));
        }
        let records = records::find(&self.root, self.documents, format == Format::Ndjson);
        let sample = Sample {
            format,
            delimiter: self.delimiter,
            root: self.root,
            records,
            files,
            cut: self.cut,
        };
        match sample.record() {
            Some(_) => Ok(sample),
            None => Err(Error::project("the sample holds no record: no object was found in it")
                .hint("a record is a JSON object, a line of CSV or a row of Parquet")),
        }
    }

    fn file(&mut self, name: &str, opened: Opened) -> Result<()> {
        let Opened {
            compression,
            mut bytes,
            stored,
            cut,
        } = opened;
        self.cut |= cut;
        let failed = |error: std::io::Error| {
            let error = Error::project(format!("{name} can't be read")).cause(error.kind().to_string());
            if compression == Compression::None {
                error
            } else {
                error.hint("the compressed file may be cut short")
            }
        };
        let head = bytes.fill_buf().map_err(failed)?;
        if head.starts_with(b"PAR1") {
            self.note(Format::Parquet, name);
            return parquet::observe(name, stored, &mut self.root, &mut self.budget);
        }
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return Err(Error::project(format!("{name} is UTF-16")).hint("convert the sample to UTF-8 first"));
        }
        if head.starts_with(&[0xef, 0xbb, 0xbf]) {
            bytes.consume(3);
        }
        if skip_white_space(&mut bytes).map_err(failed)? {
            return Ok(());
        }
        let head = bytes.fill_buf().map_err(failed)?;
        if head[..head.len().min(4096)].contains(&0) {
            return Err(Error::project(format!("{name} is neither text nor Parquet"))
                .hint("a source reads JSON, NDJSON, CSV and Parquet, plain or as .gz, .zst or .bz2"));
        }
        match head.first() {
            Some(b'{' | b'[') => self.json(name, bytes),
            _ => self.csv(name, bytes),
        }
    }

    fn note(&mut self, format: Format, name: &str) {
        self.formats.push((format, name.to_owned()));
    }

    fn json(&mut self, name: &str, mut bytes: Box<dyn BufRead + Send>) -> Result<()> {
        // NDJSON is told by its first line, which is a whole document with another one after it.
        let mut line = Vec::new();
        let mut first = std::io::Read::take(&mut bytes, LONGEST_LINE);
        let read = first.read_until(b'\n', &mut line);
        read.map_err(|error| Error::project(format!("{name} can't be read")).cause(error.kind().to_string()))?;
        let named = [".ndjson", ".jsonl", ".jsonlines"]
            .iter()
            .any(|ending| name.to_ascii_lowercase().contains(ending));
        let whole = serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok();
        let more = whole && !skip_white_space(&mut bytes).unwrap_or(true);
        let lines = line.first() == Some(&b'{') && whole && (more || named);
        self.note(if lines { Format::Ndjson } else { Format::Json }, name);
        let reader = std::io::Read::chain(std::io::Cursor::new(line), bytes);
        let mut documents = serde_json::Deserializer::from_reader(reader);
        let mut of_file = 0_u64;
        loop {
            if of_file > 0 {
                match documents.end() {
                    Ok(()) => break,
                    Err(error) if error.is_io() => return Err(broken(name, &error)),
                    // There is another document.
                    Err(_) => {}
                }
            }
            // A document that is not the first of its file counts as a record; in the first, the elements of lists do.
            let counted = of_file == 0 || self.budget.record::<serde_json::Error>().is_ok();
            let seed = Observe {
                shape: &mut self.root,
                budget: &mut self.budget,
                counts: of_file == 0,
                depth: 0,
            };
            match if counted {
                seed.deserialize(&mut documents)
            } else {
                Ok(())
            } {
                _ if self.budget.spent => return Ok(()),
                Ok(()) => {}
                Err(error) if self.cut && error.classify() == Category::Eof => break,
                Err(error) => return Err(broken(name, &error)),
            }
            of_file += 1;
            self.documents += 1;
        }
        Ok(())
    }

    fn csv(&mut self, name: &str, mut bytes: Box<dyn BufRead + Send>) -> Result<()> {
        let head = bytes
            .fill_buf()
            .map_err(|error| Error::project(format!("{name} can't be read")).cause(error.kind().to_string()))?;
        let header = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |sign: &u8| memchr::memchr_iter(*sign, header).count();
        let delimiter = *b",;\t|".iter().max_by_key(|sign| count(sign)).unwrap_or(&b',');
        if count(&delimiter) == 0 || std::str::from_utf8(header).is_err() {
            return Err(Error::project(format!("{name} is neither JSON nor CSV"))
                .hint("a source reads JSON, NDJSON, CSV and Parquet, plain or as .gz, .zst or .bz2"));
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

/// Skips white space. Returns whether nothing else is left.
fn skip_white_space(bytes: &mut dyn BufRead) -> std::io::Result<bool> {
    loop {
        let buffer = bytes.fill_buf()?;
        if buffer.is_empty() {
            return Ok(true);
        }
        let white = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let all = white == buffer.len();
        bytes.consume(white);
        if !all {
            return Ok(false);
        }
    }
}

pub(super) fn word(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Ndjson => "ndjson",
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    /// Fails once, and is at its end then.
    struct Broken(bool);

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Ok(0);
            }
            Err(ErrorKind::TimedOut.into())
        }
    }

    #[test]
    fn an_error_after_a_document_is_not_the_end_of_the_file() {
        let mut reading = Reading {
            root: Shape::default(),
            budget: Budget {
                records: 9,
                values: 99,
                spent: false,
            },
            documents: 0,
            formats: Vec::new(),
            delimiter: b',',
            cut: false,
        };
        let text = Cursor::new("{\"a\": 1}\n{\"a\": 2}\n");
        let error = reading.json("x.json", Box::new(std::io::BufReader::new(text.chain(Broken(false)))));
        assert_eq!(error.unwrap_err().to_string(), "x.json can't be read: timed out");
    }
}
