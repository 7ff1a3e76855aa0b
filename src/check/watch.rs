//! Tells when a file of a project is saved. It asks for the files' times again and again: that works on every file
//! system, in containers and over a network, and a project has few files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::model::Project;

/// How often the files are looked at. An editor that saves several files, or one in several steps, is done when two
/// looks find the same.
const PAUSE: Duration = Duration::from_millis(150);
/// Folders of a project, beside those of its transforms.
const FOLDERS: [&str; 3] = ["pipelines", "sql", "migrations"];
/// Folders in folders are looked into down to here, so that a link in a circle ends.
const DEPTH: usize = 8;

type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// The files of a project as they were looked at last.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    folders: BTreeSet<PathBuf>,
    seen: Seen,
}

impl Files {
    pub fn of(root: &Path) -> Self {
        let mut files = Self {
            root: root.to_owned(),
            folders: FOLDERS.iter().map(|folder| root.join(folder)).collect(),
            seen: Seen::new(),
        };
        files.seen = files.look();
        files
    }

    /// Also watches the folders in which the project has its transforms, wherever they are.
    pub fn follow(&mut self, project: &Project) {
        let transforms = project.sources.iter().flat_map(|source| &source.transforms);
        let transforms = transforms.filter(|transform| transform.given.is_none());
        let folders = transforms.filter_map(|transform| Some(self.root.join(transform.path.parent()?)));
        let new: Vec<PathBuf> = folders
            .filter(|folder| !self.folders.iter().any(|known| folder.starts_with(known)))
            .collect();
        if !new.is_empty() {
            self.folders.extend(new);
            self.seen = self.look();
        }
    }

    /// Waits until a file has changed since the last look, appeared or vanished, and until nothing changes any more.
    pub async fn changed(&mut self) {
        loop {
            let now = self.look();
            if now != self.seen {
                self.seen = now;
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            let now = self.look();
            if now == self.seen {
                return;
            }
            self.seen = now;
        }
    }

    fn look(&self) -> Seen {
        let mut seen = Seen::new();
        note(self.root.join("pipeline.yaml"), &mut seen);
        for folder in &self.folders {
            look_into(folder, DEPTH, &mut seen);
        }
        seen
    }
}

fn look_into(folder: &Path, depth: usize, seen: &mut Seen) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // What editors write beside a file is hidden, or ends in another way.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("sql" | "yaml" | "yml")) {
            note(path, seen);
        } else if depth > 0 && path.is_dir() {
            look_into(&path, depth - 1, seen);
        }
    }
}

fn note(path: PathBuf, seen: &mut Seen) {
    if let Ok(metadata) = fs::metadata(&path) {
        seen.insert(path, (metadata.modified().ok(), metadata.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_missed_and_others_files_do_not_matter() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("pipeline.yaml", "a");
        let mut files = Files::of(root.path());
        for (path, text) in [
            ("pipeline.yaml", "ab"),
            ("pipelines/a.yaml", ""),
            ("sql/a/b/c.sql", "x"),
            ("sql/a/b/c.sql", "xy"),
            ("migrations/V1__a.sql", ""),
        ] {
            write(path, text);
            tokio::time::timeout(Duration::from_secs(20), files.changed())
                .await
                .expect(path);
        }
        fs::remove_file(root.path().join("sql/a/b/c.sql")).unwrap();
        tokio::time::timeout(Duration::from_secs(20), files.changed())
            .await
            .expect("removed");
        for path in ["data/x.yaml", "sql/.c.sql.swp", "sql/a/.c.sql", "sql/notes.txt"] {
            write(path, "z");
        }
        assert!(tokio::time::timeout(PAUSE * 4, files.changed()).await.is_err());
    }
}
