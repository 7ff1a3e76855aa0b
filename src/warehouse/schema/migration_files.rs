//! Reads the user's migration files, `migrations/V{n}__{name}.sql`, in order.

use std::path::{Path, PathBuf};

use refinery_core::Migration;

use crate::error::{Error, Result};
use crate::workspace::{self, Files};

/// A user's migration file.
#[derive(Debug, Clone)]
pub struct File {
    /// Relative to the project's root.
    pub path: PathBuf,
    pub version: i32,
    pub(super) text: String,
    pub(super) migration: Migration,
}

/// The user's migration files in the order of their numbers. A missing folder counts as empty.
pub fn read(root: &Path) -> Result<Vec<File>> {
    read_in(&Files::saved(root))
}

/// Like [`read`], over files of which some may not be saved.
pub fn read_in(tree: &Files) -> Result<Vec<File>> {
    let folder = Path::new("migrations");
    let Ok(names) = tree.names(folder) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        if !Path::new(&name)
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("sql"))
        {
            continue;
        }
        match File::open(tree, &folder.join(&name), &name) {
            Ok(file) => files.push(file),
            Err(error) => problems.push(error),
        }
    }
    if let Some(error) = problems.into_iter().next() {
        return Err(error);
    }
    files.sort_by_key(|file| file.version);
    if let Some(pair) = files.windows(2).find(|pair| pair[0].version == pair[1].version) {
        return Err(Error::project(format!(
            "{} and {} have the same number",
            pair[0].path.display(),
            pair[1].path.display()
        ))
        .hint("give the one that has not run anywhere yet the next free number"));
    }
    Ok(files)
}

impl File {
    fn open(tree: &Files, path: &Path, name: &str) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if matches!(workspace::is_in(tree, folder, path), Ok(false)) {
            return Err(Error::project(format!(
                "{} is a symbolic link that leaves its folder, so it is not read",
                path.display()
            ))
            .hint("put the file itself there: messages show the text of a project's files"));
        }
        let text = match tree.unsaved(path) {
            Some(text) => text.to_owned(),
            None => std::fs::read_to_string(tree.join(path))
                .map_err(|error| Error::project(format!("{} can't be read", path.display())).cause(error))?,
        };
        // A checkout may write CRLF; the migration is the same.
        let text = text.replace("\r\n", "\n");
        let misnamed = || {
            Error::project(format!("{} is not named as a migration", path.display()))
                .hint("the name is V{number}__{words}.sql, such as V2__add_allergies.sql")
        };
        let stem = name.strip_suffix(".sql").ok_or_else(misnamed)?;
        let (number, words) = stem
            .strip_prefix('V')
            .and_then(|rest| rest.split_once("__"))
            .ok_or_else(misnamed)?;
        let well_named = !words.is_empty() && words.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let version: i32 = number.parse().ok().filter(|_| well_named).ok_or_else(misnamed)?;
        let migration = Migration::unapplied(stem, &text).map_err(|_| misnamed())?;
        Ok(Self {
            path: path.to_owned(),
            version,
            text,
            migration,
        })
    }
}

impl File {
    /// Whether this is the migration that ran under a name and with a checksum. An older version took the checksum of
    /// the file as it was, and so of CRLF line endings where a checkout had them.
    pub(super) fn is(&self, name: &str, checksum: &str) -> bool {
        if self.migration.name() != name {
            return false;
        }
        let stem = format!("V{}__{name}", self.version);
        let with_cr = || Migration::unapplied(&stem, &self.text.replace('\n', "\r\n")).ok();
        self.migration.checksum().to_string() == checksum
            || with_cr().is_some_and(|migration| migration.checksum().to_string() == checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("migrations")).unwrap();
        for name in files {
            std::fs::write(root.path().join("migrations").join(name), "").unwrap();
        }
        root
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        for name in [
            "one.sql",
            "V1_one.sql",
            "Vx__one.sql",
            "V1__.sql",
            "V1__a-b.sql",
            "U1__one.sql",
        ] {
            let root = project(&[name]);
            let error = read(root.path()).unwrap_err();
            assert_eq!(error.message, format!("migrations/{name} is not named as a migration"));
        }
        let root = project(&["V1__a.sql", "V01__b.sql"]);
        assert!(read(root.path()).unwrap_err().message.ends_with("have the same number"));
        assert!(read(Path::new("/nonexistent")).unwrap().is_empty());
    }
}
