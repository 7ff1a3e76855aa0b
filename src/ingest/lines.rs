//! Reads the lines of a file that begin in a stretch of it. Stretches side by side give each line of the file once.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use memchr::memchr;
use tokio::runtime::Handle;

use super::encoding::TEXT_HEAD;
use super::failure::changed;
use super::fetch::fetch_range;
use super::files::{FileHandle, InputFile, local_etag};
use super::open::ByteSource;
use super::part::Stretch;
use super::split::{Pieces, Stopped};
use super::stats::ReadStats;
use super::stored::Origin;
use super::unpack::is_plain;
use crate::error::{Error, Result};
use crate::model::Input;

/// How a stretch of a file is read.
pub(super) enum Cut {
    Lines(Box<Lines>),
    /// No line can be found by its byte, so the file is read as a whole, with the stretch at its beginning.
    Whole(Result<Origin>),
    /// It is read with another stretch.
    Elsewhere,
}

/// The whole lines that begin in a stretch.
pub(super) struct Lines {
    source: ByteSource,
    file: InputFile,
    /// Where the file lies, if that is on the disk.
    local: Option<PathBuf>,
    /// What was read and not handed on yet.
    pending: Vec<u8>,
    /// The byte of the file that is handed on next.
    at: u64,
    start: u64,
    to: u64,
    ended: bool,
}

impl Cut {
    /// `origin` is the file, opened where the stretch says.
    pub fn open(
        file: &InputFile,
        handle: &FileHandle,
        origin: Result<Origin>,
        stretch: Stretch,
        input: &Input,
        stats: &Arc<ReadStats>,
        runtime: &Handle,
    ) -> Result<Self, Stopped> {
        let is_cut = handle.unfit().is_none() && {
            let head = head(file, handle, runtime).map_err(Stopped::Source)?;
            is_plain(&head, &handle.name(), input)
        };
        if !is_cut {
            return Ok(if stretch.from == 0 {
                Self::Whole(origin)
            } else {
                Self::Elsewhere
            });
        }
        let at = stretch.opened_at();
        let source = ByteSource::from_byte(at, origin.map_err(Stopped::Source)?, file, stats);
        let mut lines = Lines {
            source,
            file: file.clone(),
            local: match handle {
                FileHandle::Local(path) => Some(path.clone()),
                _ => None,
            },
            pending: Vec::new(),
            at,
            start: 0,
            to: stretch.to,
            ended: false,
        };
        if stretch.from > 0 {
            lines.skip_line().map_err(Stopped::Source)?;
        }
        lines.start = lines.at;
        lines.ended |= lines.at >= lines.to;
        Ok(Self::Lines(Box::new(lines)))
    }
}

impl Lines {
    /// Skips the rest of a line that began before.
    fn skip_line(&mut self) -> Result<()> {
        loop {
            let mut piece = Vec::new();
            let count = self.source.append(&mut piece)?;
            if let Some(end) = memchr(b'\n', &piece) {
                self.at += end as u64 + 1;
                self.pending = piece.split_off(end + 1);
                return Ok(());
            }
            self.at += count as u64;
            if count == 0 {
                self.ended = true;
                return Ok(());
            }
        }
    }

    /// Makes sure that a file on the disk, of which the rest is not read here, is still the one that was listed. A store
    /// compares at each request.
    fn verify(&self) -> Result<()> {
        let Some(path) = &self.local else {
            return Ok(());
        };
        let now = std::fs::metadata(path).ok().map(|metadata| local_etag(&metadata));
        if now == self.file.etag {
            Ok(())
        } else {
            Err(changed(&self.file.path))
        }
    }
}

impl Pieces for Lines {
    fn start(&self) -> u64 {
        self.start
    }

    fn append(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let before = buffer.len();
        if self.pending.is_empty() {
            self.source.append(buffer)?;
        } else {
            buffer.append(&mut self.pending);
        }
        let count = buffer.len() - before;
        if count == 0 {
            self.ended = true;
            return Ok(0);
        }
        // The line that holds the last byte before `to` is the last one.
        let last = usize::try_from(self.to.saturating_sub(1).saturating_sub(self.at)).unwrap_or(usize::MAX);
        self.at += count as u64;
        if last < count
            && let Some(end) = memchr(b'\n', &buffer[before + last..])
        {
            buffer.truncate(before + last + end + 1);
            self.ended = true;
            self.verify()?;
        }
        Ok(buffer.len() - before)
    }
}

/// The first bytes of a file, as many as tell what it is.
fn head(file: &InputFile, handle: &FileHandle, runtime: &Handle) -> Result<Vec<u8>> {
    let size = file.size.min(TEXT_HEAD as u64);
    let unreadable = |error| Error::batch(format!("{} can't be opened", file.path)).cause(error);
    match handle {
        FileHandle::Local(path) => {
            let mut head = Vec::new();
            let opened = File::open(path).map_err(unreadable)?;
            opened.take(size).read_to_end(&mut head).map_err(unreadable)?;
            Ok(head)
        }
        FileHandle::Remote(remote, path) => {
            let head = runtime.block_on(fetch_range(remote, path, file, 0..size))?;
            Ok(head.to_vec())
        }
        FileHandle::Memory(bytes) => Ok(bytes[..bytes.len().min(TEXT_HEAD)].to_vec()),
        FileHandle::Unfit(_) => Ok(Vec::new()),
    }
}
