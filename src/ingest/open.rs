//! Reads the text of one listed file, decompressed and as UTF-8, as a blocking reader. A read that stops before the end of the file
//! is an error. Compressed streams are checked to their last byte.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::failure::Foreign;
use super::fetch::fetch_range;
use super::files::{FileHandle, InputFile};
use super::split::{PIECE, Pieces, Stopped};
use super::stats::ReadStats;
use super::stored::{Carried, Origin, Raw, carry};
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
        let mut raw = Raw::new(from, file, 0, Arc::clone(&taken), Arc::clone(stats));
        let mut source = Self::new(Box::new(io::empty()), file, taken);
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

    /// Reads the stored bytes from one of them on, as they are.
    pub fn from_byte(at: u64, from: Origin, file: &InputFile, stats: &Arc<ReadStats>) -> Self {
        let taken = Arc::new(AtomicU64::new(at));
        let raw = Raw::new(from, file, at, Arc::clone(&taken), Arc::clone(stats));
        Self {
            piece: PIECE,
            given: at,
            ..Self::new(Box::new(raw), file, taken)
        }
    }

    fn new(reader: Box<dyn Read + Send>, file: &InputFile, taken: Arc<AtomicU64>) -> Self {
        Self {
            reader,
            piece: 0,
            path: file.path.clone(),
            compression: Compression::None,
            taken,
            given: 0,
            empty: file.size == 0,
            damage: None,
        }
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
