//! Reads ranges of one listed parquet file, from the disk or a store. A file that has changed since it was listed is an
//! error.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
use super::super::open::Carried;
use super::super::stats::ReadStats;
use crate::error::{Error, Result};

/// How many bytes of the end of a file to read at first. Most often they hold all of its metadata.
const FOOTER: usize = 64 << 10;

#[derive(Clone)]
pub(super) struct RangeReader {
    pub file: InputFile,
    pub handle: FileHandle,
    pub stats: Arc<ReadStats>,
}

impl RangeReader {
    /// The first bytes of the file, as many as tell what it is.
    pub async fn head(&self) -> Result<Bytes> {
        self.read(0..self.file.size.min(HEAD as u64)).await
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
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
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER));
            reader.load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}
