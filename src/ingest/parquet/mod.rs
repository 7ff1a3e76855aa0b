//! Parquet files: a row is a record, columns go by their names, row groups are decoded in parallel. Types must be the
//! declared ones or widen into them without loss.

mod convert;
mod reader;
mod types;

use std::sync::Arc;

use ::parquet::arrow::ParquetRecordBatchStreamBuilder;
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use ::parquet::errors::ParquetError;
use arrow::array::{ArrayRef, RecordBatch, StructArray, UInt64Array};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use self::convert::{RowFault, convert_group};
use self::reader::RangeReader;
use self::types::check_group;
use super::RecordError;
use super::decode::Decoded;
use super::open::Carried;
use super::read::{Reading, received, stopped};
use super::schema::RECORD_BITS;
use crate::error::{Error, Result};
use crate::project::OnUnknownField;

/// Rows in a batch.
const ROWS: usize = 8192;

/// The stream of decoded batches of all files.
pub(super) fn decode(reading: &Arc<Reading>, parallelism: usize) -> BoxStream<'static, Result<Decoded>> {
    let files = 0..reading.listing.files().len();
    let reading = Arc::clone(reading);
    stream::iter(files)
        .then(move |index| open(Arc::clone(&reading), index))
        .map_ok(|file| stream::iter(file.row_groups()).map(Ok::<_, Error>))
        .try_flatten()
        .map(|group| async move { Ok::<_, Error>(group?.start()) })
        .buffered(parallelism)
        .try_flatten()
        .boxed()
}

async fn open(reading: Arc<Reading>, index: usize) -> Result<File> {
    let runtime = Handle::current();
    let open = move || runtime.block_on(File::open(reading, index));
    tokio::task::spawn_blocking(open)
        .await
        .map_err(|error| stopped(&error))?
}

/// An opened file, its columns checked against the schema.
struct File {
    reading: Arc<Reading>,
    index: usize,
    reader: RangeReader,
    metadata: ArrowReaderMetadata,
    /// Undeclared columns, per object of the plan.
    undeclared: Vec<u64>,
}

impl File {
    async fn open(reading: Arc<Reading>, index: usize) -> Result<Self> {
        let file = &reading.listing.files()[index];
        let mut reader = RangeReader {
            file: file.clone(),
            place: reading.listing.places[index].clone(),
            stats: Arc::clone(&reading.stats),
        };
        let metadata = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new()).await;
        let metadata = metadata.map_err(|error| damaged(&file.path, error))?;
        let mut undeclared = vec![0; reading.decoding.plan.objects.len()];
        check_group(&reading.decoding.plan.root, metadata.schema().fields(), &mut undeclared).map_err(|misfit| {
            Error::batch(format!("{} does not fit the schema of the source", file.path))
                .cause(format!("{}: {}", misfit.path, misfit.reason))
                .hint("mend the file, or the source's schema")
        })?;
        if reading.decoding.on_unknown_field == OnUnknownField::Fail {
            let objects = reading.decoding.plan.objects.iter();
            if let Some((path, _)) = objects.zip(&undeclared).find(|(_, count)| **count > 0) {
                return Err(Error::batch(format!("{} has a column that is not declared", file.path))
                    .cause(format!("in {path}"))
                    .hint("declare it, or set `on_unknown_field: warn`"));
            }
        }
        Ok(Self {
            reading,
            index,
            reader,
            metadata,
            undeclared,
        })
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

/// Rows that are decoded as one piece of work.
struct RowGroup {
    file: Arc<File>,
    index: usize,
    /// The number of its first record.
    first: u64,
}

impl RowGroup {
    /// Decodes on a thread of its own; a full channel holds it back.
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
        let mask = ProjectionMask::roots(builder.parquet_schema(), declared);
        let stream = builder
            .with_row_groups(vec![self.index])
            .with_projection(mask)
            .with_batch_size(ROWS)
            .build();
        let mut batches = stream.map_err(|error| damaged(file.path(), error))?;
        let mut first = self.first;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| damaged(file.path(), error))?;
            let rows = batch.num_rows() as u64;
            if sender.send(self.convert(batch, first)).await.is_err() {
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

    fn convert(&self, batch: RecordBatch, first: u64) -> Result<Decoded> {
        let Reading { decoding, .. } = &*self.file.reading;
        let rows = batch.num_rows();
        let records = StructArray::from(batch);
        let fields = decoding.schema.fields();
        let internal = |error| Error::batch(format!("{} can't be converted", self.file.path())).cause(error);
        let (mut arrays, errors): (Vec<ArrayRef>, Vec<RecordError>) =
            match convert_group(&records, &decoding.plan.root, fields) {
                Ok(arrays) => (arrays, Vec::new()),
                Err(fault) => {
                    let error = self.record_error(fault, first);
                    let batch = RecordBatch::new_empty(Arc::clone(&decoding.schema));
                    return Ok(Decoded {
                        batch,
                        errors: vec![error],
                        unknown: Vec::new(),
                    });
                }
            };
        let file = (self.file.index as u64) << RECORD_BITS;
        arrays.push(Arc::new(UInt64Array::from_iter_values(
            (first..first + rows as u64).map(|number| file | number),
        )));
        let batch = RecordBatch::try_new(Arc::clone(&decoding.schema), arrays).map_err(internal)?;
        let unknown = self.file.undeclared.iter().map(|count| count * rows as u64).collect();
        Ok(Decoded { batch, errors, unknown })
    }

    fn record_error(&self, fault: RowFault, first: u64) -> RecordError {
        RecordError {
            file: self.file.path().to_owned(),
            record: first + fault.row as u64,
            offset: None,
            fault_offset: None,
            path: fault.path,
            reason: fault.reason,
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
