//! Reads a sample and folds it into the shape of its documents.

use std::io::{BufRead, Read as _};

use super::kinds::Kinds;
use super::observe::Budget;
use super::parquet;
use super::records::{self, Records};
use super::shape::Shape;
use crate::error::{Error, Result};
use crate::ingest::{Opened, SampleFile};
use crate::model::{Compression, Encoding, Format, Input, Kind, RecordStep};

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
    /// The kinds of the records, where there are several.
    pub kinds: Option<Kinds>,
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
    pub kinds: ByKind<'a>,
}

/// How the records of a sample are parted into kinds.
#[derive(Clone, Copy)]
pub(super) enum ByKind<'a> {
    /// By the names of FHIR's resource types, if these are their values.
    Find,
    /// By the values of a field.
    Field(&'a str),
    /// As a source declares. A source without kinds has one.
    Declared(&'a [Kind]),
}

impl ByKind<'_> {
    fn kinds(self) -> Option<Kinds> {
        match self {
            Self::Field(path) => Some(Kinds::by_values(path.split('.').map(str::to_owned).collect(), false)),
            Self::Declared(kinds) if kinds.len() > 1 => Some(Kinds::declared(kinds)),
            Self::Declared(_) | Self::Find => None,
        }
    }
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
        let mut reading = self.of_records(files, encoding, &records, self.kinds.kinds()).await?;
        if let ByKind::Find = self.kinds
            && let Some(kinds) = records.of(&reading.root).and_then(Kinds::of_fhir)
        {
            reading = self.of_records(files, encoding, &records, Some(kinds)).await?;
        }
        reading.root.unify();
        if let Some(peeked) = &peeked {
            records.look_beside(peeked);
            records.look_beside(&reading.root);
        }
        Ok(reading.finish(records)?)
    }

    async fn of_records(
        &self,
        files: &[SampleFile],
        encoding: Encoding,
        records: &Records,
        kinds: Option<Kinds>,
    ) -> Result<Reading, Ended> {
        let mut budget = Budget::of(self.limit, self.keep);
        budget.kinds = kinds;
        let mut reading = Reading::new(budget, encoding);
        reading.records = Some(records.steps());
        reading.over(files).await
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

    fn finish(mut self, records: Records) -> Result<Sample> {
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
        let kinds = self.budget.kinds.take();
        if kinds.is_some() && !is_json(format) {
            return Err(Error::project(format!(
                "kinds of records are told apart in JSON only, and the sample is {}",
                word(format)
            ))
            .hint("declare the kinds by hand; `--update --kind NAME` takes a sample of one kind"));
        }
        let sample = Sample {
            kinds: kinds.map(Kinds::finish).transpose()?,
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

mod text;

#[cfg(test)]
mod tests;
