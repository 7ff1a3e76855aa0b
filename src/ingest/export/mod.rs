//! Finds the files of a bulk export by its manifest, and makes sure that they are there and that there are no others.

mod manifest;
mod watched;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use bytes::Bytes;
use chrono::DateTime;
use serde_json::{Value, json};

use super::fetch::fetch_range;
use super::files::{FileHandle, Found, InputFile, list_path};
use super::store::scheme;
use crate::error::{Code, Error, Result};
use crate::model::reference::resource_type;
use crate::model::{Kind, RecordPath, RecordStep, Source};
use manifest::{Entry, Manifest};

pub(super) use manifest::Expected;
pub(super) use watched::Watched;

/// The largest manifest, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// The endings of files that belong to an export.
const ENDINGS: [&str; 2] = [".ndjson", ".ndjson.gz"];

/// The field that names the type of a resource.
const TYPE: &str = "resourceType";

/// What the manifests of a batch say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Export {
    /// The times of the exports, as far as they are times.
    pub transaction_times: Vec<String>,
    /// Files of resources.
    pub output: u64,
    /// Files of deletions.
    pub deleted: u64,
    /// Files with what the server could not export. They are not read.
    pub errors: u64,
    /// The messages in these files, as far as the manifests count them.
    pub messages: u64,
}

/// The files of an export.
pub(super) struct Files {
    pub found: Found,
    /// The kind of each file's records. `None`: the records tell.
    pub kinds: Vec<Option<usize>>,
    /// What each file must be.
    pub expected: Vec<Expected>,
    pub export: Export,
}

impl Export {
    /// As the account of a run has it.
    pub fn value(&self) -> Value {
        json!({
            "transaction_times": self.transaction_times,
            "output": self.output,
            "deleted": self.deleted,
            "errors": {"files": self.errors, "messages": self.messages},
        })
    }

    /// What the server could not export. `None`: it says nothing of the kind.
    pub fn warning(&self) -> Option<String> {
        let counted = match self.messages {
            0 => String::new(),
            messages => format!(" with {messages} messages"),
        };
        let files = if self.errors == 1 { "1 file" } else { "files" };
        let files = if self.errors > 1 {
            format!("{} {files}", self.errors)
        } else {
            files.to_owned()
        };
        (self.errors > 0).then(|| {
            format!("the export may lack resources: its server reports errors in {files}{counted}, under `error` of the manifest")
        })
    }
}

/// Where the records of a file of deletions are: each line is a Bundle, and each of its entries is a record.
pub(super) fn entries() -> RecordPath {
    RecordPath(vec![RecordStep::Key("entry".to_owned()), RecordStep::Each])
}

/// Finds the files that the manifests name.
///
/// # Errors
/// A manifest that can't be read; a file that is missing; a file of an export that no manifest names.
pub(super) async fn files(root: &Path, source: &Source, manifests: Found) -> Result<Files> {
    let mut finding = Finding {
        root,
        source,
        used: HashSet::new(),
        beside: BTreeMap::new(),
        files: Files {
            found: Vec::new(),
            kinds: Vec::new(),
            expected: Vec::new(),
            export: Export::default(),
        },
    };
    let (mut open, count) = (0, manifests.len());
    let first = manifests
        .first()
        .map_or_else(String::new, |(file, _)| file.path.clone());
    for (file, handle) in manifests {
        let manifest = Manifest::parse(&bytes(&file, &handle).await?, &file.path)?;
        open += usize::from(manifest.continues());
        finding.manifest(&file.path, &place(&handle), &manifest).await?;
    }
    // The last part of a manifest names no next one.
    if open == count && count > 0 {
        return Err(incomplete(
            format!("{first} is not the whole manifest: it names a next part"),
            "download the other parts of the manifest, too, and let a wildcard in `path` match all of them",
        ));
    }
    finding.surplus(&first)?;
    Ok(finding.files)
}

fn incomplete(message: String, hint: &str) -> Error {
    Error::batch(message).code(Code::InputIncomplete).hint(hint)
}

/// The whole content of a manifest.
async fn bytes(file: &InputFile, handle: &FileHandle) -> Result<Bytes> {
    if file.size > MOST_BYTES {
        return Err(Error::batch(format!("{} is too large for a manifest", file.path))
            .code(Code::InputUnreadable)
            .cause(format!("{} bytes, where {MOST_BYTES} are allowed", file.size))
            .hint("let `path` name the manifest of the export, not one of its files"));
    }
    match handle {
        FileHandle::Local(path) => {
            let failed = |error: std::io::Error| {
                Error::batch(format!("{} can't be read", file.path))
                    .code(Code::InputUnreadable)
                    .cause(error)
                    .hint("check who may read it")
            };
            tokio::fs::read(path).await.map(Bytes::from).map_err(failed)
        }
        FileHandle::Remote(remote, key) => fetch_range(remote, key, file, 0..file.size).await,
        FileHandle::Memory(bytes) => Ok(bytes.clone()),
        FileHandle::Unfit(_) => match handle.unfit() {
            Some(unfit) => Err(unfit.into_error(&file.path)),
            None => Err(Error::internal()),
        },
    }
}

/// Where a manifest is. A local path is absolute: the project's folder may be named by a relative one, and a pattern made
/// of that would be taken for a path within the project.
fn place(handle: &FileHandle) -> String {
    let absolute = match handle {
        FileHandle::Local(path) => std::path::absolute(path).ok(),
        _ => None,
    };
    absolute.map_or_else(|| handle.name(), |path| path.to_string_lossy().into_owned())
}

struct Finding<'a> {
    root: &'a Path,
    source: &'a Source,
    /// The names of the files that a manifest names.
    used: HashSet<String>,
    /// The files beside the manifests, by their names.
    beside: BTreeMap<String, (InputFile, FileHandle)>,
    files: Files,
}

impl Finding<'_> {
    /// Adds the files of a manifest. `path` is how messages call it, `name` where it is.
    async fn manifest(&mut self, path: &str, name: &str, manifest: &Manifest) -> Result<()> {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        // A server of files can't be asked which it has.
        if !scheme(folder).is_some_and(|scheme| scheme.starts_with("http")) {
            let all = list_path(self.root, &self.source.input.storage, &format!("{}/*", literal(folder))).await?;
            self.beside
                .extend(all.into_iter().map(|(file, handle)| (handle.name(), (file, handle))));
        }
        for (index, entry) in manifest.output.iter().enumerate() {
            let kind = entry
                .resource
                .as_deref()
                .and_then(|name| kind_of(&self.source.kinds, name));
            let shown = format!("{path}#output[{index}]");
            self.file(folder, &shown, entry, kind, entry.expected(false)).await?;
        }
        for (index, entry) in manifest.deleted.iter().flatten().enumerate() {
            let shown = format!("{path}#deleted[{index}]");
            self.file(folder, &shown, entry, None, entry.expected(true)).await?;
        }
        let export = &mut self.files.export;
        for entry in manifest.error.iter().flatten() {
            export.errors += 1;
            export.messages += entry.count().unwrap_or(0);
            self.used
                .extend(entry.names().iter().map(|name| format!("{folder}/{name}")));
        }
        export.output += manifest.output.len() as u64;
        export.deleted += manifest.deleted.iter().flatten().count() as u64;
        // Another text may be anything.
        let time = DateTime::parse_from_rfc3339(&manifest.transaction_time);
        export.transaction_times.extend(time.ok().map(|time| time.to_rfc3339()));
        Ok(())
    }

    async fn file(
        &mut self,
        folder: &str,
        shown: &str,
        entry: &Entry,
        kind: Option<usize>,
        expected: Expected,
    ) -> Result<()> {
        let Some((file, handle)) = self.find(folder, entry).await? else {
            let of_type = match entry.resource.as_deref() {
                Some(name) if self.is_known(name) => format!(", of type {name},"),
                _ => String::new(),
            };
            let message = format!("a file of the export is missing: {shown}{of_type} is not beside its manifest");
            return Err(incomplete(
                message,
                "save each file of the export in the manifest's folder, under the last part of its URL; `.gz` or `.ndjson` may \
                 follow it",
            ));
        };
        if !self.used.insert(handle.name()) {
            return Err(incomplete(
                format!("{shown} and another entry of the export are one file"),
                "save each file under a name of its own: that of a relative `url`, or the last part of another",
            ));
        }
        let path = shown.to_owned();
        self.files.found.push((InputFile { path, ..file }, handle));
        self.files.kinds.push(kind);
        self.files.expected.push(expected);
        Ok(())
    }

    /// Whether a type is one of FHIR, or one that the source names. Any other text may be data.
    fn is_known(&self, name: &str) -> bool {
        resource_type(name).is_some() || kind_of(&self.source.kinds, name).is_some()
    }

    /// Finds the file of an entry beside the manifest.
    async fn find(&self, folder: &str, entry: &Entry) -> Result<Option<(InputFile, FileHandle)>> {
        let names: Vec<String> = entry.names().iter().map(|name| format!("{folder}/{name}")).collect();
        if let Some(found) = names.iter().find_map(|name| self.beside.get(name)) {
            return Ok(Some(found.clone()));
        }
        for name in names.iter().filter(|name| !name.contains(['*', '?', '['])) {
            let mut found = list_path(self.root, &self.source.input.storage, name).await?;
            if let Some(found) = found.pop() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Refuses files of an export that no manifest names: they may be of another export.
    fn surplus(&self, first: &str) -> Result<()> {
        let is_part = |name: &&String| ENDINGS.iter().any(|ending| name.ends_with(ending));
        let surplus = self.beside.keys().filter(is_part);
        match surplus.filter(|name| !self.used.contains(*name)).count() {
            0 => Ok(()),
            count => Err(incomplete(
                format!("files that no manifest names lie beside {first}: {count} in .ndjson or .ndjson.gz"),
                "they may be of another export: move them away, or deliver the export again into a folder of its own",
            )),
        }
    }
}

/// The one kind whose condition asks for resources of this type.
fn kind_of(kinds: &[Kind], resource: &str) -> Option<usize> {
    let asks = |kind: &Kind| {
        let mut conditions = kind.conditions.iter();
        conditions.any(|one| one.path == [TYPE] && one.values.iter().any(|value| value == resource))
    };
    let mut asking = kinds.iter().enumerate().filter(|(_, kind)| asks(kind));
    match (asking.next(), asking.next()) {
        (Some((index, _)), None) => Some(index),
        _ => None,
    }
}

/// A path as a pattern that matches it alone.
fn literal(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            '*' | '?' | '[' => text.extend(['[', character, ']']),
            other => text.push(other),
        }
    }
    text
}
