//! Reads the one file of a zip archive as a stream, without seeking, so that an object of a store can be read as well.
//! The format is that of PKWARE's APPNOTE.TXT 6.3.10; section numbers refer to it.

use std::io::{self, BufRead, Read};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::failure::Foreign;

mod directory;

use directory::{DIRECTORY, END, document, is_passed_over, u16_at, u32_at};
pub(super) use directory::{TAIL, files};

pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

/// The most bytes that may follow the last file: the directory and its end. An archive of one file has far fewer.
const MOST_AFTER: u64 = 16 << 20;

const DELIVER: &str = "deliver one file per archive, or files that are not in an archive";

/// The text of the only file of an archive. Folders and what macOS adds (`__MACOSX/`) are passed over.
pub(super) struct ZipReader<R: BufRead> {
    state: State<R>,
    member: Member,
    /// How many entries were met.
    entries: u16,
    /// The file to read was met.
    found: bool,
}

enum State<R: BufRead> {
    /// The next bytes are a signature.
    Between(R),
    Stored(io::Take<R>),
    Deflated(DeflateDecoder<R>),
    Ended,
}

/// What the header of an entry says, and what was read of it so far.
#[derive(Default)]
struct Member {
    passed_over: bool,
    /// The checksum and the sizes come after the data.
    described_after: bool,
    /// Sizes have 8 bytes.
    large: bool,
    crc: u32,
    size: u64,
    read: Crc,
    length: u64,
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map(|()| bytes)
}

fn vector(from: &mut impl Read, length: u16) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    from.read_exact(&mut bytes).map(|()| bytes)
}

impl<R: BufRead> ZipReader<R> {
    pub fn new(archive: R) -> Self {
        Self {
            state: State::Between(archive),
            member: Member::default(),
            entries: 0,
            found: false,
        }
    }

    /// Reads what stands between two files: the header of the next one, or the directory.
    fn step(&mut self, mut archive: R) -> io::Result<State<R>> {
        match array(&mut archive)? {
            LOCAL => self.begin(archive),
            signature @ (DIRECTORY | END) => {
                self.end(signature, archive)?;
                Ok(State::Ended)
            }
            _ => Err(damaged("an entry of the archive has no header")),
        }
    }

    /// Reads the header of an entry: 4.3.7.
    fn begin(&mut self, mut archive: R) -> io::Result<State<R>> {
        let fixed: [u8; 26] = array(&mut archive)?;
        let (flags, method) = (u16_at(&fixed, 2), u16_at(&fixed, 4));
        let name = vector(&mut archive, u16_at(&fixed, 22))?;
        let extra = vector(&mut archive, u16_at(&fixed, 24))?;
        let packed = u32_at(&fixed, 14);
        let large = zip64_sizes(&extra);
        let (size, packed) = large.unwrap_or((u32_at(&fixed, 18).into(), packed.into()));
        self.member = Member {
            passed_over: is_passed_over(&name),
            described_after: flags & 8 != 0,
            large: large.is_some(),
            crc: u32_at(&fixed, 10),
            size,
            ..Member::default()
        };
        self.entries = self.entries.wrapping_add(1);
        if !self.member.passed_over {
            if let Some(document) = document(&name) {
                return Err(Foreign::new(document, "export the data as CSV or JSON").into());
            }
            if std::mem::replace(&mut self.found, true) {
                return Err(several().into());
            }
        }
        if flags & 1 != 0 {
            return Err(Foreign::new("an encrypted zip archive", "deliver it without a password").into());
        }
        match method {
            8 => Ok(State::Deflated(DeflateDecoder::new(archive))),
            0 if !self.member.described_after => Ok(State::Stored(archive.take(packed))),
            0 if self.member.passed_over && packed == 0 => Ok(State::Stored(archive.take(0))),
            _ => Err(Foreign::new(
                "a zip archive packed by a method that can't be read",
                "pack it with the method deflate, which is the usual one",
            )
            .into()),
        }
    }

    /// Checks an entry after its data: 4.3.9.
    fn check(&mut self, mut archive: R) -> io::Result<State<R>> {
        let member = &mut self.member;
        if member.described_after {
            let mut crc = array(&mut archive)?;
            if crc == DESCRIPTOR {
                crc = array(&mut archive)?;
            }
            member.crc = u32::from_le_bytes(crc);
            member.size = if member.large {
                u64::from_le_bytes(array::<16>(&mut archive)?[8..].try_into().unwrap_or_default())
            } else {
                u32_at(&array::<8>(&mut archive)?, 4).into()
            };
        }
        // A file that follows is wanted, so its absence is a truncation and no wrong checksum.
        if archive.fill_buf()?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if member.read.sum() != member.crc || member.length != member.size {
            return Err(damaged(
                "the checksum of the file in the archive does not fit its content",
            ));
        }
        Ok(State::Between(archive))
    }

    /// Reads the directory to the end of the archive, and compares it with what was read: 4.3.16.
    fn end(&mut self, signature: [u8; 4], archive: R) -> io::Result<()> {
        let mut rest = signature.to_vec();
        let mut archive = archive.take(MOST_AFTER);
        archive.read_to_end(&mut rest)?;
        if archive.limit() == 0 {
            return Err(damaged("too much follows the last file of the archive"));
        }
        let is_end = |at: &usize| {
            let end = &rest[*at..];
            end.starts_with(&END) && end.len() >= 22 && end.len() == 22 + usize::from(u16_at(end, 20))
        };
        let Some(at) = (0..rest.len()).rev().find(is_end) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if u16_at(&rest[at..], 10) != self.entries {
            return Err(damaged("the directory of the archive does not fit its files"));
        }
        if self.found {
            Ok(())
        } else {
            Err(Foreign::new("a zip archive without a file", DELIVER).into())
        }
    }

    /// The next bytes of the entry that is open. `None`: there is none.
    fn data(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let count = match &mut self.state {
            State::Deflated(data) => data.read(into)?,
            State::Stored(data) => data.read(into)?,
            State::Between(_) | State::Ended => return Ok(None),
        };
        self.member.read.update(&into[..count]);
        self.member.length += count as u64;
        Ok(Some(count))
    }
}

impl<R: BufRead> Read for ZipReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match self.data(into)? {
                Some(0) | None => {}
                Some(_) if self.member.passed_over => continue,
                Some(count) => return Ok(count),
            }
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Deflated(data) => self.check(data.into_inner())?,
                State::Stored(data) if data.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                State::Stored(data) => self.check(data.into_inner())?,
                State::Between(archive) => self.step(archive)?,
                State::Ended => return Ok(0),
            };
        }
    }
}

/// What an archive is that has more than one file.
pub(super) fn several() -> Foreign {
    Foreign::new("a zip archive of several files", DELIVER)
}

/// The size and the packed size of an entry larger than 4 GiB: 4.5.3. `None`: the sizes have 4 bytes.
fn zip64_sizes(mut extra: &[u8]) -> Option<(u64, u64)> {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let field = extra.get(4..4 + length)?;
        if id == 1 {
            let number = |at: usize| field.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
            return Some((number(0).unwrap_or(0), number(8).unwrap_or(0)));
        }
        extra = &extra[4 + length..];
    }
    None
}

#[cfg(test)]
pub(super) mod tests;
