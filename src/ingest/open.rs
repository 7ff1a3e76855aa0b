//! Reads the text of one listed file, decompressed and as UTF-8, as a blocking reader. A read that stops before the end of the file
//! is an error. Compressed streams are checked to their last byte, and the file must still be the one that was listed.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::{Foreign, changed};
use super::fetch::{fetch, fetch_range};
use super::files::{FileHandle, InputFile, local_etag};
use super::split::{PIECE, Pieces, Stopped};
use super::stats::ReadStats;
use super::unpack::unpack;
use super::zip;
use crate::error::{Code, Error, Result, Words as _};
use crate::model::refusal::Reason;
use crate::model::{Compression, Input};

/// How many times as large a file is expected to be when it is decompressed.
const COMPRESSED_TO: u64 = 8;

/// The fewest bytes to decompress at a time.
const LEAST_PIECE: u64 = 16 << 10;

/// The decompressed bytes of a file, as UTF-8. [`ByteSource::explain`] turns an `io::Error` of the reader into an error of the
/// crate.
pub(super) struct ByteSource {
    reader: Box<dyn Read + Send>,
    /// How many bytes to ask for at a time. For a small file this is no more than it should need.
    piece: usize,
    path: String,
    compression: Compression,
    /// How many stored bytes the decompressor has taken.
    taken: Arc<AtomicU64>,
    /// How many decompressed bytes were returned.
    given: u64,
    /// The stored file has no bytes.
    empty: bool,
    /// What is wrong with the compressed data. It is set by an error.
    damage: Option<Reason>,
}

impl ByteSource {
    /// Reads the bytes that come `from` the opened file, whose first bytes tell how it is compressed.
    ///
    /// # Errors
    /// A file of a kind that can't be read, or not as `input` says: [`Stopped::Foreign`]; and an error of reading.
    pub fn open(
        file: &InputFile,
        handle: &FileHandle,
        from: Result<Origin>,
        input: &Input,
        stats: &Arc<ReadStats>,
    ) -> Result<Self, Stopped> {
        let from = match handle.unfit() {
            Some(unfit) => {
                let reason = Box::new(unfit.to_string().into());
                return Err(Stopped::Foreign(unfit.into_error(&file.path), reason));
            }
            None => from.map_err(Stopped::Source)?,
        };
        let taken = Arc::new(AtomicU64::new(0));
        let runtime = from.runtime();
        let mut raw = Raw {
            from,
            buffer: Bytes::new(),
            size: file.size,
            read: 0,
            ended: false,
            taken: Arc::clone(&taken),
            stats: Arc::clone(stats),
        };
        let mut source = Self {
            reader: Box::new(io::empty()),
            piece: 0,
            path: file.path.clone(),
            compression: Compression::None,
            taken,
            given: 0,
            empty: file.size == 0,
            damage: None,
        };
        let unpacked = refuse_several(&mut raw, file, handle, runtime.as_ref());
        let unpacked = unpacked.and_then(|()| unpack(raw, &handle.name(), input));
        let unpacked = unpacked.map_err(|error| {
            let error = source.explain(error);
            match source.damage.take() {
                Some(reason) => Stopped::Foreign(error, Box::new(reason)),
                None => Stopped::Source(error),
            }
        })?;
        let expected = match unpacked.compression {
            // One byte more than the file has, so that the same read finds its last byte and its end.
            Compression::None => file.size.saturating_add(1),
            _ => file.size.saturating_mul(COMPRESSED_TO).max(LEAST_PIECE),
        };
        source.piece = usize::try_from(expected).map_or(PIECE, |expected| expected.min(PIECE));
        source.reader = unpacked.reader;
        source.compression = unpacked.compression;
        Ok(source)
    }

    fn explain(&mut self, error: io::Error) -> Error {
        let error = match error.downcast::<Carried>() {
            Ok(carried) => return carried.0,
            Err(error) => error,
        };
        let error = match error.downcast::<Foreign>() {
            Ok(foreign) => {
                self.damage = Some(foreign.to_string().into());
                return foreign.into_error(&self.path);
            }
            Err(error) => error,
        };
        if self.compression == Compression::None {
            return Error::batch(format!("{} can't be read at byte {}", self.path, self.given)).cause(error);
        }
        let name = self.compression.name();
        if self.empty {
            self.damage = Some(format!("the file is empty, which no {name} file is").into());
            return Error::batch(format!("{} is empty, which no compressed file is", self.path))
                .code(Code::InputUnreadable)
                .hint("it may still be on its way; deliver it again");
        }
        let taken = self.taken.load(Ordering::Relaxed);
        let what = if error.kind() == io::ErrorKind::UnexpectedEof {
            "truncated"
        } else {
            "damaged"
        };
        self.damage = Some(format!("the file's {name} data is {what}").into());
        Error::batch(format!(
            "{} is {what}: its {name} data can't be read at byte {taken}",
            self.path
        ))
        .code(Code::InputUnreadable)
        .cause(format!("{}, after {} decompressed bytes", error.words(), self.given))
        .hint("deliver the file again, whole")
    }
}

impl Pieces for ByteSource {
    fn append(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        let start = buffer.len();
        buffer.resize(start + self.piece, 0);
        let mut filled = start;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.given += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    buffer.truncate(filled);
                    return Err(self.explain(error));
                }
            }
        }
        buffer.truncate(filled);
        if filled - start == self.piece {
            // The file is larger than expected, so the next reads ask for more.
            self.piece = PIECE;
        }
        Ok(filled - start)
    }

    fn damage(&self) -> Option<Reason> {
        self.damage.clone()
    }
}

/// Refuses a zip archive of several files before any of them is read, by the directory at its end.
fn refuse_several(raw: &mut Raw, file: &InputFile, handle: &FileHandle, runtime: Option<&Handle>) -> io::Result<()> {
    if !raw.fill_buf()?.starts_with(&zip::LOCAL) {
        return Ok(());
    }
    let start = file.size.saturating_sub(zip::TAIL);
    let tail: Bytes = match handle {
        FileHandle::Local(path) => {
            let mut archive = File::open(path)?;
            archive.seek(SeekFrom::Start(start))?;
            let mut tail = Vec::new();
            archive.take(zip::TAIL).read_to_end(&mut tail)?;
            tail.into()
        }
        FileHandle::Remote(remote, path) => match runtime {
            Some(runtime) => runtime
                .block_on(fetch_range(remote, path, file, start..file.size))
                .map_err(carry)?,
            None => return Ok(()),
        },
        FileHandle::Memory(bytes) => bytes.slice(usize::try_from(start).unwrap_or(usize::MAX).min(bytes.len())..),
        FileHandle::Unfit(_) => return Ok(()),
    };
    match zip::files(&tail, file.size) {
        Some(files) if files > 1 => Err(zip::several().into()),
        _ => Ok(()),
    }
}

/// An error of the crate, wrapped so that it can pass through a library as an `io::Error` or a `ParquetError`.
#[derive(Debug)]
pub(super) struct Carried(pub Error);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Carried {}

fn carry(error: Error) -> io::Error {
    io::Error::other(Carried(error))
}

/// The bytes of a file as they are stored, counted and checked against the listing.
struct Raw {
    from: Origin,
    buffer: Bytes,
    /// The size that the listing gave, in bytes.
    size: u64,
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
    /// Opens a file. Cancelling `stop` ends the fetching of a remote one.
    pub fn open(file: &InputFile, handle: &FileHandle, runtime: &Handle, stop: CancellationToken) -> Result<Self> {
        let name = file.path.clone();
        match handle {
            FileHandle::Local(path) => {
                let opened = open_local(path, &name)?;
                Ok(Self::Local {
                    file: opened,
                    name,
                    etag: file.etag.clone(),
                })
            }
            FileHandle::Remote(remote, path) => {
                let pieces = fetch(remote.clone(), path.clone(), file.clone(), runtime, stop);
                let runtime = Some(runtime.clone());
                Ok(Self::Remote { pieces, name, runtime })
            }
            FileHandle::Memory(bytes) => {
                // An empty piece ends the file. Both messages fit into the channel.
                let (sender, pieces) = mpsc::channel(2);
                for piece in [bytes.clone(), Bytes::new()] {
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

    fn runtime(&self) -> Option<Handle> {
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
