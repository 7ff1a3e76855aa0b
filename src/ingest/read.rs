//! Reads the files of a batch into a stream of Arrow batches. For text formats, one thread reads and splits, and tasks
//! on the other cores decode. Batches come in the order of the input, and only a few chunks are in memory at once.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

#[cfg(test)]
use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::decode::Parts;
use super::export::{self, Watched};
use super::gather::{Gather, Load};
use super::lines::Cut;
use super::listing::Listing;
use super::open::ByteSource;
use super::parquet;
use super::reading::{Reading, received, stopped};
use super::split::{Chunk, CsvScanner, JsonScanner, NdjsonScanner, Scanner, Stopped, split};
use super::stats::ReadStats;
use super::stored::Origin;
use crate::error::Result;
use crate::mask::Unmasked;
use crate::model::{Format, Input, Source};
use crate::timing::Spent;

/// The most loads that wait between the splitting thread and the decoding tasks.
const WAITING: usize = 2;

impl Listing {
    /// Reads the files and yields their records, in order, as batches of [`crate::model::arrow_schema`], each of
    /// records of one kind. It uses up to `parallelism` cores. Each call reads the files again and needs `stats` of its own.
    ///
    /// The stream ends after its first error. Dropping it stops the reading.
    pub fn read(
        &self,
        source: &Source,
        parallelism: usize,
        stats: Arc<ReadStats>,
    ) -> BoxStream<'static, Result<Unmasked>> {
        match Reading::new(self, source, stats) {
            Ok(reading) => Arc::new(reading).stream(parallelism.max(1)),
            Err(error) => stream::once(ready(Err(error))).boxed(),
        }
    }
}

impl Reading {
    fn stream(self: Arc<Self>, parallelism: usize) -> BoxStream<'static, Result<Unmasked>> {
        let decoded = match self.input.format {
            Format::Parquet => parquet::decode(&self, parallelism),
            Format::Json | Format::Ndjson | Format::Csv | Format::FhirBulk => decode_text(&self, parallelism),
        };
        let at_end = Arc::clone(&self);
        decoded
            .map(move |parts| self.accept(parts?))
            .chain(stream::once(async move { at_end.finish().map(|()| Vec::new()) }))
            .flat_map(|batches| {
                let items: Vec<Result<Unmasked>> = match batches {
                    Ok(batches) => batches.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                };
                stream::iter(items)
            })
            .scan(false, |failed, item| {
                let over = std::mem::replace(failed, item.is_err());
                ready((!over).then_some(item))
            })
            .boxed()
    }

    fn scanner(&self, file: usize) -> Box<dyn Scanner> {
        let of_file = self.listing.kinds[file];
        let Input {
            csv,
            records,
            on_no_records,
            encoding,
            ..
        } = &self.input;
        match self.input.format {
            Format::Csv => Box::new(CsvScanner::new(csv, &self.source.kinds, of_file, *encoding)),
            Format::FhirBulk if self.listing.expected.get(file).is_some_and(|one| one.deleted) => {
                Box::new(NdjsonScanner::new(&export::entries(), *on_no_records, *encoding))
            }
            Format::Ndjson | Format::FhirBulk => Box::new(NdjsonScanner::new(records, *on_no_records, *encoding)),
            Format::Json | Format::Parquet => Box::new(JsonScanner::new(records, *on_no_records, *encoding)),
        }
    }

    /// Splits all files and measures the time of that, without the time of waiting for the decoding tasks. It blocks
    /// its thread.
    fn split_files(&self, runtime: &Handle, stop: &CancellationToken, loads: &mpsc::Sender<Result<Load>>) {
        let (begun, waited) = (Instant::now(), Spent::default());
        self.split_all(runtime, stop, &|load| waited.on(|| loads.blocking_send(load)).is_ok());
        self.stats.times.split.add(begun.elapsed().saturating_sub(waited.get()));
    }

    /// Splits all files, one after the other. `send` returns false when nobody listens any more; then this ends early.
    fn split_all(&self, runtime: &Handle, stop: &CancellationToken, send: &dyn Fn(Result<Load>) -> bool) {
        let mut gather = Gather::new(self.kinds.each.len());
        for (index, origin) in Ahead::new(&self.listing, runtime, stop) {
            let file = &self.listing.files()[index];
            let mut scanner = self.scanner(index);
            let emit = &mut |chunk: Chunk| {
                self.stats.read.fetch_add(chunk.records.len() as u64, Ordering::Relaxed);
                if gather.add(chunk).is_none_or(|load| send(Ok(load))) {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            };
            let split = self.split_file(index, origin, runtime, scanner.as_mut(), emit);
            if let Some(header) = scanner.header() {
                for (kind, columns) in header.kinds.iter().enumerate() {
                    let fields = &self.kinds.each[kind].plan.root.fields;
                    let paths = columns.lacking.iter().map(|field| Arc::clone(&fields[*field].path));
                    self.lacking(kind, paths);
                }
            }
            let (error, damaged) = match split {
                Ok(records) => {
                    if records == Some(0) {
                        self.stats.add_empty(&file.path);
                    }
                    continue;
                }
                Err(Stopped::Unwanted) => return,
                Err(Stopped::Source(error)) => (error, false),
                Err(Stopped::Foreign(error, reason)) => {
                    self.refuse_file(&file.path, *reason);
                    (error, true)
                }
                Err(Stopped::Damaged(error, rest)) => {
                    let bytes = rest.bytes;
                    let stretch = format!("to the end of the file, of which {bytes} bytes could be decompressed");
                    self.refuse_rest(&file.path, &rest, &stretch);
                    (error, true)
                }
                Err(Stopped::Split(rest)) => {
                    let stretch = format!("of {} bytes to the end of the file", rest.bytes);
                    self.refuse_rest(&file.path, &rest, &stretch);
                    (rest.fault.into_error(&file.path), true)
                }
            };
            if damaged && self.goes_on_after_damage() {
                continue;
            }
            // A failed send means that nobody listens any more.
            if gather.take().is_none_or(|load| send(Ok(load))) {
                send(Err(error));
            }
            return;
        }
        if let Some(load) = gather.take() {
            send(Ok(load));
        }
    }

    /// Splits what is to be read of a file. Returns how many records the file holds, if that is found here.
    fn split_file(
        &self,
        index: usize,
        origin: Result<Origin>,
        runtime: &Handle,
        scanner: &mut dyn Scanner,
        emit: &mut dyn FnMut(Chunk) -> ControlFlow<()>,
    ) -> Result<Option<u64>, Stopped> {
        let (file, handle) = (&self.listing.files()[index], &self.listing.handles[index]);
        let mut origin = origin;
        if let Some(stretch) = self.listing.stretch(index) {
            match Cut::open(file, handle, origin, stretch, &self.input, &self.stats, runtime)? {
                Cut::Lines(mut lines) => {
                    let records = split(index, lines.as_mut(), scanner, emit)?;
                    self.stats.add_cut(index, records);
                    return Ok(None);
                }
                Cut::Elsewhere => return Ok(None),
                Cut::Whole(opened) => origin = opened,
            }
        }
        let mut source = ByteSource::open(file, handle, origin, &self.input, &self.stats)?;
        let Some(expected) = self.listing.expected.get(index) else {
            return split(index, &mut source, scanner, emit).map(Some);
        };
        let mut watched = Watched::new(source, expected);
        let records = split(index, &mut watched, scanner, emit)?;
        watched.verify(&file.path).map_err(Stopped::Source)?;
        Ok(Some(records))
    }
}

fn decode_text(reading: &Arc<Reading>, parallelism: usize) -> BoxStream<'static, Result<Parts>> {
    let reading = Arc::clone(reading);
    stream::once(async move {
        let runtime = Handle::current();
        let (sender, loads) = mpsc::channel(WAITING);
        let splitting = Arc::clone(&reading);
        let stop = CancellationToken::new();
        // The guard lives in the stream. Dropping the stream cancels `stop`, which also ends a wait for a remote piece.
        let guard = stop.clone().drop_guard();
        let task = tokio::task::spawn_blocking(move || splitting.split_files(&runtime, &stop, &sender));
        received(loads, task)
            .map(move |load| {
                let _held = &guard;
                let reading = Arc::clone(&reading);
                async move {
                    let load = load?;
                    let decode = move || {
                        let (files, kinds) = (reading.listing.files(), &reading.listing.kinds);
                        let only = reading.listing.only;
                        let decode = || reading.kinds.decode(&reading.source, &load, files, kinds, only);
                        reading.stats.times.decode.on(decode)
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

#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
mod packed_tests;
#[cfg(test)]
mod parquet_tests;
#[cfg(test)]
mod partial_tests;
#[cfg(test)]
mod place_tests;
#[cfg(test)]
mod quarantine_tests;
#[cfg(test)]
mod remote_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;
