//! Reads parquet files. A row is a record, and columns are found by name. Row groups are decoded in parallel. A value of
//! another type than the declared one is read where nothing of it is lost, and refuses its row otherwise.

mod convert;
mod damage;
mod exact;
mod kinds;
mod reader;
mod schema;
mod size;
mod types;
mod wide;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use ::parquet::errors::ParquetError;
use arrow::array::{BooleanArray, RecordBatch, StructArray, UInt64Array};
use arrow::compute::filter_record_batch;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use self::convert::{Conversion, RowFault};
use self::damage::{damaged, why};
use self::reader::{RangeReader, ahead};
use self::schema::{Millis, readable};
use self::size::{filled, rows_of};
use self::wide::marked;
use super::content::{foreign, signature};
use super::decode::{Decoded, Decoding, Parts};
use super::failure::Foreign;
use super::part::Stretch;
use super::reading::{Reading, received, stopped};
use crate::error::{Error, Result};
use crate::model::{RECORD_BITS, Refusal};

/// Decodes all files. Returns their batches in the order of the input.
pub(super) fn decode(reading: &Arc<Reading>, parallelism: usize) -> BoxStream<'static, Result<Parts>> {
    let files = reading.listing.read_files();
    let ahead = ahead(reading.listing.files());
    let reading = Arc::clone(reading);
    let groups = stream::iter(files)
        .map(move |index| open(Arc::clone(&reading), index))
        .buffered(ahead)
        .try_filter_map(|file| async move { Ok(file) })
        .map_ok(|file| stream::iter(file.row_groups()).map(Ok::<_, Error>))
        .try_flatten()
        .map(|group| async move { Ok::<_, Error>(group?.start()) })
        .buffered(parallelism)
        .try_flatten();
    filled(groups)
}

/// Opens a file, on a thread that may block. `None`: the file is refused.
async fn open(reading: Arc<Reading>, index: usize) -> Result<Option<File>> {
    let runtime = Handle::current();
    let open = move || runtime.block_on(File::open(reading, index));
    tokio::task::spawn_blocking(open)
        .await
        .map_err(|error| stopped(&error))?
}

/// An opened file. Its columns fit the schema.
struct File {
    reading: Arc<Reading>,
    index: usize,
    reader: RangeReader,
    metadata: ArrowReaderMetadata,
    millis: Option<Millis>,
    /// What its columns are to each kind.
    kinds: Vec<kinds::Seen>,
    /// Where the row groups begin that are read. `None`: anywhere.
    stretch: Option<Stretch>,
}

impl File {
    async fn open(reading: Arc<Reading>, index: usize) -> Result<Option<Self>> {
        let file = &reading.listing.files()[index];
        let mut reader = RangeReader {
            file: file.clone(),
            handle: reading.listing.handles[index].clone(),
            stats: Arc::clone(&reading.stats),
            end: Arc::default(),
        };
        // Of the parts of a file, the first one speaks for it.
        let stretch = reading.listing.stretch(index);
        let is_first = stretch.is_none_or(|stretch| stretch.from == 0);
        let refused = |foreign: Foreign| {
            if !is_first {
                Ok(None)
            } else if reading.goes_on_after_damage() {
                reading.refuse_file(&file.path, foreign.to_string());
                Ok(None)
            } else {
                Err(foreign.into_error(&file.path))
            }
        };
        if let Some(unfit) = reader.handle.unfit() {
            return refused(unfit);
        }
        let found = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new()).await;
        let other = match &found {
            Ok(_) | Err(ParquetError::External(_)) => None,
            Err(_) => other_kind(&reader).await,
        };
        if let Some(other) = other {
            return refused(other);
        }
        let found = match found {
            Ok(found) => found,
            // This fails the batch: an error of reading (`External`), which is not the file's fault, or damage that the
            // source does not tolerate.
            Err(error) if matches!(error, ParquetError::External(_)) || !reading.goes_on_after_damage() => {
                return Err(damaged(&file.path, error));
            }
            Err(_) => {
                if is_first {
                    reading.refuse_file(
                        &file.path,
                        "no valid parquet file: its end, where the columns are listed, is damaged",
                    );
                }
                return Ok(None);
            }
        };
        if is_first && found.metadata().file_metadata().num_rows() == 0 {
            reading.stats.add_empty(&file.path);
        }
        let kinds = kinds::check(&reading, index, &found, is_first)?;
        // Without its own choice of types the reader still reads the file, but refuses more at once.
        let (metadata, millis) = readable(&found).unwrap_or((found, None));
        Ok(Some(Self {
            reading,
            index,
            reader,
            metadata,
            millis,
            kinds,
            stretch,
        }))
    }

    fn row_groups(self) -> Vec<RowGroup> {
        let file = Arc::new(self);
        let mut first = 1;
        let groups = file.metadata.metadata().row_groups();
        let starts = groups.iter().map(|group| {
            let start = first;
            first += u64::try_from(group.num_rows()).unwrap_or(0);
            start
        });
        let starts: Vec<u64> = starts.collect();
        let group = |(index, first)| RowGroup {
            file: Arc::clone(&file),
            index,
            first,
        };
        let is_read = |(index, _): &(usize, u64)| {
            let stretch = file.stretch;
            stretch.is_none_or(|Stretch { from, to }| (from..to).contains(&file.begin(*index)))
        };
        starts.into_iter().enumerate().filter(is_read).map(group).collect()
    }

    /// The byte at which a row group begins. That of damaged metadata is a byte of the file all the same, so that one
    /// part of the file reads the row group.
    fn begin(&self, group: usize) -> u64 {
        let columns = self.metadata.metadata().row_group(group).columns();
        let begin = columns
            .iter()
            .map(|column| column.dictionary_page_offset().unwrap_or(column.data_page_offset()))
            .min();
        let size = self.reading.listing.files()[self.index].size;
        u64::try_from(begin.unwrap_or(0))
            .unwrap_or(0)
            .min(size.saturating_sub(1))
    }

    fn path(&self) -> &str {
        &self.reading.listing.files()[self.index].path
    }
}

/// A row group, which is decoded as one piece of work.
struct RowGroup {
    file: Arc<File>,
    index: usize,
    /// The number of its first record in the file, where the first has number 1.
    first: u64,
}

impl RowGroup {
    /// Starts to decode on a thread of its own. The thread waits while the channel is full.
    fn start(self) -> BoxStream<'static, Result<Parts>> {
        let (sender, batches) = mpsc::channel(1);
        let runtime = Handle::current();
        let task = tokio::task::spawn_blocking(move || runtime.block_on(self.run(&sender)));
        received(batches, task).boxed()
    }

    async fn run(self, sender: &mpsc::Sender<Result<Parts>>) {
        let end = tokio::select! {
            () = sender.closed() => return,
            end = self.decode(sender) => end,
        };
        if let Err(error) = end {
            // A failed send means that nobody listens any more.
            let _ = sender.send(Err(error)).await;
        }
    }

    async fn decode(&self, sender: &mpsc::Sender<Result<Parts>>) -> Result<()> {
        let file = &self.file;
        let columns = file.metadata.schema().fields().iter().enumerate();
        let declared = columns
            .filter(|(_, field)| kinds::is_read(&file.reading, field.name()))
            .map(|(index, _)| index);
        let roots: Vec<usize> = declared.collect();
        let descriptor = file.metadata.metadata().file_metadata().schema_descr_ptr();
        let group = file.metadata.metadata().row_group(self.index);
        let rows = rows_of(group, |column| roots.contains(&descriptor.get_column_root_idx(column)));
        let mut millis = None;
        if let Some(twice) = &file.millis {
            let wide: Vec<usize> = twice
                .roots
                .iter()
                .copied()
                .filter(|root| roots.contains(root))
                .collect();
            if !wide.is_empty() {
                millis = Some(self.stream(&twice.metadata, &wide, rows)?);
            }
        }
        let mut batches = self.stream(&file.metadata, &roots, rows)?;
        let mut first = self.first;
        let damage = loop {
            match next(&mut batches, millis.as_mut()).await {
                None => break None,
                Some(Err(error)) => break Some(error),
                Some(Ok(batch)) => {
                    let rows = batch.num_rows() as u64;
                    file.reading.stats.read.fetch_add(rows, Ordering::Relaxed);
                    let decoded = file.reading.stats.times.decode.on(|| self.parts(&batch, first));
                    if sender.send(decoded).await.is_err() {
                        return Ok(());
                    }
                    first += rows;
                }
            }
        };
        let end = self.first + u64::try_from(file.metadata.metadata().row_group(self.index).num_rows()).unwrap_or(0);
        match damage {
            None if first == end => Ok(()),
            Some(error @ ParquetError::External(_)) => Err(damaged(file.path(), error)),
            damage if file.reading.goes_on_after_damage() && first < end => {
                let why = damage.as_ref().map_or(FEWER_ROWS.into(), why);
                file.reading.refuse_rows(file.path(), first..end, &why)
            }
            Some(error) => Err(damaged(file.path(), error)),
            None => Err(Error::batch(format!("{} is no valid parquet file", file.path())).cause(FEWER_ROWS)),
        }
    }

    /// The rows of these columns, so many at a time.
    fn stream(&self, metadata: &ArrowReaderMetadata, roots: &[usize], rows: usize) -> Result<Rows> {
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.file.reader.clone(), metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
        let builder = builder.with_row_groups(vec![self.index]).with_projection(mask);
        let stream = builder.with_batch_size(rows).build();
        stream.map_err(|error| damaged(self.file.path(), error))
    }

    /// Decodes rows of one kind. `numbers` are those of their records.
    fn decoded(&self, decoding: &Decoding, batch: &RecordBatch, numbers: &[u64]) -> Result<Decoded> {
        let rows = batch.num_rows();
        let convert = |batch: &RecordBatch| {
            let mut conversion = Conversion::default();
            let records = StructArray::from(batch.clone());
            let arrays = conversion.group(&records, &decoding.plan.root, decoding.schema.fields());
            arrays.map(|arrays| (arrays, conversion))
        };
        let (mut arrays, Conversion { mut faults, mut cuts }) = convert(batch).map_err(|_| self.internal())?;
        // The sort is stable, so that the fault of the first field stays.
        faults.sort_by_key(|fault| fault.row);
        faults.dedup_by_key(|fault| fault.row);
        let mut good = vec![true; rows];
        for fault in &faults {
            good[fault.row] = false;
        }
        let file = (self.file.index as u64) << RECORD_BITS;
        let mut salvaged = None;
        let accepted = numbers.iter().zip(&good).filter(|(_, good)| **good);
        let accepted = UInt64Array::from_iter_values(accepted.map(|(number, _)| file | number));
        if !faults.is_empty() {
            // What could be read of the refused rows.
            let bad = BooleanArray::from(good.iter().map(|good| !good).collect::<Vec<_>>());
            let ids = numbers.iter().map(|number| file | number);
            arrays.push(Arc::new(UInt64Array::from_iter_values(ids)));
            let all = RecordBatch::try_new(Arc::clone(&decoding.schema), arrays).map_err(|_| self.internal())?;
            salvaged = Some(filter_record_batch(&all, &bad).map_err(|_| self.internal())?);
            // The others are converted once more, so that nothing of the refused rows is counted.
            let batch = filter_record_batch(batch, &BooleanArray::from(good)).map_err(|_| self.internal())?;
            (arrays, Conversion { cuts, .. }) = convert(&batch).map_err(|_| self.internal())?;
        }
        arrays.push(Arc::new(accepted));
        let batch = RecordBatch::try_new(Arc::clone(&decoding.schema), arrays).map_err(|_| self.internal())?;
        let refused = faults.into_iter().map(|fault| self.refusal(fault, numbers)).collect();
        let undeclared = self.file.kinds[decoding.kind].undeclared.iter();
        let unknown = undeclared.map(|met| met.times(rows as u64)).collect();
        Ok(Decoded {
            kind: decoding.kind,
            batch,
            refused,
            salvaged,
            unknown,
            cuts,
        })
    }

    /// The error of arrays that do not go together. What Arrow says could quote a value.
    fn internal(&self) -> Error {
        Error::batch(format!("{} can't be converted", self.file.path()))
            .hint("this is a defect of the program; report the types of the file's columns")
    }

    fn refusal(&self, fault: RowFault, numbers: &[u64]) -> Refusal {
        Refusal {
            check: fault.check.to_owned(),
            file: Some(self.file.path().to_owned()),
            record: numbers.get(fault.row).copied(),
            path: Some(fault.path.to_string()),
            reason: fault.reason,
            ..Refusal::default()
        }
    }
}

/// What a file is that has no end of a Parquet file.
async fn other_kind(reader: &RangeReader) -> Option<Foreign> {
    let head = reader.head().await.ok()?;
    if let Some(compression) = signature(&head) {
        let is = format!("{} data and no Parquet file", compression.name());
        return Some(Foreign::new(
            is,
            "deliver it uncompressed: a Parquet file is compressed inside",
        ));
    }
    foreign(&head).filter(|_| !head.starts_with(b"PAR1"))
}

type Rows = ParquetRecordBatchStream<RangeReader>;

/// The next rows, with timestamps that have wrapped marked. `None`: there are no more.
async fn next(batches: &mut Rows, millis: Option<&mut Rows>) -> Option<Result<RecordBatch, ParquetError>> {
    let batch = batches.next().await?;
    let (Ok(batch), Some(millis)) = (&batch, millis) else {
        return Some(batch);
    };
    let millis = millis.next().await?;
    Some(millis.and_then(|millis| Ok(marked(batch, &millis)?)))
}

const FEWER_ROWS: &str = "it holds fewer rows than it says";
