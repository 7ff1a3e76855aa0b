//! Writes files of a project so that they can be taken back.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::workspace;

/// Files that were written and can be taken back.
pub(super) struct Writing {
    pub root: PathBuf,
    pub written: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// What files that were changed held before.
    pub before: Vec<(PathBuf, String)>,
}

impl Writing {
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            written: Vec::new(),
            folders: Vec::new(),
            before: Vec::new(),
        }
    }

    pub fn create(&mut self, path: &str, text: &str) -> Result<()> {
        let failed = |error| Error::project(format!("{path} can't be written")).cause(error);
        let full = self.root.join(path);
        workspace::refuse_to_leave(&self.root, Path::new(path))?;
        if let Some(folder) = full.parent() {
            let new: Vec<PathBuf> = folder
                .ancestors()
                .take_while(|folder| !folder.exists())
                .map(Path::to_owned)
                .collect();
            fs::create_dir_all(folder).map_err(failed)?;
            self.folders.extend(new);
        }
        let mut file = fs::File::create_new(&full).map_err(failed)?;
        self.written.push(PathBuf::from(path));
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)
    }

    pub fn replace(&mut self, path: &str, text: &str) -> Result<()> {
        let failed = |error| Error::project(format!("{path} can't be written")).cause(error);
        let full = self.root.join(path);
        if !full.exists() {
            return self.create(path, text);
        }
        workspace::refuse_to_leave(&self.root, Path::new(path))?;
        let before = fs::read_to_string(&full).map_err(failed)?;
        self.before.push((PathBuf::from(path), before));
        fs::write(&full, text).map_err(failed)
    }

    /// Takes everything back. What can't be taken back is named in the log.
    pub fn undo(&self) {
        let log = |path: &Path, done: std::io::Result<()>| {
            if let Err(error) = done {
                tracing::warn!(path = %path.display(), %error, "could not be taken back");
            }
        };
        for path in &self.written {
            log(path, fs::remove_file(self.root.join(path)));
        }
        for (path, text) in &self.before {
            log(path, fs::write(self.root.join(path), text));
        }
        for folder in &self.folders {
            log(folder, fs::remove_dir(folder));
        }
    }
}
