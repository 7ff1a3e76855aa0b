//! Whether a project that was found above the working folder may be used. Somebody else's would run: with this user's
//! database and credentials, and with a mask key that is made in its folder.

use std::path::{Path, PathBuf};

use super::load::{PROJECT_FILE, find_root};
use crate::error::{Error, Result};

/// The nearest folder that holds `pipeline.yaml`, from `start` upwards.
///
/// # Errors
/// There is none; or it lies above `start` and belongs to another user. The superuser's is anybody's.
pub fn find_own_root(start: &Path) -> Result<PathBuf> {
    let root = find_root(start)?;
    if root == std::path::absolute(start).unwrap_or_default() || is_own(&root, start) {
        return Ok(root);
    }
    Err(Error::project(format!(
        "{} lies above the working folder and belongs to another user",
        root.join(PROJECT_FILE).display()
    ))
    .hint("go into the project's folder, or name it: --project DIR"))
}

#[cfg(unix)]
fn is_own(root: &Path, start: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let owner = |path: &Path| path.metadata().map(|metadata| metadata.uid()).ok();
    // The owner of this process, as Linux shows it. Elsewhere the folder's must do.
    let Some(me) = owner(Path::new("/proc/self")).or_else(|| owner(start)) else {
        return false;
    };
    let by_sudo = || std::env::var("SUDO_UID").ok().and_then(|id| id.parse().ok());
    let mine = [Some(me), by_sudo().filter(|_| me == 0)];
    [root.to_path_buf(), root.join(PROJECT_FILE)].iter().all(|path| {
        let owner = owner(path);
        owner == Some(0) || owner.is_some() && mine.contains(&owner)
    })
}

#[cfg(not(unix))]
fn is_own(_: &Path, _: &Path) -> bool {
    true
}
