//! Where the embedded database listens: a socket that only this user can reach.

use std::path::{Path, PathBuf};

#[cfg(unix)]
use super::folder_lock::is_running;
use crate::error::{Error, Result};

/// Where the database listens.
#[cfg_attr(not(feature = "embedded"), allow(dead_code))]
pub(super) enum Endpoint {
    /// `.s.PGSQL.5432` in this folder.
    #[cfg(unix)]
    Socket(PathBuf),
    /// Any free port of the loopback address, where there is no socket.
    Port,
}

impl Endpoint {
    /// A socket beside the database where the path is short enough, else a socket in a folder of our own.
    #[cfg(unix)]
    pub(super) fn choose(dir: Option<&Path>) -> Result<(Self, Option<PrivateFolder>)> {
        // sockaddr_un holds 104 bytes on macOS, 108 on Linux.
        let fits = |folder: &Path| folder.join(SOCKET).as_os_str().len() < 100;
        if let Some(folder) = dir.and_then(Path::parent).filter(|folder| fits(folder)) {
            return Ok((Self::Socket(folder.to_owned()), None));
        }
        let folder = PrivateFolder::new()?;
        if fits(&folder.0) {
            return Ok((Self::Socket(folder.0.clone()), Some(folder)));
        }
        Ok((Self::Port, None))
    }

    #[cfg(not(unix))]
    pub(super) fn choose(_dir: Option<&Path>) -> Result<(Self, Option<PrivateFolder>)> {
        Ok((Self::Port, None))
    }
}

#[cfg(unix)]
pub(super) const SOCKET: &str = ".s.PGSQL.5432";

/// A folder that only this user may enter, gone on drop.
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    #[cfg(unix)]
    fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let parent = std::env::temp_dir();
        Self::sweep(&parent);
        let path = parent.join(format!(
            "pipeline-{}-{:016x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        // This fails where the name exists, so nobody can prepare the folder for us.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::batch(format!("no folder can be made at {}", path.display())).cause(error))?;
        Ok(Self(path))
    }

    /// Removes the folders that killed processes of this user have left.
    #[cfg(unix)]
    fn sweep(parent: &Path) {
        let is_left = |name: &str| {
            let (process, random) = name.strip_prefix("pipeline-")?.split_once('-')?;
            let process: u32 = process.parse().ok()?;
            Some(random.len() == 16 && !is_running(process))
        };
        // A process in another container may use the same folder for temporary files, and can't be seen from here.
        let is_old = |entry: &std::fs::DirEntry| {
            let age = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .map(|time| time.elapsed());
            age.is_ok_and(|age| age.is_ok_and(|age| age > std::time::Duration::from_hours(24)))
        };
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            if entry.file_name().to_str().and_then(is_left) == Some(true) && is_old(&entry) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
