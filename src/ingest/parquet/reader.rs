//! Reads ranges of one listed parquet file, from the disk or a store. A file that has changed since it was listed is an
//! error.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use ::parquet::arrow::arrow_reader::ArrowReaderOptions;
use ::parquet::arrow::async_reader::AsyncFileReader;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::super::content::HEAD;
use super::super::failure::changed;
use super::super::fetch::fetch_range;
use super::super::files::{FileHandle, InputFile, local_etag};
use super::super::stats::ReadStats;
use super::super::stored::Carried;
use crate::error::{Error, Result};

/// How many bytes of the end of a file to read at first. Most often they hold all of its metadata. Of a small object they are
/// all of it, and no other request is needed.
const FOOTER: u64 = 64 << 10;

/// The most files to open ahead, and the fewest.
const MOST_AHEAD: u64 = 64;
const LEAST_AHEAD: u64 = 8;

/// The most bytes that files have together that are opened ahead, where they are more than a few.
const AHEAD_BYTES: u64 = 8 << 20;

/// How many files have their metadata read ahead: more where all of them are small, since each is a round trip to the store.
pub(super) fn ahead(files: &[InputFile]) -> usize {
    let largest = files.iter().map(|file| file.size).max().unwrap_or(0).max(1);
    usize::try_from((AHEAD_BYTES / largest).clamp(LEAST_AHEAD, MOST_AHEAD)).unwrap_or(1)
}

#[derive(Clone)]
pub(super) struct RangeReader {
    pub file: InputFile,
    pub handle: FileHandle,
    pub stats: Arc<ReadStats>,
    /// The last bytes of the file, once they were read. Of a file on a disk they are kept where they are all of it.
    pub end: Arc<OnceLock<Bytes>>,
}

impl RangeReader {
    /// The first bytes of the file, as many as tell what it is.
    pub async fn head(&self) -> Result<Bytes> {
        self.read(0..self.file.size.min(HEAD as u64)).await
    }

    /// The bytes of a range, from the end of the file that was read already where they stand there.
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let kept = self.file.size.saturating_sub(FOOTER);
        // A disk is as fast for each range. Only a small file is opened once instead of once a column.
        let on_disk = matches!(self.handle, FileHandle::Local(_)) && kept > 0;
        if on_disk || range.start < kept || range.end > self.file.size {
            return self.fetch(range).await;
        }
        let end = if let Some(end) = self.end.get() {
            end.clone()
        } else {
            let end = self.fetch(kept..self.file.size).await?;
            self.end.get_or_init(|| end).clone()
        };
        let within = |at: u64| usize::try_from(at - kept).map_or(end.len(), |at| at.min(end.len()));
        Ok(end.slice(within(range.start)..within(range.end)))
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let length = range.end.saturating_sub(range.start);
        let bytes = match &self.handle {
            FileHandle::Local(path) => {
                let read = || -> std::io::Result<Option<Bytes>> {
                    let mut file = File::open(path)?;
                    if Some(local_etag(&file.metadata()?)) != self.file.etag {
                        return Ok(None);
                    }
                    file.seek(SeekFrom::Start(range.start))?;
                    let mut bytes = Vec::new();
                    file.take(length).read_to_end(&mut bytes)?;
                    Ok(Some(bytes.into()))
                };
                let failed = |error| Error::batch(format!("{} can't be read", self.file.path)).cause(error);
                read().map_err(failed)?.ok_or_else(|| changed(&self.file.path))?
            }
            FileHandle::Remote(remote, path) => fetch_range(remote, path, &self.file, range).await?,
            FileHandle::Memory(bytes) => {
                let within = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
                bytes.slice(within(range.start)..within(range.end))
            }
            FileHandle::Unfit(_) => return Err(Error::batch(format!("{} can't be read", self.file.path))),
        };
        if bytes.len() as u64 != length {
            return Err(changed(&self.file.path));
        }
        self.stats.bytes.fetch_add(length, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl AsyncFileReader for RangeReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        let read = self.read(range);
        async move {
            read.await
                .map_err(|error| ParquetError::External(Box::new(Carried(error))))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.file.size;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(usize::try_from(FOOTER).ok());
            reader.load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64) -> InputFile {
        InputFile {
            path: "a.parquet".to_owned(),
            size,
            etag: None,
            changed: None,
        }
    }

    #[test]
    fn many_small_files_and_few_large_ones_are_opened_ahead() {
        assert_eq!(ahead(&[]), 64);
        assert_eq!(ahead(&[file(20_000), file(100_000)]), 64);
        assert_eq!(ahead(&[file(20_000), file(512 << 10)]), 16);
        assert_eq!(ahead(&[file(20_000), file(1 << 40)]), 8);
    }

    #[tokio::test]
    async fn a_small_object_is_fetched_once() {
        for size in [1_000, FOOTER, FOOTER + 1_000] {
            let bytes: Bytes = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let reader = RangeReader {
                file: file(size),
                handle: FileHandle::Memory(bytes.clone()),
                stats: Arc::default(),
                end: Arc::default(),
            };
            for range in [size - 8..size, size - 500..size - 8, 0..size / 2, 0..size] {
                let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
                assert_eq!(reader.clone().read(range).await.unwrap(), bytes.slice(start..end));
            }
            let fetched = reader.stats.bytes.load(Ordering::Relaxed);
            // Beyond the end that is kept, each range is a request of its own.
            let more = if size > FOOTER { size / 2 + size } else { 0 };
            assert_eq!(fetched, size.min(FOOTER) + more, "{size}");
            let beyond = size + 1;
            assert!(reader.read(0..beyond).await.is_err());
        }
    }
}
