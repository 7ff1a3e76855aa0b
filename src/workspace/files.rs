//! The files of a project as an editor shows them: unsaved texts stand in place of what is on the disk. Or all of its
//! files as another process has sent them: then nothing is on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A project's folder, and the texts of files that an editor holds and has not saved. It can be used as the folder's path.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
    /// By path relative to the folder.
    unsaved: Arc<BTreeMap<PathBuf, String>>,
    /// Whether these texts are all that there is.
    sent: bool,
    /// The texts that were read so far, where they are kept.
    read: Option<Arc<Mutex<BTreeMap<PathBuf, String>>>>,
}

impl Files {
    /// The files as they are on the disk.
    pub fn saved(root: &Path) -> Self {
        Self::with_unsaved(root, BTreeMap::new())
    }

    /// The files on the disk, and these texts in place of their own. The paths are relative to the folder.
    pub fn with_unsaved(root: &Path, unsaved: BTreeMap<PathBuf, String>) -> Self {
        Self {
            root: root.to_owned(),
            unsaved: Arc::new(unsaved),
            sent: false,
            read: None,
        }
    }

    /// Files that another process has sent. Nothing is looked for on the disk.
    pub fn sent(root: &Path, texts: BTreeMap<PathBuf, String>) -> Self {
        Self {
            sent: true,
            ..Self::with_unsaved(root, texts)
        }
    }

    /// The same files, with the texts that are read of them kept for [`Files::texts`].
    #[must_use]
    pub fn keeping_texts(self) -> Self {
        Self {
            read: Some(Arc::default()),
            ..self
        }
    }

    /// The texts that were read so far, by path relative to the folder.
    pub fn texts(&self) -> BTreeMap<PathBuf, String> {
        let read = self.read.as_ref();
        read.map(|read| read.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }

    /// Notes the text of a file that was read.
    pub fn note(&self, path: &Path, text: &str) {
        if let Some(read) = &self.read {
            let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
            read.insert(path.to_owned(), text.to_owned());
        }
    }

    /// Whether another process has sent the files.
    pub fn are_sent(&self) -> bool {
        self.sent
    }

    /// The unsaved text of a file.
    pub fn unsaved(&self, path: &Path) -> Option<&str> {
        self.unsaved.get(path).map(String::as_str)
    }

    /// Whether there is such a file, saved or not.
    pub fn holds(&self, path: &Path) -> bool {
        self.unsaved.contains_key(path) || (!self.sent && self.root.join(path).is_file())
    }

    /// The names of what lies directly in a folder, sorted. Files that are not saved yet are among them.
    ///
    /// # Errors
    /// The folder can't be read, and no unsaved file lies in it.
    pub fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
        let unsaved = self.unsaved.keys().filter(|path| path.parent() == Some(folder));
        let mut names: BTreeSet<String> = unsaved.filter_map(|path| name(path)).collect();
        if self.sent {
            let none = names.is_empty().then(|| io::Error::from(io::ErrorKind::NotFound));
            return none.map_or_else(|| Ok(names.into_iter().collect()), Err);
        }
        match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => {
                for entry in entries {
                    names.insert(entry?.file_name().to_string_lossy().into_owned());
                }
            }
            Err(error) if names.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(names.into_iter().collect())
    }
}

impl Deref for Files {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.root
    }
}
