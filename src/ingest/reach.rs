//! Finds out whether the storage of a source can be reached, for `pipeline doctor`. It reads no content.

use std::path::Path;

use chrono::NaiveDate;

use super::pattern::is_glob;
use super::store::{Remote, scheme};
use crate::error::{Error, Result};
use crate::model::Source;
use crate::project::expand_date;

/// Looks at the places of a source's input: a store with its credentials, or a folder. Returns the places, without what
/// a date or a wildcard stands for.
///
/// # Errors
/// A store that can't be reached or refuses access, and a folder that does not exist or may not be read.
pub async fn reach(root: &Path, source: &Source, date: NaiveDate) -> Result<String> {
    let mut places: Vec<String> = Vec::new();
    for one in &source.input.paths {
        let place = reach_path(root, source, &one.path, date).await?;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Ok(places.join(", "))
}

async fn reach_path(root: &Path, source: &Source, written: &str, date: NaiveDate) -> Result<String> {
    let path = expand_date(written, date);
    if scheme(&path).is_some() {
        let remote = Remote::open(&path, &source.input.storage)?;
        if is_glob(&remote.key) && remote.lists {
            let literal = remote
                .key
                .split('/')
                .take_while(|part| !is_glob(part))
                .collect::<Vec<_>>();
            remote.list_any(&literal).await?;
        } else {
            remote.head(&remote.key).await?;
        }
        return Ok(remote.base);
    }
    let fixed = written
        .split('/')
        .take_while(|part| !part.contains('{') && !is_glob(part));
    let fixed: Vec<&str> = fixed.collect();
    let whole = fixed.len() == written.split('/').count();
    let folder = fixed[..fixed.len() - usize::from(whole)].join("/");
    let folder = if folder.is_empty() { ".".to_owned() } else { folder };
    let place = root.join(if written.starts_with('/') && folder == "." {
        "/"
    } else {
        &folder
    });
    match std::fs::read_dir(&place) {
        Ok(_) => Ok(folder),
        Err(error) => Err(Error::batch(format!("the folder {folder} can't be read"))
            .cause(error)
            .hint(format!("make it, or correct `path` in pipelines/{}.yaml", source.name))),
    }
}
