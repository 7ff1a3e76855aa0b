//! The files of one batch: lists those of all paths of its source, in a fixed order, and finds a record among them.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use chrono::NaiveDate;

use super::export::{self, Expected, Export};
use super::files::{FileHandle, Found, InputFile, list_path};
use super::part::{Part, Stretch};
use crate::error::{Code, Error, Result};
use crate::mask::NameHash;
use crate::model::{Format, OnMissing, RECORD_BITS, RecordRef, Source};
use crate::project::expand_date;

/// The files of one batch, sorted by path. There is at least one.
#[derive(Clone)]
pub struct Listing {
    files: Arc<[InputFile]>,
    pub(super) handles: Arc<[FileHandle]>,
    /// The kind that each file's path names, by its index in the source. `None`: the records tell.
    pub(super) kinds: Arc<[Option<usize>]>,
    /// Set by the first read that ends. Only that read warns of undeclared fields and of cut times, so that a batch
    /// that is read several times warns once.
    pub(super) warned: Arc<AtomicBool>,
    /// The keyed hash by which undeclared fields are told apart. `None`: they are only counted.
    pub(super) names: Option<NameHash>,
    /// What the manifest of a bulk export says of each file. Empty for other input.
    pub(super) expected: Arc<[Expected]>,
    export: Option<Arc<Export>>,
    /// The only kind whose records are decoded, by its index in the source. `None`: those of all kinds.
    pub(super) only: Option<usize>,
    /// The part of the files that is read. `None`: all of them.
    pub(super) part: Option<Part>,
}

impl Listing {
    /// A listing of files that lie in memory, each with the kind of its records, by its index in the source. `path` is
    /// how messages call them.
    pub fn in_memory(path: &str, files: Vec<(Option<usize>, Bytes)>) -> Self {
        let file = |(_, bytes): &(Option<usize>, Bytes)| InputFile {
            path: path.to_owned(),
            size: bytes.len() as u64,
            etag: None,
            changed: None,
        };
        Self {
            files: files.iter().map(file).collect(),
            kinds: files.iter().map(|(kind, _)| *kind).collect(),
            handles: files.into_iter().map(|(_, bytes)| FileHandle::Memory(bytes)).collect(),
            warned: Arc::default(),
            names: None,
            expected: Arc::default(),
            export: None,
            only: None,
            part: None,
        }
    }

    /// What the manifests of a bulk export say.
    pub fn export(&self) -> Option<&Export> {
        self.export.as_deref()
    }

    pub fn files(&self) -> &[InputFile] {
        &self.files
    }

    /// The size of all files together, in bytes, as stored.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Sets the keyed hash by which warnings and counts tell undeclared fields apart.
    #[must_use]
    pub fn hashing_names(self, names: Option<NameHash>) -> Self {
        Self { names, ..self }
    }

    /// The same files, of which only the records of one kind are decoded, by its index in the source. A read of it is
    /// not the first of its batch.
    #[must_use]
    pub fn of_kind(self, kind: usize) -> Self {
        let only = Some(kind);
        Self { only, ..self }
    }

    /// The only kind whose records are decoded. `None`: those of all kinds.
    pub fn only(&self) -> Option<usize> {
        self.only
    }

    /// The same files, of which a part is read. Its read judges nothing: who puts the parts together does.
    #[must_use]
    pub fn of_part(self, part: Part) -> Self {
        let part = Some(part);
        Self { part, ..self }
    }

    /// The indices of the files to read.
    pub(super) fn read_files(&self) -> Range<usize> {
        self.part.map_or(0..self.files.len(), |part| part.files())
    }

    /// The bytes to read of a file. `None`: all.
    pub(super) fn stretch(&self, index: usize) -> Option<Stretch> {
        self.part.and_then(|part| part.of_file(index, self.files[index].size))
    }

    /// The files with their own names: an absolute path or a URL. Show them only to a user who asks for them.
    pub fn names(&self) -> impl Iterator<Item = (&InputFile, String)> {
        self.files.iter().zip(self.handles.iter().map(FileHandle::name))
    }

    /// Finds the file and the number of a record, from a value of [`crate::model::RECORD_COLUMN`].
    pub fn locate(&self, record: u64) -> RecordRef {
        let file = usize::try_from(record >> RECORD_BITS).ok();
        let file = file.and_then(|index| self.files.get(index));
        RecordRef {
            file: file.map(|file| file.path.clone()),
            number: record & ((1 << RECORD_BITS) - 1),
        }
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Lists the input of one batch. `None`: it is missing, and the source has `on_missing: skip`.
///
/// # Errors
/// A missing input is an error of [`crate::error::Kind::Batch`]. A store that can't be reached is one of
/// [`crate::error::Kind::Unreachable`].
pub async fn list(root: &Path, source: &Source, date: NaiveDate) -> Result<Option<Listing>> {
    let (mut all, mut kinds, mut missing): (Found, _, _) = (Vec::new(), Vec::new(), Vec::new());
    for one in &source.input.paths {
        let path = expand_date(&one.path, date);
        let found = list_path(root, &source.input.storage, &path).await?;
        if found.is_empty() {
            missing.push(path);
        }
        let kind = one.kind.as_ref();
        let kind = kind.and_then(|name| source.kinds.iter().position(|kind| kind.name == *name));
        kinds.extend(found.iter().map(|_| kind));
        all.extend(found);
    }
    match (source.input.on_missing, missing.first()) {
        (OnMissing::Skip, Some(_)) if all.is_empty() => return Ok(None),
        (OnMissing::Fail, Some(path)) => {
            return Err(
                Error::batch(format!("the input of {} {date} is missing: {path}", source.name))
                    .code(Code::InputMissing)
                    .hint("deliver it, or set `on_missing: skip` where a day without input is normal"),
            );
        }
        _ => {}
    }
    for path in &missing {
        tracing::warn!(source = %source.name, %path, "the input has no file here");
    }
    met_once(source, &all)?;
    let (mut expected, mut export) = (Vec::new(), None);
    if source.input.format == Format::FhirBulk {
        let found = export::files(root, source, all).await?;
        (all, kinds, expected) = (found.found, found.kinds, found.expected);
        export = Some(Arc::new(found.export));
    }
    let (files, handles): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    Ok(Some(Listing {
        kinds: kinds.into(),
        files: files.into(),
        handles: handles.into(),
        warned: Arc::default(),
        names: None,
        expected: expected.into(),
        export,
        only: None,
        part: None,
    }))
}

/// Makes sure that no file is read twice, by two paths.
fn met_once(source: &Source, found: &Found) -> Result<()> {
    let mut names = HashSet::new();
    let again = found.iter().find(|(_, handle)| !names.insert(handle.name()));
    match again {
        Some((file, _)) if source.input.paths.len() > 1 => Err(Error::batch(format!(
            "two paths of {} match one file: {}",
            source.name, file.path
        ))
        .hint("let each file be matched by one path, so that its records load once")),
        _ => Ok(()),
    }
}
