//! Makes the stored bytes of a file a reader of its text in UTF-8: decompressed, and converted from the encoding that
//! the source declares. The first bytes tell what the file is.

use std::io::{self, BufRead, Cursor, Read};

use super::content::{HEAD, compression, foreign, signature};
use super::encoding::{Conversion, Converted, TEXT_HEAD, conversion};
use super::failure::Foreign;
use super::zip::ZipReader;
use crate::model::{Compression, Input};

/// The text of a file.
pub(super) struct Unpacked {
    pub reader: Box<dyn Read + Send>,
    pub compression: Compression,
}

/// Unpacks the stored bytes of a file. `name` is the file's own name.
///
/// # Errors
/// A [`Foreign`] file, as an `io::Error`; and what keeps its first bytes from being read. Damage of compressed data is
/// an error of the reader.
pub(super) fn unpack(mut stored: impl BufRead + Send + 'static, name: &str, input: &Input) -> io::Result<Unpacked> {
    let head = stored_head(&mut stored)?;
    let compression = compression(&head, input.compression, name)?;
    let data = if head.is_empty() && compression != Compression::None {
        Box::new(Nothing)
    } else {
        decompressed(Cursor::new(head).chain(stored), compression)?
    };
    let data = Peeked::new(data);
    if let Some(foreign) = data.foreign() {
        return Err(foreign.into());
    }
    let twice = match signature(&data.head) {
        Some(inner) if compression != Compression::None => Some(inner),
        _ => None,
    };
    if let Some(inner) = twice {
        let is = format!("compressed twice: {} holds {}", compression.name(), inner.name());
        return Err(Foreign::new(is, "compress it once").into());
    }
    if let Some(foreign) = foreign(&data.head) {
        return Err(foreign.into());
    }
    let reader: Box<dyn Read + Send> = match conversion(&data.head, input.encoding)? {
        Conversion::None => Box::new(data),
        Conversion::Latin1 => Box::new(Converted::new(data, None)),
        Conversion::Other(encoding) => Box::new(Converted::new(data, Some(encoding))),
    };
    Ok(Unpacked { reader, compression })
}

/// Whether the stored bytes are the text itself, in UTF-8, so that a byte of one is the same byte of the other. `head` are
/// the first ones.
pub(super) fn is_plain(head: &[u8], name: &str, input: &Input) -> bool {
    let stored = &head[..head.len().min(HEAD)];
    matches!(compression(stored, input.compression, name), Ok(Compression::None))
        && foreign(head).is_none()
        && matches!(conversion(head, input.encoding), Ok(Conversion::None))
}

pub(super) fn decompressed(
    stored: impl BufRead + Send + 'static,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(stored),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stored)?),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(stored)),
        Compression::Zip => Box::new(ZipReader::new(stored)),
    })
}

/// Takes the first bytes of a file out of `stored`: [`HEAD`] of them, or fewer where there are no more.
fn stored_head(stored: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    while head.len() < HEAD {
        let available = stored.fill_buf()?;
        let count = available.len().min(HEAD - head.len());
        if count == 0 {
            break;
        }
        head.extend_from_slice(&available[..count]);
        stored.consume(count);
    }
    Ok(head)
}

/// A reader whose first bytes were read ahead. An error after them comes when they are read.
struct Peeked {
    head: Vec<u8>,
    /// How many bytes of `head` were returned.
    given: usize,
    error: Option<io::Error>,
    inner: Box<dyn Read + Send>,
}

impl Peeked {
    fn new(mut inner: Box<dyn Read + Send>) -> Self {
        let (mut head, mut filled, mut error) = (vec![0; TEXT_HEAD], 0, None);
        while filled < TEXT_HEAD {
            match inner.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(found) if found.kind() == io::ErrorKind::Interrupted => {}
                Err(found) => {
                    error = Some(found);
                    break;
                }
            }
        }
        head.truncate(filled);
        Self {
            head,
            given: 0,
            error,
            inner,
        }
    }

    /// What the file is, if reading found that it can't be read before any of its content.
    fn foreign(&self) -> Option<Foreign> {
        let error = self.error.as_ref().filter(|_| self.head.is_empty())?;
        error.get_ref()?.downcast_ref::<Foreign>().cloned()
    }
}

impl Read for Peeked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given < self.head.len() {
            let count = (self.head.len() - self.given).min(into.len());
            into[..count].copy_from_slice(&self.head[self.given..self.given + count]);
            self.given += count;
            return Ok(count);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.inner.read(into),
        }
    }
}

/// A compressed file without bytes. Reading it fails, since even an empty compressed file has a header.
struct Nothing;

impl Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
