//! The bytes of one listed file as they are stored, on the disk or in a store. The file must still be the one that was
//! listed.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::changed;
use super::fetch::fetch;
use super::files::{FileHandle, InputFile, local_etag};
use super::split::PIECE;
use super::stats::ReadStats;
use crate::error::{Error, Result};

/// An error of the crate, wrapped so that it can pass through a library as an `io::Error` or a `ParquetError`.
#[derive(Debug)]
pub(super) struct Carried(pub Error);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Carried {}

pub(super) fn carry(error: Error) -> io::Error {
    io::Error::other(Carried(error))
}

/// The bytes of a file as they are stored, counted and checked against the listing.
pub(super) struct Raw {
    from: Origin,
    buffer: Bytes,
    /// The size that the listing gave, in bytes.
    size: u64,
    /// How far the file is read, in bytes from its beginning.
    read: u64,
    ended: bool,
    taken: Arc<AtomicU64>,
    stats: Arc<ReadStats>,
}

/// An opened file: on the disk, or an object of a store that is being fetched.
pub(super) enum Origin {
    Local {
        file: File,
        name: String,
        etag: Option<String>,
    },
    Remote {
        pieces: mpsc::Receiver<Result<Bytes>>,
        name: String,
        /// Where an object is fetched; `None` of what is in memory.
        runtime: Option<Handle>,
    },
}

impl Origin {
    /// Opens a file at one of its bytes. Cancelling `stop` ends the fetching of a remote one.
    pub fn open(
        file: &InputFile,
        handle: &FileHandle,
        at: u64,
        runtime: &Handle,
        stop: CancellationToken,
    ) -> Result<Self> {
        let name = file.path.clone();
        match handle {
            FileHandle::Local(path) => {
                let mut opened = open_local(path, &name)?;
                if at > 0 {
                    let sought = opened.seek(SeekFrom::Start(at));
                    sought.map_err(|error| Error::batch(format!("{name} can't be read at byte {at}")).cause(error))?;
                }
                Ok(Self::Local {
                    file: opened,
                    name,
                    etag: file.etag.clone(),
                })
            }
            FileHandle::Remote(remote, path) => {
                let pieces = fetch(remote.clone(), path.clone(), file.clone(), at, runtime, stop);
                let runtime = Some(runtime.clone());
                Ok(Self::Remote { pieces, name, runtime })
            }
            FileHandle::Memory(bytes) => {
                // An empty piece ends the file. Both messages fit into the channel.
                let (sender, pieces) = mpsc::channel(2);
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                for piece in [bytes.slice(start..), Bytes::new()] {
                    let _ = sender.try_send(Ok(piece));
                }
                let runtime = None;
                Ok(Self::Remote { pieces, name, runtime })
            }
            FileHandle::Unfit(_) => Err(Error::batch(format!("{name} can't be read"))),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Local { name, .. } | Self::Remote { name, .. } => name,
        }
    }

    pub fn runtime(&self) -> Option<Handle> {
        match self {
            Self::Local { .. } => None,
            Self::Remote { runtime, .. } => runtime.clone(),
        }
    }
}

fn open_local(path: &Path, name: &str) -> Result<File> {
    File::open(path).map_err(|error| Error::batch(format!("{name} can't be opened")).cause(error))
}

impl Raw {
    /// The bytes of an opened file, from the byte at which it was opened. `taken` counts them.
    pub fn new(from: Origin, file: &InputFile, at: u64, taken: Arc<AtomicU64>, stats: Arc<ReadStats>) -> Self {
        Self {
            from,
            buffer: Bytes::new(),
            size: file.size,
            read: at,
            ended: false,
            taken,
            stats,
        }
    }

    fn count(&mut self, count: usize) -> io::Result<()> {
        self.read += count as u64;
        self.stats.bytes.fetch_add(count as u64, Ordering::Relaxed);
        if self.read > self.size {
            return Err(carry(changed(self.from.name())));
        }
        Ok(())
    }

    /// Checks the file at its end. It must be as long as listed, and a local file must not have been written since.
    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        let same = match &self.from {
            Origin::Local { file, etag, .. } => Some(local_etag(&file.metadata()?)) == *etag,
            Origin::Remote { .. } => true,
        };
        if same && self.read == self.size {
            Ok(())
        } else {
            Err(carry(changed(self.from.name())))
        }
    }

    fn next_remote(&mut self) -> io::Result<Bytes> {
        let Origin::Remote { pieces, name, .. } = &mut self.from else {
            return Ok(Bytes::new());
        };
        match pieces.blocking_recv() {
            Some(piece) => piece.map_err(carry),
            // The fetching task ends with an empty piece or an error. Where the channel closes without one, the task
            // was stopped.
            None => Err(carry(Error::batch(format!("reading {name} was stopped")))),
        }
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() && !self.ended {
            // Uncompressed local files go straight into the caller's buffer.
            if let Origin::Local { file, .. } = &mut self.from {
                let count = retry_read(file, into)?;
                self.count(count)?;
                self.taken.fetch_add(count as u64, Ordering::Relaxed);
                if count == 0 {
                    self.end()?;
                }
                return Ok(count);
            }
        }
        let available = self.fill_buf()?;
        let count = available.len().min(into.len());
        into[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Raw {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer.is_empty() && !self.ended {
            self.buffer = match &mut self.from {
                Origin::Local { file, .. } => {
                    let left = (self.size - self.read.min(self.size)).saturating_add(1);
                    let mut piece = vec![0; usize::try_from(left).map_or(PIECE / 4, |left| left.min(PIECE / 4))];
                    let count = retry_read(file, &mut piece)?;
                    piece.truncate(count);
                    piece.into()
                }
                Origin::Remote { .. } => self.next_remote()?,
            };
            self.count(self.buffer.len())?;
            if self.buffer.is_empty() {
                self.end()?;
            }
        }
        Ok(&self.buffer)
    }

    fn consume(&mut self, count: usize) {
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        bytes::Buf::advance(&mut self.buffer, count);
    }
}

fn retry_read(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
