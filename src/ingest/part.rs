//! Divides the input of a batch into parts, which can be read by themselves. A part is a run of the files, and may begin
//! and end within a file. The numbers of its records are those of the whole file where the format tells them; else they
//! count from the part's beginning, and who puts the parts together knows how many came before.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::files::InputFile;
use crate::model::{Compression, Encoding, Format, Input};

/// How many bytes of text a byte of a compressed file counts for.
const PACKED: u64 = 8;

/// A byte of a listing's files, as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    /// The index of the file.
    file: usize,
    byte: u64,
}

/// A run of the input. What begins before `to` belongs to it: a line, a row group, or the whole file where neither can be
/// found by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    from: Place,
    to: Place,
}

/// The bytes of a file that belong to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub from: u64,
    pub to: u64,
}

impl Stretch {
    /// Where the file is opened: at the byte before, which tells whether a line begins here.
    pub fn opened_at(self) -> u64 {
        self.from.saturating_sub(1)
    }
}

impl Part {
    /// Divides files into parts of about `size` bytes of text, and into no more than `most`. Empty: they are too small for
    /// two.
    pub fn divide(files: &[InputFile], input: &Input, size: u64, most: usize) -> Vec<Self> {
        let bytes = files
            .iter()
            .map(|file| text_bytes(file, input))
            .fold(0, u64::saturating_add);
        let count = (bytes / size.max(1)).min(most as u64);
        if count < 2 {
            return Vec::new();
        }
        let mut places = vec![Place { file: 0, byte: 0 }];
        let (mut before, mut next) = (0, 1);
        for (index, file) in files.iter().enumerate() {
            let end = before + text_bytes(file, input);
            while next < count {
                let cut = u64::try_from(u128::from(bytes) * u128::from(next) / u128::from(count)).unwrap_or(bytes);
                if cut >= end {
                    break;
                }
                places.push(place(index, file, cut - before, input));
                next += 1;
            }
            before = end;
        }
        places.push(Place {
            file: files.len(),
            byte: 0,
        });
        places.dedup();
        if places.len() < 3 {
            return Vec::new();
        }
        let part = |ends: &[Place]| Self {
            from: ends[0],
            to: ends[1],
        };
        places.windows(2).map(part).collect()
    }

    /// The indices of the files of which it reads something.
    pub fn files(&self) -> Range<usize> {
        self.from.file..self.to.file + usize::from(self.to.byte > 0)
    }

    /// How many bytes it reads of the files, as they are stored.
    pub fn stored_bytes(&self, files: &[InputFile]) -> u64 {
        self.sum(files, |file| file.size)
    }

    /// About how many bytes of text it reads.
    pub fn text_bytes(&self, files: &[InputFile], input: &Input) -> u64 {
        self.sum(files, |file| text_bytes(file, input))
    }

    /// The bytes of its stretches, and what a whole file counts for.
    fn sum(&self, files: &[InputFile], whole: impl Fn(&InputFile) -> u64) -> u64 {
        let of_file = |index: usize| match self.of_file(index, files[index].size) {
            Some(stretch) => stretch.to.saturating_sub(stretch.from),
            None => whole(&files[index]),
        };
        self.files().map(of_file).fold(0, u64::saturating_add)
    }

    /// Whether it reads a file of this size to its end.
    pub(super) fn ends(&self, index: usize, size: u64) -> bool {
        index < self.to.file || self.to.byte >= size
    }

    /// The bytes that it reads of a file. `None`: all.
    pub(super) fn of_file(&self, index: usize, size: u64) -> Option<Stretch> {
        let from = if index == self.from.file { self.from.byte } else { 0 };
        let to = if index == self.to.file { self.to.byte } else { size };
        (from > 0 || to < size).then_some(Stretch { from, to })
    }
}

/// Whether a file is compressed as a whole, as far as its name and the source tell it. Its reader sees the rest.
fn is_packed(file: &InputFile, input: &Input) -> bool {
    let ends = |suffix: &&str| file.path.split('#').next().is_some_and(|path| path.ends_with(*suffix));
    let named = matches!(input.compression, Some(compression) if compression != Compression::None);
    input.format != Format::Parquet && (named || ["gz", "zst", "bz2", "zip"].iter().any(ends))
}

/// About how many bytes of text a file holds.
fn text_bytes(file: &InputFile, input: &Input) -> u64 {
    file.size
        .saturating_mul(if is_packed(file, input) { PACKED } else { 1 })
}

/// Where to cut near a byte of a file's text: there, or at the nearer end of a file that can only be read as a whole.
fn place(index: usize, file: &InputFile, byte: u64, input: &Input) -> Place {
    match input.format {
        Format::Parquet => Place { file: index, byte },
        Format::Ndjson if !is_packed(file, input) && input.encoding == Encoding::Utf8 => Place { file: index, byte },
        _ if byte.saturating_mul(2) < text_bytes(file, input) => Place { file: index, byte: 0 },
        _ => Place {
            file: index + 1,
            byte: 0,
        },
    }
}

#[cfg(test)]
mod tests;
