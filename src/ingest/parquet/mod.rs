//! Reads parquet files. A row is a record, and columns are found by name. Row groups are decoded in parallel. The type
//! of a column must be the declared one, or one that becomes it without loss.

mod convert;
mod reader;
mod size;
mod types;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::parquet::arrow::ParquetRecordBatchStreamBuilder;
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::errors::ParquetError;
use arrow::array::{AsArray, RecordBatch, StructArray, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::UInt64Type;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use self::convert::{RowFault, convert_group, salvage_row};
use self::reader::RangeReader;
use self::size::{filled, rows_of, together};
use self::types::check_group;
use super::decode::{Cuts, Decoded};
use super::open::Carried;
use super::reading::{Reading, received, stopped};
use super::unknown::{Sightings, Unknown};
use crate::error::{Error, Result};
use crate::model::{OnUnknownField, RECORD_BITS, Refusal};

/// How many files have their metadata read ahead.
const AHEAD: usize = 8;

/// Decodes all files. Returns their batches in the order of the input.
pub(super) fn decode(reading: &Arc<Reading>, parallelism: usize) -> BoxStream<'static, Result<Decoded>> {
    let files = 0..reading.listing.files().len();
    let reading = Arc::clone(reading);
    let groups = stream::iter(files)
        .map(move |index| open(Arc::clone(&reading), index))
        .buffered(AHEAD)
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
    /// The undeclared columns, by [`super::decode::Plan::objects`]. Each counts once.
    undeclared: Vec<Unknown>,
}

impl File {
    async fn open(reading: Arc<Reading>, index: usize) -> Result<Option<Self>> {
        let file = &reading.listing.files()[index];
        let mut reader = RangeReader {
            file: file.clone(),
            handle: reading.listing.handles[index].clone(),
            stats: Arc::clone(&reading.stats),
        };
        let metadata = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new()).await;
        let metadata = match metadata {
            Ok(metadata) => metadata,
            // This fails the batch: an error of reading (`External`), which is not the file's fault, or damage that the
            // source does not tolerate.
            Err(error) if matches!(error, ParquetError::External(_)) || !reading.goes_on_after_damage() => {
                return Err(damaged(&file.path, error));
            }
            Err(_) => {
                reading.refuse_file(
                    &file.path,
                    "no valid parquet file: its end, where the columns are listed, is damaged",
                );
                return Ok(None);
            }
        };
        if metadata.metadata().file_metadata().num_rows() == 0 {
            reading.stats.add_empty(&file.path);
        }
        let decoding = &reading.decoding;
        let mut undeclared = Sightings::new(decoding.plan.objects.len(), decoding.names.as_ref());
        check_group(&reading.decoding.plan.root, metadata.schema().fields(), &mut undeclared).map_err(|misfit| {
            Error::batch(format!("{} does not fit the schema of the source", file.path))
                .cause(format!("{}: {}", misfit.path, misfit.reason))
                .hint("mend the file, or the source's schema")
        })?;
        undeclared.keep();
        let undeclared = undeclared.finish();
        if reading.decoding.on_unknown_field == OnUnknownField::Fail {
            let objects = reading.decoding.plan.objects.iter();
            if let Some((path, _)) = objects.zip(&undeclared).find(|(_, met)| met.count > 0) {
                return Err(Error::batch(format!("{} has a column that is not declared", file.path))
                    .cause(format!("in {path}"))
                    .hint("declare it, or set `on_unknown_field: warn`"));
            }
        }
        Ok(Some(Self {
            reading,
            index,
            reader,
            metadata,
            undeclared,
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
        starts.into_iter().enumerate().map(group).collect()
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
    fn start(self) -> BoxStream<'static, Result<Decoded>> {
        let (sender, batches) = mpsc::channel(1);
        let runtime = Handle::current();
        let task = tokio::task::spawn_blocking(move || runtime.block_on(self.run(&sender)));
        received(batches, task).boxed()
    }

    async fn run(self, sender: &mpsc::Sender<Result<Decoded>>) {
        let end = tokio::select! {
            () = sender.closed() => return,
            end = self.decode(sender) => end,
        };
        if let Err(error) = end {
            // A failed send means that nobody listens any more.
            let _ = sender.send(Err(error)).await;
        }
    }

    async fn decode(&self, sender: &mpsc::Sender<Result<Decoded>>) -> Result<()> {
        let file = &self.file;
        let plan = &file.reading.decoding.plan;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file.reader.clone(), file.metadata.clone());
        let columns = file.metadata.schema().fields().iter().enumerate();
        let declared = columns
            .filter(|(_, field)| plan.root.find(field.name(), 0).is_some())
            .map(|(index, _)| index);
        let roots: Vec<usize> = declared.collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
        let descriptor = builder.metadata().file_metadata().schema_descr_ptr();
        let group = builder.metadata().row_group(self.index);
        let rows = rows_of(group, |column| roots.contains(&descriptor.get_column_root_idx(column)));
        let stream = builder
            .with_row_groups(vec![self.index])
            .with_projection(mask)
            .with_batch_size(rows)
            .build();
        let mut batches = stream.map_err(|error| damaged(file.path(), error))?;
        let mut first = self.first;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| damaged(file.path(), error))?;
            let rows = batch.num_rows() as u64;
            file.reading.stats.read.fetch_add(rows, Ordering::Relaxed);
            let decoded = file.reading.stats.times.decode.on(|| self.decoded(&batch, first));
            if sender.send(decoded).await.is_err() {
                return Ok(());
            }
            first += rows;
        }
        let expected = file.metadata.metadata().row_group(self.index).num_rows();
        if u64::try_from(expected).ok() != Some(first - self.first) {
            return Err(Error::batch(format!("{} holds fewer rows than it says", file.path())));
        }
        Ok(())
    }

    fn decoded(&self, batch: &RecordBatch, first: u64) -> Result<Decoded> {
        let (mut parts, mut faults, mut cuts) = (Vec::new(), Vec::new(), Cuts::default());
        self.convert(batch, 0, &mut parts, &mut faults, &mut cuts)?;
        let schema = &self.file.reading.decoding.schema;
        let batch = match parts.len() {
            1 => parts.remove(0),
            _ => concat_batches(schema, &parts).map_err(|error| self.internal(error))?,
        };
        let file = (self.file.index as u64) << RECORD_BITS;
        // Until here the record column holds the index of each row in the batch.
        let numbers = batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>();
        let numbers: UInt64Array = numbers.unary(|row| file | (first + row));
        let mut columns = batch.columns().to_vec();
        columns.pop();
        columns.push(Arc::new(numbers));
        let rows = batch.num_rows() as u64;
        let batch = RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| self.internal(error))?;
        let (faults, salvaged): (Vec<RowFault>, Vec<RecordBatch>) = faults.into_iter().unzip();
        let refused = faults.into_iter().map(|fault| self.refusal(fault, first)).collect();
        let unknown = self.file.undeclared.iter().map(|met| met.times(rows)).collect();
        Ok(Decoded {
            batch,
            refused,
            salvaged: together(schema, &salvaged)?,
            unknown,
            cuts,
        })
    }

    /// Converts the rows that can be, and collects the faults of the others. Both stay in order. A conversion stops at
    /// the first fault it finds, which is not always that of the first bad row. So the rows are halved until each bad
    /// row is alone. With its fault comes what can be read of it.
    fn convert(
        &self,
        batch: &RecordBatch,
        start: usize,
        parts: &mut Vec<RecordBatch>,
        faults: &mut Vec<(RowFault, RecordBatch)>,
        cuts: &mut Cuts,
    ) -> Result<()> {
        let decoding = &self.file.reading.decoding;
        let rows = batch.num_rows();
        let records = StructArray::from(batch.clone());
        let mut cut = Cuts::default();
        let fault = match convert_group(&records, &decoding.plan.root, decoding.schema.fields(), &mut cut) {
            Ok(mut arrays) => {
                cuts.add(cut);
                let numbers = start as u64..(start + rows) as u64;
                arrays.push(Arc::new(UInt64Array::from_iter_values(numbers)));
                let part = RecordBatch::try_new(Arc::clone(&decoding.schema), arrays);
                parts.push(part.map_err(|error| self.internal(error))?);
                return Ok(());
            }
            Err(fault) => fault,
        };
        if rows <= 1 {
            let mut arrays = salvage_row(&records, &decoding.plan.root, decoding.schema.fields());
            arrays.push(Arc::new(UInt64Array::from(vec![start as u64; rows])));
            let salvaged = RecordBatch::try_new(Arc::clone(&decoding.schema), arrays);
            let salvaged = salvaged.map_err(|error| self.internal(error))?;
            faults.push((RowFault { row: start, ..fault }, salvaged));
            return Ok(());
        }
        let half = rows / 2;
        for (from, to) in [(0, half), (half, rows)] {
            // The rows are copied. A slice of lists would keep the elements of all lists, also those of the other half.
            let indices = UInt64Array::from_iter_values(from as u64..to as u64);
            let taken = take_record_batch(batch, &indices).map_err(|error| self.internal(error))?;
            self.convert(&taken, start + from, parts, faults, cuts)?;
        }
        Ok(())
    }

    fn internal(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::batch(format!("{} can't be converted", self.file.path())).cause(error)
    }

    fn refusal(&self, fault: RowFault, first: u64) -> Refusal {
        Refusal {
            check: fault.check.to_owned(),
            file: Some(self.file.path().to_owned()),
            record: Some(first + fault.row as u64),
            path: Some(fault.path.to_string()),
            reason: fault.reason,
            ..Refusal::default()
        }
    }
}

fn damaged(path: &str, error: ParquetError) -> Error {
    let error = match error {
        ParquetError::External(inner) => match inner.downcast::<Carried>() {
            Ok(carried) => return carried.0,
            Err(inner) => ParquetError::External(inner),
        },
        error => error,
    };
    Error::batch(format!("{path} is no valid parquet file")).cause(error)
}
