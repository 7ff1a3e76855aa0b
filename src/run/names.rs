//! Looks up the names of files that a wildcard matched, for `pipeline quarantine show --names`. Tables and messages
//! hold only a file's place in the listing, because senders put names and numbers of people into file names.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use serde_json::Value;

use crate::error::Result;
use crate::ingest::{self, InputFile, Listing};
use crate::mask::{MaskKey, NameHash};
use crate::model::{OnMissing, Project, Source};
use crate::warehouse::quarantine::Found;
use crate::warehouse::{Connection, runs};

/// Replaces `in/*.json#2` by the file's name in entries of the quarantine. A file is recognised by the size and etag
/// that its run saw. Returns how many entries were left as they are, because their file is gone or has changed.
pub async fn name_files(project: &Project, connection: &Connection, entries: &mut [Found]) -> Result<usize> {
    let mut known: BTreeMap<i64, BTreeMap<String, String>> = BTreeMap::new();
    let mut nameless = 0;
    for found in entries {
        let source = project.source(&found.source);
        let literal = |source: &Source| !source.input.paths.iter().any(|one| ingest::is_glob(&one.path));
        if source.is_ok_and(literal) {
            continue;
        }
        let names = match known.entry(found.run_id) {
            Entry::Occupied(names) => names.into_mut(),
            Entry::Vacant(place) => place.insert(names_of(project, connection, found).await?),
        };
        if let Some(file) = &mut found.refusal.file {
            match names.get(file) {
                Some(name) => file.clone_from(name),
                None => nameless += 1,
            }
        }
    }
    Ok(nameless)
}

/// The names of the files of an entry's run, by what the run called them.
async fn names_of(project: &Project, connection: &Connection, found: &Found) -> Result<BTreeMap<String, String>> {
    // The source may have been removed from the project since.
    let Ok(source) = project.source(&found.source) else {
        return Ok(BTreeMap::new());
    };
    let mut source = source.clone();
    source.input.on_missing = OnMissing::Skip;
    let Some(listing) = ingest::list(&project.root, &source, found.batch_date).await? else {
        return Ok(BTreeMap::new());
    };
    let seen = runs::files(connection, found.run_id).await?;
    let seen = seen.as_array().map_or(&[][..], Vec::as_slice);
    let within = |name: String| match Path::new(&name).strip_prefix(&project.root) {
        Ok(within) => within.to_string_lossy().into_owned(),
        Err(_) => name,
    };
    let etags = MaskKey::at_hand(true, &project.root).map(|key| key.etags());
    let named = seen.iter().filter_map(|seen| name(seen, &listing, etags.as_ref()));
    Ok(named.map(|(path, name)| (path, within(name))).collect())
}

/// Where several files have the same size and etag, the one at the same place in the listing is meant.
fn name(seen: &Value, listing: &Listing, etags: Option<&NameHash>) -> Option<(String, String)> {
    let path = seen["path"].as_str()?;
    let same =
        |file: &InputFile| seen["size"].as_u64() == Some(file.size) && file.is_noted_as(seen["etag"].as_str(), etags);
    let alike: Vec<_> = listing.names().filter(|(file, _)| same(file)).collect();
    let here = alike.iter().find(|(file, _)| file.path == path);
    let (_, name) = here.or(if alike.len() == 1 { alike.first() } else { None })?;
    Some((path.to_owned(), name.clone()))
}
