//! From the files of a batch to a stream of Arrow batches: one thread reads and splits, tasks on the other cores decode,
//! in order and with few chunks in flight. Here, and only here, it is decided what a bad record does to its batch.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::decode::{Decoded, Decoding, Plan};
use super::failure::{UNKNOWN_FIELD, UNREADABLE};
use super::files::Listing;
use super::open::ByteSource;
use super::schema::arrow_schema;
use super::split::{Chunk, CsvScanner, JsonScanner, NdjsonScanner, Scanner, Stopped, Unreadable, split};
use super::stats::ReadStats;
use super::unknown::{Names, Unknown};
use super::{RecordError, parquet};
use crate::error::{Error, Result};
use crate::mask::Unmasked;
use crate::project::{Compression, Format, Input, OnEmpty, OnMalformed, OnUnknownField, Source};
use crate::timing::Spent;

/// Chunks that wait between the reading thread and the decoding tasks.
const WAITING: usize = 2;
/// Refused records that one batch may hold in memory; past it the batch fails, for then its schema is wrong.
const MOST_REFUSED: usize = 1_000_000;

impl Listing {
    /// Reads the files one after the other and yields their records, in order, as batches of
    /// [`super::arrow_schema`]; on up to `parallelism` cores. Each call reads anew and wants `stats` of its own.
    ///
    /// The stream ends after its first error. Dropping it stops the reading.
    pub fn read(
        &self,
        source: &Source,
        parallelism: usize,
        stats: Arc<ReadStats>,
    ) -> BoxStream<'static, Result<Unmasked>> {
        match Reading::new(self, source, stats) {
            Ok(reading) => Arc::new(reading)
                .stream(parallelism.max(1))
                .map(|batch| batch.map(Unmasked::new))
                .boxed(),
            Err(error) => stream::once(ready(Err(error))).boxed(),
        }
    }
}

/// One read of a batch's input.
pub(super) struct Reading {
    pub listing: Listing,
    pub input: Input,
    pub decoding: Decoding,
    pub stats: Arc<ReadStats>,
    source: Source,
    records: AtomicU64,
    refused: AtomicU64,
    /// Undeclared fields, per object of the plan.
    unknown: Mutex<Vec<Unknown>>,
}

impl Reading {
    fn new(listing: &Listing, source: &Source, stats: Arc<ReadStats>) -> Result<Self> {
        let input = source.input.clone();
        if !(input.csv.delimiter.is_ascii() && input.csv.quote.is_ascii()) {
            return Err(Error::project(
                "the delimiter and the quote of csv must be ASCII characters",
            ));
        }
        if input.format == Format::Parquet && !matches!(input.compression, None | Some(Compression::None)) {
            return Err(
                Error::project("a parquet file is compressed inside, not as a whole").hint("leave `compression` out")
            );
        }
        let decoding = Decoding {
            plan: Plan::new(source)?,
            schema: arrow_schema(source),
            on_unknown_field: source.on_unknown_field,
            names: listing.names.clone(),
            csv: input.csv.clone(),
        };
        let unknown = Mutex::new(vec![Unknown::default(); decoding.plan.objects.len()]);
        let (listing, source) = (listing.clone(), source.clone());
        Ok(Self {
            listing,
            input,
            decoding,
            stats,
            source,
            records: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unknown,
        })
    }

    fn stream(self: Arc<Self>, parallelism: usize) -> BoxStream<'static, Result<RecordBatch>> {
        let decoded = match self.input.format {
            Format::Parquet => parquet::decode(&self, parallelism),
            Format::Json | Format::Ndjson | Format::Csv => decode_text(&self, parallelism),
        };
        let at_end = Arc::clone(&self);
        decoded
            .map(move |decoded| self.accept(decoded?).map(Some))
            .chain(stream::once(async move { at_end.finish().map(|()| None) }))
            .filter_map(|item| ready(item.transpose()))
            .scan(false, |failed, item| {
                let over = std::mem::replace(failed, item.is_err());
                ready((!over).then_some(item))
            })
            .boxed()
    }

    /// What a bad record does: it is refused, or it fails the batch.
    fn accept(&self, decoded: Decoded) -> Result<RecordBatch> {
        if !decoded.errors.is_empty() {
            self.refuse(decoded.errors)?;
        }
        let records = decoded.batch.num_rows() as u64;
        self.records.fetch_add(records, Ordering::Relaxed);
        self.stats.records.fetch_add(records, Ordering::Relaxed);
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        for (sum, met) in unknown.iter_mut().zip(decoded.unknown) {
            sum.add(met);
        }
        Ok(decoded.batch)
    }

    fn refuse(&self, errors: Vec<RecordError>) -> Result<()> {
        let fatal = |error: &RecordError| self.input.on_malformed == OnMalformed::Fail || error.check == UNKNOWN_FIELD;
        if let Some(error) = errors.iter().find(|error| fatal(error)) {
            return Err(error.clone().into());
        }
        self.refused.fetch_add(errors.len() as u64, Ordering::Relaxed);
        if self.stats.refuse(errors) > MOST_REFUSED {
            let message = format!(
                "more than {MOST_REFUSED} records of {} can't be decoded",
                self.source.name
            );
            return Err(Error::batch(message).hint("the schema does not fit this input"));
        }
        Ok(())
    }

    /// All files were read to their ends.
    fn finish(&self) -> Result<()> {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let met = self
            .decoding
            .plan
            .objects
            .iter()
            .zip(unknown.iter())
            .filter(|(_, met)| met.count > 0);
        let warn = self.decoding.on_unknown_field == OnUnknownField::Warn
            && !(unknown.iter().all(|met| met.count == 0) || self.listing.warned.swap(true, Ordering::Relaxed));
        for (path, met) in met {
            self.stats.add_unknown(path, met);
            if warn {
                let (source, count) = (&self.source.name, met.count);
                if met.names.is_empty() {
                    tracing::warn!(%source, %path, count, "undeclared fields were left out");
                } else {
                    let names = Names(met);
                    tracing::warn!(%source, %path, count, %names, "undeclared fields were left out");
                }
            }
        }
        let read = self.records.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed);
        if read > 0 || self.input.on_empty == OnEmpty::Replace {
            return Ok(());
        }
        let files = self.listing.files();
        let more = if files.len() > 1 {
            format!(" and {} more", files.len() - 1)
        } else {
            String::new()
        };
        Err(Error::batch(format!(
            "the input of {} holds no record: {}{more}",
            self.source.name, files[0].path
        ))
        .hint("if a day without records is normal, set `on_empty: replace`"))
    }

    fn scanner(&self) -> Box<dyn Scanner> {
        match self.input.format {
            Format::Csv => Box::new(CsvScanner::new(&self.input.csv, &self.source.schema)),
            Format::Ndjson => Box::new(NdjsonScanner::new(&self.input.records)),
            Format::Json | Format::Parquet => Box::new(JsonScanner::new(&self.input.records)),
        }
    }

    /// Splits all files, on a thread of its own; ends early when nobody listens.
    fn split_files(&self, runtime: &Handle, stop: &CancellationToken, chunks: &mpsc::Sender<Result<Chunk>>) {
        let (begun, waited) = (Instant::now(), Spent::default());
        self.split_all(runtime, stop, &|chunk| {
            waited.on(|| chunks.blocking_send(chunk)).is_ok()
        });
        self.stats.times.split.add(begun.elapsed().saturating_sub(waited.get()));
    }

    /// `send` tells whether anybody still listens.
    fn split_all(&self, runtime: &Handle, stop: &CancellationToken, send: &dyn Fn(Result<Chunk>) -> bool) {
        for (index, (file, place)) in self.listing.files().iter().zip(self.listing.places.iter()).enumerate() {
            let opened = ByteSource::open(file, place, self.input.compression, runtime, stop.clone(), &self.stats);
            let split = opened.map_err(Stopped::Source).and_then(|mut source| {
                split(index, &mut source, self.scanner().as_mut(), &mut |chunk| {
                    self.stats.read.fetch_add(chunk.records.len() as u64, Ordering::Relaxed);
                    if send(Ok(chunk)) {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                })
            });
            let error = match split {
                Ok(_) => continue,
                Err(Stopped::Unwanted) => return,
                Err(Stopped::Source(error)) => error,
                Err(Stopped::Damaged(error, rest)) => {
                    let bytes = rest.bytes;
                    let stretch = format!("to the end of the file, of which {bytes} bytes could be decompressed");
                    self.refuse_rest(&file.path, &rest, &stretch);
                    error
                }
                Err(Stopped::Split(rest)) => {
                    let stretch = format!("of {} bytes to the end of the file", rest.bytes);
                    self.refuse_rest(&file.path, &rest, &stretch);
                    rest.fault.into_error(&file.path)
                }
            };
            // A failed send means that nobody listens any more.
            send(Err(error));
            return;
        }
    }
}

impl Reading {
    /// The rest of a file is one entry of the account, although the batch fails with it.
    fn refuse_rest(&self, file: &str, rest: &Unreadable, stretch: &str) {
        let Unreadable {
            fault, record, from, ..
        } = rest;
        self.stats.read.fetch_add(1, Ordering::Relaxed);
        self.stats.refuse(vec![RecordError {
            file: file.to_owned(),
            record: *record,
            offset: Some(*from),
            fault_offset: Some(fault.offset),
            path: Arc::clone(&self.decoding.plan.root.path),
            check: UNREADABLE,
            reason: format!(
                "an unreadable stretch {stretch}: {} at byte {}",
                fault.reason, fault.offset
            )
            .into(),
        }]);
    }
}

fn decode_text(reading: &Arc<Reading>, parallelism: usize) -> BoxStream<'static, Result<Decoded>> {
    let reading = Arc::clone(reading);
    stream::once(async move {
        let runtime = Handle::current();
        let (sender, chunks) = mpsc::channel(WAITING);
        let splitting = Arc::clone(&reading);
        let stop = CancellationToken::new();
        // Lives in the stream: dropping that ends a wait for a remote piece, too.
        let guard = stop.clone().drop_guard();
        let task = tokio::task::spawn_blocking(move || splitting.split_files(&runtime, &stop, &sender));
        received(chunks, task)
            .map(move |chunk| {
                let _held = &guard;
                let reading = Arc::clone(&reading);
                async move {
                    let chunk = chunk?;
                    let decode = move || {
                        let file = &reading.listing.files()[chunk.file];
                        reading.stats.times.decode.on(|| reading.decoding.decode(&chunk, file))
                    };
                    tokio::task::spawn_blocking(decode)
                        .await
                        .map_err(|error| stopped(&error))?
                }
            })
            .buffered(parallelism)
    })
    .flatten()
    .boxed()
}

/// What a task sends; if the task dies, that is an error and not an early end.
pub(super) fn received<T: Send + 'static>(
    receiver: mpsc::Receiver<Result<T>>,
    task: JoinHandle<()>,
) -> impl Stream<Item = Result<T>> + Send + 'static {
    stream::unfold((receiver, Some(task)), |(mut receiver, task)| async move {
        if let Some(item) = receiver.recv().await {
            return Some((item, (receiver, task)));
        }
        let ended = task?.await;
        ended.err().map(|error| (Err(stopped(&error)), (receiver, None)))
    })
}

/// The payload of a panic could hold a value, so it is not repeated.
pub(super) fn stopped(error: &tokio::task::JoinError) -> Error {
    let why = if error.is_panic() {
        "it panicked, which is a fault of this program"
    } else {
        "it was cancelled"
    };
    Error::batch("reading the input stopped").cause(why)
}

#[cfg(test)]
mod parquet_tests;
#[cfg(test)]
mod place_tests;
#[cfg(test)]
mod quarantine_tests;
#[cfg(test)]
mod remote_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;
