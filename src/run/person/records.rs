//! Finds a person's records in the input files, and the entries of the quarantine that are about them. Entries hold no
//! value: only the files tell whose record it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt;

use super::entries::{Sought, hashes};
use super::subject::Person;
use crate::error::{Error, Result};
use crate::ingest::{self, Listing, ReadStats};
use crate::mask::{MaskKey, SubjectHash};
use crate::model::{Batch, OnEmpty, OnEmptyFile, OnMalformed, OnMissing, OnUnknownField, OnUnknownKind, Source};
use crate::warehouse::{Connection, runs};

/// The person's records in one input file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileTrace {
    pub batch: Batch,
    /// As messages name it.
    pub file: String,
    /// Numbers within the file, from 1.
    pub records: Vec<u64>,
}

/// Entries of the quarantine that are about the person's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub run_id: i64,
    pub batch: Batch,
    /// Files and records.
    pub places: Vec<(String, u64)>,
}

/// The files of a batch, as they are now, and the person's records in them.
pub(super) struct Read {
    listing: Listing,
    pub files: Vec<FileTrace>,
}

/// Reads the input of a batch. `None`: it is missing.
///
/// # Errors
/// A file that can't be read.
pub(super) async fn read(person: &Person<'_>, sought: &Sought<'_>, batch: &Batch) -> Result<Option<Read>> {
    let Person { project, key, .. } = person;
    let Sought { source, spots } = sought;
    let mut theirs = Vec::new();
    for (subject, domains) in spots {
        for domain in domains {
            theirs.extend(hashes(person, source, subject, domain).await?);
        }
    }
    if theirs.is_empty() {
        return Ok(None);
    }
    let mut lenient = Source::clone(source);
    let input = &mut lenient.input;
    (input.on_missing, input.on_malformed) = (OnMissing::Skip, OnMalformed::Quarantine);
    (input.on_empty, input.on_empty_file) = (OnEmpty::Replace, OnEmptyFile::Ignore);
    lenient.on_unknown_kind = OnUnknownKind::Ignore;
    for kind in &mut lenient.kinds {
        kind.on_unknown_field = OnUnknownField::Ignore;
    }
    let Some(listing) = ingest::list(&project.root, &lenient, batch.date).await? else {
        return Ok(None);
    };
    let subjects = SubjectHash::of(source, key).ok_or_else(Error::internal)?;
    let stats = Arc::new(ReadStats::default());
    let mut ids = Vec::new();
    let mut batches = listing.read(&lenient, crate::cores::cores(), Arc::clone(&stats));
    while let Some(records) = batches.try_next().await? {
        ids.extend(subjects.records_of(&theirs, &records)?);
    }
    // What could be read of refused records tells whose they are.
    for records in stats.take_salvaged() {
        ids.extend(subjects.records_of(&theirs, &records)?);
    }
    let mut files: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for id in ids {
        let place = listing.locate(id);
        files
            .entry(place.file.unwrap_or_default())
            .or_default()
            .insert(place.number);
    }
    let files = files.into_iter().map(|(file, records)| FileTrace {
        batch: batch.clone(),
        file,
        records: records.into_iter().collect(),
    });
    Ok(Some(Read {
        files: files.collect(),
        listing,
    }))
}

/// Those entries of the quarantine that are about the person's records. A run whose file has changed since is left out:
/// its record of that number may be another.
pub(super) async fn entries(
    connection: &Connection,
    read: &Read,
    batch: &Batch,
    of_batch: &[(i64, String, u64)],
    key: &MaskKey,
) -> Result<Vec<Entry>> {
    let theirs = |file: &str, record: u64| {
        let mut files = read.files.iter();
        files.any(|one| one.file == file && one.records.contains(&record))
    };
    let mut by_run: BTreeMap<i64, Vec<(String, u64)>> = BTreeMap::new();
    for (run_id, file, record) in of_batch.iter().filter(|(_, file, record)| theirs(file, *record)) {
        by_run.entry(*run_id).or_default().push((file.clone(), *record));
    }
    let (mut entries, etags) = (Vec::new(), key.etags());
    for (run_id, mut places) in by_run {
        let seen = runs::files(connection, run_id).await?;
        let seen = seen.as_array().map_or(&[][..], Vec::as_slice);
        places.retain(|(file, _)| {
            let mut seen = seen.iter().filter(|one| one["path"].as_str() == Some(file));
            let mut now = read.listing.files().iter().filter(|one| one.path == *file);
            let (Some(seen), Some(now)) = (seen.next(), now.next()) else {
                return false;
            };
            seen["size"].as_u64() == Some(now.size) && now.is_noted_as(seen["etag"].as_str(), Some(&etags))
        });
        if !places.is_empty() {
            entries.push(Entry {
                run_id,
                batch: batch.clone(),
                places,
            });
        }
    }
    Ok(entries)
}
