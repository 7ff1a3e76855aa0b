//! Reads a sample and folds it into the shape of its documents.

use std::io::{BufRead, ErrorKind, Read as _};

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::observe::{Budget, Observe};
use super::parquet;
use super::records::{self, Records};
use super::shape::Shape;
use crate::error::{Error, Result};
use crate::ingest::{Opened, SampleFile};
use crate::model::{Compression, Encoding, Format, Input, RecordStep};

/// The longest first line by which NDJSON is recognized.
const LONGEST_LINE: u64 = 32 << 20;

/// The documents that are looked at to find out where the records are. With more than two, each is a record.
const PEEKED: u64 = 3;
/// The bytes of each file that are looked at for that.
const PEEKED_BYTES: u64 = 64 << 20;

pub(super) struct Sample {
    pub format: Format,
    pub encoding: Encoding,
    pub delimiter: u8,
    pub root: Shape,
    pub records: Records,
    /// The files that were read.
    pub files: usize,
    /// Not all of the sample was read.
    pub cut: bool,
}

/// How a sample is read.
pub(super) struct Reader<'a> {
    /// The most records.
    pub limit: u64,
    /// How many values of each field are kept to be shown.
    pub keep: usize,
    /// Where the records are and how the text is encoded, where a source declares it.
    pub declared: Option<&'a Input>,
}

impl Sample {
    /// The shape of the records.
    pub fn record(&self) -> Option<&Shape> {
        self.records.of(&self.root).filter(|shape| shape.objects.count > 0)
    }
}

/// What ends the reading of a sample. [`Ended::In`] comes only where it was read as UTF-8.
enum Ended {
    Failed(Error),
    /// The text is in another encoding.
    In(Encoding),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Reader<'_> {
    /// Reads up to `limit` records of the files.
    pub async fn read(&self, files: &[SampleFile]) -> Result<Sample> {
        let mut encoding = self.declared.map_or(Encoding::Utf8, |input| input.encoding);
        loop {
            match self.read_in(files, encoding).await {
                Ok(sample) => return Ok(sample),
                // In UTF-8 no longer, so not for ever.
                Err(Ended::In(found)) if self.declared.is_none() => encoding = found,
                Err(Ended::In(found)) => {
                    return Err(
                        Error::project("the sample is no UTF-8, as the source has it").hint(format!(
                            "if all its files are like this, set `encoding: {}` in its `input`",
                            found.name()
                        )),
                    );
                }
                Err(Ended::Failed(error)) => return Err(error),
            }
        }
    }

    async fn read_in(&self, files: &[SampleFile], encoding: Encoding) -> Result<Sample, Ended> {
        let (mut records, peeked) = if let Some(input) = self.declared {
            (Records::declared(&input.records), None)
        } else {
            let peeked = Reading::new(Budget::peek(PEEKED), encoding).over(files).await?;
            let lines = peeked
                .formats
                .first()
                .is_some_and(|(format, _)| *format == Format::Ndjson);
            let records = records::find(&peeked.root, peeked.documents, lines);
            (records, Some(peeked.root))
        };
        let mut reading = Reading::new(Budget::of(self.limit, self.keep), encoding);
        reading.records = Some(records.steps());
        let mut reading = reading.over(files).await?;
        reading.root.unify();
        if let Some(peeked) = &peeked {
            records.look_beside(peeked);
            records.look_beside(&reading.root);
        }
        Ok(reading.finish(records)?)
    }
}

struct Reading {
    root: Shape,
    budget: Budget,
    /// The way to the records. `None`: it is looked for.
    records: Option<Vec<RecordStep>>,
    encoding: Encoding,
    documents: u64,
    formats: Vec<(Format, String)>,
    delimiter: u8,
    /// The file's name says that it holds lines.
    named_lines: bool,
    files: usize,
    cut: bool,
}

impl Reading {
    fn new(budget: Budget, encoding: Encoding) -> Self {
        Self {
            root: Shape::default(),
            budget,
            records: None,
            encoding,
            documents: 0,
            formats: Vec::new(),
            delimiter: b',',
            named_lines: false,
            files: 0,
            cut: false,
        }
    }

    fn is_peeking(&self) -> bool {
        self.records.is_none()
    }

    /// Reads the files, one after the other, as far as the sample may go.
    async fn over(mut self, files: &[SampleFile]) -> Result<Self, Ended> {
        for file in files {
            if self.budget.records == 0 || self.is_peeking() && self.documents >= PEEKED {
                self.cut = true;
                break;
            }
            let opened = file.open(self.encoding).await?;
            if let Some(told) = opened.told {
                return Err(Ended::In(told));
            }
            let name = file.name.to_ascii_lowercase();
            self.named_lines = [".ndjson", ".jsonl"].iter().any(|ending| name.contains(ending));
            let (mut one, name) = (self, file.shown.clone());
            let done = tokio::task::spawn_blocking(move || match one.file(&name, opened) {
                Ok(()) => Ok(one),
                Err(error) => Err((error, one.encoding)),
            });
            self = match done.await.map_err(|_| Error::internal())? {
                Ok(one) => one,
                // What is no UTF-8 is most likely windows-1252, which holds all letters of latin1.
                Err((_, Encoding::Utf8)) if !file.is_utf8().await? => return Err(Ended::In(Encoding::Windows1252)),
                Err((error, _)) => return Err(error.into()),
            };
            self.files += 1;
            if self.budget.spent {
                self.cut = true;
                break;
            }
        }
        Ok(self)
    }

    fn finish(self, records: Records) -> Result<Sample> {
        let Some((format, first)) = self.formats.first().cloned() else {
            return Err(Error::project("the sample holds no record: its files are empty")
                .hint("name a file that holds some records"));
        };
        // A file with one line is a document; with several it is NDJSON. The format `json` reads both.
        let is_json = |format: Format| matches!(format, Format::Json | Format::Ndjson);
        let unlike = |other: Format| other != format && !(is_json(other) && is_json(format));
        let others = || self.formats.iter();
        let other = others().find(|(other, _)| unlike(*other));
        let other = other.or_else(|| others().find(|(other, _)| *other != format));
        let format = match other {
            None => format,
            Some((other, _)) if is_json(format) && is_json(*other) => Format::Json,
            Some((other, name)) => {
                return Err(Error::project(format!(
                    "the files of a source have one format: {first} is {}, {name} is {}",
                    word(format),
                    word(*other)
                ))
                .hint("add a source for each format"));
            }
        };
        let sample = Sample {
            format,
            encoding: self.encoding,
            delimiter: self.delimiter,
            root: self.root,
            records,
            files: self.files,
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
            ..
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
        if head.starts_with(&[0xef, 0xbb, 0xbf]) {
            bytes.consume(3);
        }
        if skip_white_space(&mut bytes).map_err(failed)? {
            return Ok(());
        }
        let head = bytes.fill_buf().map_err(failed)?;
        if head[..head.len().min(4096)].contains(&0) {
            return Err(Error::project(format!("{name} is neither text nor Parquet"))
                .hint("a source reads JSON, NDJSON, CSV and Parquet, plain or as .gz, .zst, .bz2 or .zip"));
        }
        match head.first() {
            Some(b'{' | b'[') if self.is_peeking() => self.json(name, Box::new(bytes.take(PEEKED_BYTES))),
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

    fn csv(&mut self, name: &str, mut bytes: Box<dyn BufRead + Send>) -> Result<()> {
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
        Format::FhirBulk => "fhir-bulk",
    }
}

#[cfg(test)]
mod tests;
