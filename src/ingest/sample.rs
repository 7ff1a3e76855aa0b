//! Opens the files of a sample for `pipeline source add`: a file, a folder with all that is in it, a pattern, or a URL.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use bytes::Bytes;
use object_store::{GetOptions, GetRange};

use super::content::{HEAD, compression};
use super::encoding::{Conversion, Converted, TEXT_HEAD, conversion, told};
use super::failure::Foreign;
use super::files::{FileHandle, InputFile, list_local, list_remote};
use super::pattern::is_glob;
use super::store::scheme;
use super::unpack::decompressed;
use crate::error::{Error, Result};
use crate::model::{Compression, Encoding};

/// The most bytes of an object that are fetched for a sample.
const MOST_FETCHED: u64 = 64 << 20;

/// A file of a sample.
pub struct SampleFile {
    /// An absolute path or a URL. It may tell of a person.
    pub name: String,
    /// How messages call the file: as the user named it, or by its place among those of a folder or a pattern.
    pub shown: String,
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
    /// The encoding that the first bytes tell, where UTF-8 was asked for and it is another. Nothing is converted then.
    pub told: Option<Encoding>,
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
    let folder = scheme(path).is_none() && root.join(path).is_dir();
    let missing = || {
        let what = if folder {
            format!("the folder {path} holds no file to read")
        } else {
            format!("there is no file at {path}")
        };
        Error::project(what).hint("name a file, a folder, a pattern in quotes, or a URL")
    };
    let mut found = if scheme(path).is_some() {
        list_remote(path, &[]).await?
    } else if folder {
        list_local(root, &format!("{}/**/*", path.trim_end_matches('/')))?
    } else {
        list_local(root, path)?
    };
    found.sort_by_key(|(_, handle)| handle.name());
    if found.is_empty() {
        return Err(missing());
    }
    let one = !folder && found.len() == 1 && !is_glob(path);
    let files = found
        .into_iter()
        .zip(1..)
        .map(|((InputFile { size, .. }, handle), number)| SampleFile {
            name: handle.name(),
            shown: if one {
                path.to_owned()
            } else {
                format!("file {number} of {path}")
            },
            size,
            handle,
        });
    Ok(files.collect())
}

impl SampleFile {
    /// Opens the file as text in this encoding, and finds out by its first bytes how it is compressed.
    pub async fn open(&self, encoding: Encoding) -> Result<Opened> {
        let failed = |error: io::Error| {
            Error::project(format!("{} can't be read", self.shown))
                .cause(error.kind().to_string())
                .hint("name a file that you may read")
        };
        let (stored, raw, cut): (Stored, Box<dyn Read + Send>, bool) = match &self.handle {
            FileHandle::Local(path) => {
                let file = File::open(path).map_err(failed)?;
                let stored = Stored::File(file.try_clone().map_err(failed)?);
                (stored, Box::new(file), false)
            }
            FileHandle::Memory(bytes) => {
                let reader = Box::new(Cursor::new(bytes.clone()));
                (Stored::Bytes(bytes.clone()), reader, false)
            }
            FileHandle::Unfit(_) => {
                let unfit = self.handle.unfit();
                return Err(unfit.map_or_else(Error::internal, |foreign| self.foreign(&foreign)));
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
        let compression = if head.starts_with(b"PAR1") {
            Compression::None
        } else {
            compression(&head[..head.len().min(HEAD)], None, &self.name).map_err(|foreign| self.foreign(&foreign))?
        };
        let mut bytes = BufReader::with_capacity(64 << 10, decompressed(raw, compression).map_err(failed)?);
        // What can't be decompressed fails again where the bytes are read.
        let head = bytes.fill_buf().unwrap_or_default();
        let head = &head[..head.len().min(TEXT_HEAD)];
        let told = told(head).filter(|_| encoding == Encoding::Utf8);
        let conversion = if told.is_some() || head.starts_with(b"PAR1") {
            Conversion::None
        } else {
            conversion(head, encoding).map_err(|foreign| self.foreign(&foreign))?
        };
        let bytes: Box<dyn BufRead + Send> = match conversion {
            Conversion::None => Box::new(bytes),
            Conversion::Latin1 => Box::new(BufReader::new(Converted::new(bytes, None))),
            Conversion::Other(encoding) => Box::new(BufReader::new(Converted::new(bytes, Some(encoding)))),
        };
        Ok(Opened {
            compression,
            bytes,
            stored,
            cut,
            told,
        })
    }

    /// Whether all of the text is UTF-8, as far as it can be read.
    pub async fn is_utf8(&self) -> Result<bool> {
        let Opened { mut bytes, .. } = self.open(Encoding::Utf8).await?;
        let read = tokio::task::spawn_blocking(move || {
            let mut held: Vec<u8> = Vec::new();
            let mut piece = vec![0; 64 << 10];
            loop {
                let count = match bytes.read(&mut piece) {
                    Ok(0) | Err(_) => return true,
                    Ok(count) => count,
                };
                held.extend_from_slice(&piece[..count]);
                let whole = match std::str::from_utf8(&held) {
                    Ok(_) => held.len(),
                    Err(error) if error.error_len().is_none() => error.valid_up_to(),
                    Err(_) => return false,
                };
                held.drain(..whole);
            }
        });
        read.await.map_err(|_| Error::internal())
    }

    fn foreign(&self, foreign: &Foreign) -> Error {
        Error::project(format!("{} is {}", self.shown, foreign.is)).hint(foreign.hint.clone())
    }
}
