//! The lock of the embedded database's folder. The system frees it when its process ends. A note beside it tells others
//! who holds it: the process and its command. The note has no other argument of the command line, since a query may
//! quote values.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long to wait for a lock whose holder is dead: a killed process may keep it for a moment.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for a lock whose holder is alive: that process may be about to end.
const GRACE: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(50);

/// The lock; freed on drop.
#[derive(Debug)]
pub(super) struct FolderLock {
    note: PathBuf,
    _lock: File,
}

impl FolderLock {
    /// Takes the lock of the database in `dir`, and waits for a holder that is about to end. Blocks the thread.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let note = dir.with_extension("holder");
        let lock_path = dir.with_extension("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| {
                Error::batch(format!(
                    "the embedded database can't be locked at {}",
                    lock_path.display()
                ))
                .cause(error)
            })?;
        let started = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(error)) => {
                    return Err(Error::batch("the embedded database can't be locked").cause(error));
                }
            }
            let holder = std::fs::read_to_string(&note).ok().and_then(|text| Note::parse(&text));
            let alive = holder.filter(Note::is_alive);
            let patience = if alive.is_some() { GRACE } else { PATIENCE };
            if started.elapsed() > patience {
                return Err(held_by(alive.as_ref()));
            }
            std::thread::sleep(PAUSE);
        }
        // Without the note others do not learn who holds the lock, and nothing else is lost.
        if let Err(error) = std::fs::write(&note, Note::own().text()) {
            tracing::debug!(%error, "the holder's note can't be written");
        }
        Ok(Self { note, _lock: lock })
    }

    /// Removes the note, so that who comes now waits for the lock, which is about to be freed.
    pub(super) fn leave(&self) {
        let _ = std::fs::remove_file(&self.note);
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        self.leave();
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Note {
    process: u32,
    command: String,
}

impl Note {
    fn own() -> Self {
        let command = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
        let known = command.filter(|name| name.len() <= 20 && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
        Self {
            process: std::process::id(),
            command: known.map_or_else(|| "pipeline".to_owned(), |name| format!("pipeline {name}")),
        }
    }

    fn text(&self) -> String {
        format!("{}\n{}\n", self.process, self.command)
    }

    fn parse(text: &str) -> Option<Self> {
        let (process, command) = text.split_once('\n')?;
        Some(Self {
            process: process.parse().ok()?,
            command: command.lines().next()?.to_owned(),
        })
    }

    fn is_alive(&self) -> bool {
        is_running(self.process)
    }
}

/// Whether a process runs. A zombie does not. Where the system does not tell, every process counts as running.
pub(super) fn is_running(process: u32) -> bool {
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return true;
    }
    let stat = std::fs::read_to_string(processes.join(process.to_string()).join("stat"));
    stat.is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    })
}

fn held_by(note: Option<&Note>) -> Error {
    let by = note.map_or_else(
        || "another process".to_owned(),
        |note| format!("`{}` (process {})", note.command, note.process),
    );
    Error::batch(format!("the embedded database is in use by {by}"))
        .hint("wait until it has ended, or stop it; a server named by --database-url takes many at once")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("warehouse");
        let first = FolderLock::take(&dir).unwrap();
        let error = FolderLock::take(&dir).unwrap_err();
        let process = std::process::id();
        assert!(
            error
                .message
                .starts_with("the embedded database is in use by `pipeline"),
            "{error}"
        );
        assert!(error.message.ends_with(&format!("(process {process})")), "{error}");
        drop(first);
        FolderLock::take(&dir).unwrap();
        assert!(!dir.with_extension("holder").exists());
    }

    #[test]
    fn a_note_of_the_dead_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("warehouse");
        std::fs::write(dir.with_extension("holder"), "4294967294\npipeline run\n").unwrap();
        let held = FolderLock::take(&dir).unwrap();
        // A lock that outlives its process is waited for.
        std::fs::write(dir.with_extension("holder"), "4294967294\npipeline run\n").unwrap();
        let releasing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(held);
        });
        FolderLock::take(&dir).unwrap();
        releasing.join().unwrap();
    }

    #[test]
    fn a_note_that_is_no_note_names_nobody() {
        assert_eq!(Note::parse(""), None);
        assert_eq!(Note::parse("x\ny"), None);
        assert_eq!(
            held_by(None).message,
            "the embedded database is in use by another process"
        );
    }
}
