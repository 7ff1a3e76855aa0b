//! Walks through folders of the disk, along the steps of a pattern.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::pattern::Step;

/// Finds the files below a folder that the steps of a pattern match. A folder that is missing holds none. A file may be
/// found twice.
pub(super) fn walk(folder: &Path, steps: &[Step], found: &mut Vec<(PathBuf, Metadata)>) -> io::Result<()> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok(());
    };
    if let Step::Literal(name) = step {
        return arrive(folder.join(name), rest, found);
    }
    if matches!(step, Step::Any) && !rest.is_empty() {
        walk(folder, rest, found)?;
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // A pattern is text, so it can't match a name that is not valid UTF-8.
        if !name.to_str().is_some_and(|name| step.fits(name)) {
            continue;
        }
        if matches!(step, Step::Any) {
            // `**` does not follow links to folders, since they may go in circles.
            if entry.file_type()?.is_dir() {
                walk(&entry.path(), steps, found)?;
            } else if rest.is_empty() {
                arrive(entry.path(), rest, found)?;
            }
        } else {
            arrive(entry.path(), rest, found)?;
        }
    }
    Ok(())
}

fn arrive(path: PathBuf, rest: &[Step], found: &mut Vec<(PathBuf, Metadata)>) -> io::Result<()> {
    if !rest.is_empty() {
        return walk(&path, rest, found);
    }
    if let Some(metadata) = look(&path)?.filter(Metadata::is_file) {
        found.push((path, metadata));
    }
    Ok(())
}

/// What the disk says of a path. `None`: nothing is there.
pub(super) fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
