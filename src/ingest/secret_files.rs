//! Files that are never input, whatever a source's path says: the project's own folder `.pipeline` with the mask key,
//! and files and folders of secrets. Who may edit a path would load them into a table.

use std::collections::HashSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::project::secret_files;
use crate::workspace::FOLDER;

/// Folders of the system that hold secrets, the environment of this process among them.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/run/secrets"];

/// Folders below the home folder in which programs keep keys.
const HOME: [&str; 7] = [".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud"];

/// What is never read.
pub(super) struct SecretFiles {
    folders: Vec<PathBuf>,
    /// By device and number, so that another name of the file does not help.
    files: HashSet<(u64, u64)>,
}

impl SecretFiles {
    pub fn of(root: &Path) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let below_home = home.iter().flat_map(|home| HOME.map(|name| home.join(name)));
        let folders = SYSTEM.map(PathBuf::from).into_iter().chain(below_home);
        let folders = folders.chain([root.join(FOLDER)]);
        let files = secret_files(root).into_iter().filter_map(|file| file.metadata().ok());
        Self {
            folders: folders.filter_map(|folder| folder.canonicalize().ok()).collect(),
            files: files.filter_map(|file| identity(&file)).collect(),
        }
    }

    /// Refuses a file that is secret. `shown` is how messages call the path by which it was found.
    ///
    /// # Errors
    /// The file is secret.
    pub fn refuse(&self, file: &Path, metadata: &Metadata, shown: &str) -> Result<()> {
        // One that can't be followed can't be opened either.
        let real = file.canonicalize();
        let is_below = real.is_ok_and(|real| self.folders.iter().any(|folder| real.starts_with(folder)));
        let is_secret = identity(metadata).is_some_and(|identity| self.files.contains(&identity));
        if !is_below && !is_secret {
            return Ok(());
        }
        Err(Error::project(format!("{shown} is not read as input"))
            .cause("it leads to a file of secrets, or into a folder that holds them: .pipeline, or one of the system")
            .hint("name a folder that holds nothing but input: `path` under `input`"))
    }
}

/// Device and number. `None` where the system has none: files are told by their folders alone there.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}
