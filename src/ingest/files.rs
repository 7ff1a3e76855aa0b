//! Finds the files of a path: lists what matches it on the disk or in a store. It reads no content.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use object_store::ObjectMeta;
use object_store::path::Path as StorePath;

use super::failure::Foreign;
use super::odd_keys::OddKey;
use super::pattern::{Pattern, is_glob};
use super::secret_files::SecretFiles;
use super::store::{Remote, scheme};
use super::walk::{look, walk};
use crate::error::{Error, Result};
use crate::mask::NameHash;

/// A file of a batch's input, as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputFile {
    /// How messages and tables call the file. A local path is relative to the project where it lies within, otherwise
    /// absolute; an object has its URL. Where a wildcard matched the file, this is the pattern and the number of the
    /// file in the listing, as in `in/*.json#2`, because senders put names and numbers of people into file names.
    /// [`super::Listing::names`] has the name itself.
    pub path: String,
    /// In bytes, as stored.
    pub size: u64,
    /// Changes when the content does. A store gives its own; on a disk it is made from the size and the time of the
    /// last change.
    pub etag: Option<String>,
    /// When an object of a store was last changed, in nanoseconds since 1970. `None` for a file on a disk.
    pub changed: Option<i64>,
}

impl InputFile {
    /// The etag as the run history may hold it. A store makes its etags from the content, often by MD5, so whoever
    /// guesses the content of a small object could test the guess. Of those only a keyed hash is noted; without a key,
    /// size and time.
    pub fn noted_etag(&self, hash: Option<&NameHash>) -> Option<String> {
        let Some(changed) = self.changed else {
            return self.etag.clone();
        };
        match (hash, &self.etag) {
            (Some(hash), Some(etag)) => Some(hash.of(etag)),
            _ => Some(format!("{changed:x}-{:x}", self.size)),
        }
    }

    /// Whether the run history means this file, as it is now. Older versions noted a store's etag as it is.
    pub fn is_noted_as(&self, etag: Option<&str>, hash: Option<&NameHash>) -> bool {
        let noted = [self.noted_etag(hash), self.noted_etag(None), self.etag.clone()];
        noted.iter().any(|one| one.as_deref() == etag)
    }
}

/// Where a listed file is read from.
#[derive(Clone)]
pub(super) enum FileHandle {
    Local(PathBuf),
    Remote(Remote, StorePath),
    /// The bytes themselves, for input that was never stored.
    Memory(Bytes),
    /// An object that can't be fetched, with its URL.
    Unfit(String),
}

impl FileHandle {
    /// An absolute path, or a URL. It may tell of a person, so it goes into no message and no table.
    pub fn name(&self) -> String {
        match self {
            Self::Local(path) => path.to_string_lossy().into_owned(),
            Self::Remote(remote, key) => format!("{}/{key}", remote.base),
            Self::Memory(_) => "memory".to_owned(),
            Self::Unfit(url) => url.clone(),
        }
    }

    /// What is wrong with an object that can't be fetched. `None`: the file can be opened.
    pub fn unfit(&self) -> Option<Foreign> {
        matches!(self, Self::Unfit(_)).then(|| {
            Foreign::new(
                "an object whose key can't be read: it has an empty part (`//`), `.`, `..`, a control character, or \
                 white space at an end",
                "copy the object to a key without these",
            )
        })
    }
}

pub(super) type Found = Vec<(InputFile, FileHandle)>;

/// A pattern as messages show it: relative to the project where it lies within.
fn shown(root: &Path, pattern: &str) -> String {
    let within = Path::new(pattern).strip_prefix(root);
    within.map_or_else(|_| pattern.to_owned(), |within| within.to_string_lossy().into_owned())
}

/// The files of one path, sorted, and called by their places where the path is a pattern.
pub(super) async fn list_path(root: &Path, storage: &[(String, String)], path: &str) -> Result<Found> {
    let mut found = if scheme(path).is_some() {
        list_remote(path, storage).await?
    } else {
        let (root, path) = (root.to_owned(), path.to_owned());
        let listing = tokio::task::spawn_blocking(move || list_local(&root, &path)).await;
        listing.map_err(|error| Error::batch("listing the input stopped").cause(error))??
    };
    found.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    if is_glob(path) {
        let shown = shown(root, path);
        for (number, (file, _)) in (1..).zip(&mut found) {
            file.path = format!("{shown}#{number}");
        }
    }
    Ok(found)
}

pub(super) async fn list_remote(url: &str, storage: &[(String, String)]) -> Result<Found> {
    if scheme(url).is_some_and(|scheme| scheme.starts_with("http")) && is_glob(url) {
        // The URL is not repeated: a query may hold a token.
        return Err(Error::project(
            "an https input can be neither a pattern nor have a query: nothing can be listed there",
        )
        .hint("name exactly one file, or use s3://, gs:// or az://"));
    }
    let remote = Remote::open(url, storage)?;
    let (objects, unfit) = if is_glob(&remote.key) && remote.lists {
        let pattern = parse(&remote.key)?;
        let (objects, mut unfit) = remote.list(&pattern.literal_prefix()).await?;
        let mut objects = without_folders(objects);
        objects.retain(|object| pattern.matches(object.location.as_ref()));
        unfit.retain(|odd| pattern.matches(&without_dots(&odd.key)));
        (objects, unfit)
    } else {
        (remote.head(&remote.key).await?.into_iter().collect(), Vec::new())
    };
    let unfit = unfit.into_iter().map(|OddKey { key, size, etag }| {
        let path = format!("{}/{key}", remote.base);
        let file = InputFile {
            path: path.clone(),
            size,
            etag,
            // It is never read, so it need not be told from a changed one. Its etag must not be noted as it is.
            changed: Some(0),
        };
        (file, FileHandle::Unfit(path))
    });
    let unfit: Found = unfit.collect();
    let listed = objects.into_iter().map(|object| {
        let path = format!("{}/{}", remote.base, object.location);
        let file = InputFile {
            path,
            size: object.size,
            etag: object.e_tag,
            changed: Some(object.last_modified.timestamp_nanos_opt().unwrap_or_default()),
        };
        (file, FileHandle::Remote(remote.clone(), object.location))
    });
    Ok(listed.chain(unfit).collect())
}

/// A key without parts that are `.` or `..`. They hide no object from a pattern that fits the rest.
fn without_dots(key: &str) -> String {
    let parts = key.split('/').filter(|part| !matches!(*part, "." | ".."));
    parts.collect::<Vec<_>>().join("/")
}

/// Drops the empty objects that some tools create in place of folders, such as `in/2023` beside `in/2023/a.json`.
fn without_folders(objects: Vec<ObjectMeta>) -> Vec<ObjectMeta> {
    let folders: HashSet<String> = objects
        .iter()
        .flat_map(|object| {
            object
                .location
                .as_ref()
                .rmatch_indices('/')
                .map(|(at, _)| &object.location.as_ref()[..at])
        })
        .map(str::to_owned)
        .collect();
    let is_folder = |object: &ObjectMeta| object.size == 0 && folders.contains(object.location.as_ref());
    objects.into_iter().filter(|object| !is_folder(object)).collect()
}

pub(super) fn list_local(root: &Path, path: &str) -> Result<Found> {
    let mut found = Vec::new();
    if is_glob(path) {
        let pattern = parse(path)?;
        let prefix: PathBuf = pattern.literal_prefix().iter().collect();
        let start = if Path::new(path).is_absolute() {
            Path::new("/").join(&prefix)
        } else {
            root.join(&prefix)
        };
        let steps = &pattern.steps[pattern.literal_prefix().len()..];
        // The error names the pattern, not the path: folders that a wildcard matched may have names of people.
        walk(&start, steps, &mut found).map_err(|error| unreadable(&shown(root, path), error))?;
    } else {
        let path = root.join(path);
        let metadata = look(&path).map_err(|error| unreadable(&path.to_string_lossy(), error))?;
        if let Some(metadata) = metadata.filter(Metadata::is_file) {
            found.push((path, metadata));
        }
    }
    // `**` can reach a file in more than one way.
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    let secret = SecretFiles::of(root);
    for (file, metadata) in &found {
        secret.refuse(file, metadata, &shown(root, path))?;
    }
    Ok(found
        .into_iter()
        .map(|(path, metadata)| {
            let shown = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let file = InputFile {
                path: shown,
                size: metadata.len(),
                etag: Some(local_etag(&metadata)),
                changed: None,
            };
            (file, FileHandle::Local(path))
        })
        .collect())
}

fn unreadable(path: &str, error: io::Error) -> Error {
    Error::batch(format!("{path} can't be read"))
        .cause(error)
        .hint("check who may read it")
}

/// Makes an etag of a local file from its size and the time of its last change.
pub(super) fn local_etag(metadata: &Metadata) -> String {
    let changed = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{:x}-{:x}", changed.unwrap_or_default().as_nanos(), metadata.len())
}

fn parse(path: &str) -> Result<Pattern> {
    Pattern::parse(path).map_err(|reason| {
        Error::project(format!("`{path}` is no valid pattern"))
            .cause(reason)
            .hint("`[[]` stands for a literal `[`")
    })
}
