//! Opens the files of a sample for `pipeline source add`: a file, a folder with all that is in it, a pattern, or a URL.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use bytes::Bytes;
use object_store::{GetOptions, GetRange};

use super::files::{FileHandle, InputFile, list_local, list_remote};
use super::store::scheme;
use crate::error::{Error, Result};
use crate::model::Compression;

/// The most bytes of an object that are fetched for a sample.
const MOST_FETCHED: u64 = 64 << 20;

/// A file of a sample.
pub struct SampleFile {
    /// An absolute path or a URL. It may tell of a person.
    pub name: String,
    /// In bytes, as stored.
    pub size: u64,
    handle: FileHandle,
}

/// The bytes of a sample's file, decompressed.
pub struct Opened {
    pub compression: Compression,
    pub bytes: Box<dyn BufRead + Send>,
    /// The file on the disk, or the fetched bytes, as stored.
    pub stored: Stored,
    /// Only the beginning of the file was fetched.
    pub cut: bool,
}

pub enum Stored {
    File(File),
    Bytes(Bytes),
}

/// Lists the files that `path` names: itself, all files below a folder, or what matches a pattern. Sorted by name.
///
/// # Errors
/// No file is there, or it can't be read.
pub async fn sample_files(root: &Path, path: &str) -> Result<Vec<SampleFile>> {
    let missing = || {
        Error::project(format!("there is no file at {path}"))
            .hint("name a file, a folder, a pattern in quotes, or a URL")
    };
    let mut found = if scheme(path).is_some() {
        list_remote(path, &[]).await?
    } else if root.join(path).is_dir() {
        list_local(root, &format!("{}/**/*", path.trim_end_matches('/')))?
    } else {
        list_local(root, path)?
    };
    found.sort_by_key(|(_, handle)| handle.name());
    if found.is_empty() {
        return Err(missing());
    }
    let files = found.into_iter().map(|(InputFile { size, .. }, handle)| SampleFile {
        name: handle.name(),
        size,
        handle,
    });
    Ok(files.collect())
}

impl SampleFile {
    /// Opens the file and finds out by its first bytes how it is compressed.
    pub async fn open(&self) -> Result<Opened> {
        let failed =
            |error: io::Error| Error::project(format!("{} can't be read", self.name)).cause(error.kind().to_string());
        let (stored, raw, cut): (Stored, Box<dyn Read + Send>, bool) = match &self.handle {
            FileHandle::Local(path) => {
                let file = File::open(path).map_err(failed)?;
                let stored = Stored::File(file.try_clone().map_err(failed)?);
                (stored, Box::new(file), false)
            }
            FileHandle::Remote(remote, key) => {
                let options = GetOptions {
                    range: Some(GetRange::Bounded(0..MOST_FETCHED.min(self.size.max(1)))),
                    ..GetOptions::default()
                };
                let fetched = remote.store.get_opts(key, options).await;
                let fetched = fetched.map_err(|error| remote.explain(&error))?;
                let bytes = fetched.bytes().await.map_err(|error| remote.explain(&error))?;
                let reader = Box::new(Cursor::new(bytes.clone()));
                (Stored::Bytes(bytes), reader, self.size > MOST_FETCHED)
            }
        };
        let mut raw = BufReader::with_capacity(64 << 10, raw);
        let head = raw.fill_buf().map_err(failed)?;
        let compression = match head {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..] => Compression::Bzip2,
            _ => Compression::None,
        };
        let bytes: Box<dyn BufRead + Send> = match compression {
            Compression::None => Box::new(raw),
            Compression::Gzip => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(raw))),
            Compression::Zstd => Box::new(BufReader::new(
                zstd::stream::read::Decoder::with_buffer(raw).map_err(failed)?,
            )),
            Compression::Bzip2 => Box::new(BufReader::new(bzip2::bufread::MultiBzDecoder::new(raw))),
        };
        Ok(Opened {
            compression,
            bytes,
            stored,
            cut,
        })
    }
}
