//! `.pipeline`, the program's own folder in a project, and whether a project's file is where it seems to be. It holds the embedded database and the spill files of sorts and
//! joins. Only the user who runs the program may enter it, and git ignores it.

mod files;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub use files::Files;

/// The folder's name.
pub const FOLDER: &str = ".pipeline";

/// Makes the folder `.pipeline` in the project at `root`, if it is missing. Its mode is 0700 and git ignores it.
pub fn make(root: &Path) -> Result<PathBuf> {
    let folder = root.join(FOLDER);
    let failed = |error: std::io::Error| {
        Error::project(format!("{} can't be made", folder.display()))
            .cause(error)
            .hint("make the project's folder writable, or choose another with --project")
    };
    refuse_links(&folder)?;
    private_folder(&folder).map_err(failed)?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(failed)?;
    }
    Ok(folder)
}

/// Whether a file of a project lies in this folder of the project once symbolic links are followed, and ends alike. A link
/// to other data or to a key would show its text in a message. A folder outside of the project counts as it is.
pub fn is_in(root: &Path, folder: &Path, file: &Path) -> std::io::Result<bool> {
    let real = root.join(file).canonicalize()?;
    let mut home = root.canonicalize()?;
    let base = home.clone();
    for part in folder.components() {
        match part {
            std::path::Component::ParentDir => drop(home.pop()),
            std::path::Component::CurDir => {}
            part => home.push(part),
        }
    }
    if !home.starts_with(&base) {
        home = root.join(folder).canonicalize()?;
    }
    Ok(real.starts_with(&home) && real.extension() == file.extension())
}

/// Refuses to write a file through a symbolic link that leaves the project at `root`, be it the file or a folder above it.
/// Who may edit the project would make files elsewhere, or change them, with the rights of whoever runs the program. What
/// lies outside by its own path counts as it is.
///
/// # Errors
/// There is such a link. The message names it, and not what it points to.
pub fn refuse_to_leave(root: &Path, file: &Path) -> Result<()> {
    let failed = |error| Error::project(format!("{} can't be written", file.display())).cause(error);
    let base = root.canonicalize().map_err(failed)?;
    let mut place = base.clone();
    let below = file.strip_prefix(root).unwrap_or(file);
    for part in below.components() {
        match part {
            std::path::Component::ParentDir => drop(place.pop()),
            std::path::Component::CurDir => {}
            part => place.push(part),
        }
        let is_link = fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_symlink());
        if !is_link || !place.starts_with(&base) {
            continue;
        }
        // A link to nothing is one to wherever something will be.
        if !place.canonicalize().is_ok_and(|real| real.starts_with(&base)) {
            let link = place.strip_prefix(&base).unwrap_or(&place);
            return Err(Error::project(format!(
                "{} can't be written: {} is a symbolic link that leaves the project",
                below.display(),
                link.display()
            ))
            .hint("replace the link by what it points to"));
        }
    }
    Ok(())
}

/// Refuses symbolic links: the folder itself and everything in it. Through a link this program would close, write or
/// read what it was never told to, with the rights of whoever runs it.
///
/// # Errors
/// There is a link. The message names it, and not what it points to.
pub fn refuse_links(folder: &Path) -> Result<()> {
    let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let refused = |path: &Path| {
        Error::project(format!("{} is a symbolic link", path.display()))
            .cause("the program follows no link at or below .pipeline")
            .hint("replace it by what it points to; to keep .pipeline on another disk, mount that disk there")
    };
    if is_link(folder) {
        return Err(refused(folder));
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() => return Err(refused(&entry.path())),
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// A folder for this process's spill files. It is removed on drop. If the process was killed, the next run removes it.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    /// A file that is locked while the process lives. Other processes use it to recognise the folder of a dead one.
    lock: PathBuf,
    _held: File,
}

impl Spill {
    /// Makes the folder in the project's `.pipeline`, and removes the folders that killed processes left there.
    pub fn make(root: &Path) -> Result<Self> {
        let parent = make(root)?.join("spill");
        let failed = |error: std::io::Error| {
            Error::project(format!("no spill files can be made in {}", parent.display())).cause(error)
        };
        private_folder(&parent).map_err(failed)?;
        remove_dead(&parent);
        let name = uuid::Uuid::now_v7().simple().to_string();
        let (folder, lock) = (parent.join(&name), parent.join(format!("{name}.lock")));
        let held = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&lock)
            .map_err(failed)?;
        held.try_lock().map_err(|e| failed(std::io::Error::other(e)))?;
        private_folder(&folder).map_err(failed)?;
        Ok(Self {
            folder,
            lock,
            _held: held,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        // If the folder can't be removed now, the next run removes it.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.lock);
    }
}

fn remove_dead(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for lock in entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "lock"))
    {
        let free = File::open(&lock).is_ok_and(|file| file.try_lock().is_ok());
        if free {
            let _ = fs::remove_dir_all(lock.with_extension(""));
            let _ = fs::remove_file(&lock);
        }
    }
}

/// Writes a file as a whole: an interrupted write leaves the old one. A symbolic link in its place is replaced, and what
/// it points to stays as it is.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", uuid::Uuid::now_v7().simple()));
    let aside = path.with_file_name(name);
    let write = || {
        let mut file = File::create_new(&aside)?;
        file.write_all(text.as_bytes())?;
        match fs::symlink_metadata(path) {
            Ok(old) if old.is_file() => file.set_permissions(old.permissions())?,
            _ => {}
        }
        fs::rename(&aside, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&aside)))
}

/// Writes a report to the place that the user names. A symbolic link there is refused: somebody else may have laid it. What is
/// no file, such as a pipe, is written to as it is.
pub fn write_report(path: &Path, text: &str) -> Result<()> {
    let failed = || Error::project(format!("{} can't be written", path.display()));
    let written = match fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => return Err(failed().cause("it is a symbolic link")),
        Ok(there) if !there.is_file() => fs::write(path, text),
        _ => replace(path, text),
    };
    written.map_err(|error| failed().cause(error))
}

/// Makes a folder that only this user may enter. If the folder exists and other users can enter it, its mode is
/// corrected. If that is not possible, as for a mounted volume of another owner, it stays and a warning is logged.
pub fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0
            && let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        {
            tracing::warn!(folder = %path.display(), %error, "others may enter it, and it can't be closed to them");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_process_s_spill_goes_and_a_living_one_s_stays() {
        let root = tempfile::tempdir().unwrap();
        let living = Spill::make(root.path()).unwrap();
        let parent = living.folder().parent().unwrap().to_owned();
        fs::create_dir(parent.join("dead")).unwrap();
        fs::write(parent.join("dead/rows"), "x").unwrap();
        fs::write(parent.join("dead.lock"), "").unwrap();
        let second = Spill::make(root.path()).unwrap();
        assert!(living.folder().exists() && second.folder().exists());
        assert!(!parent.join("dead").exists() && !parent.join("dead.lock").exists());
        let folder = living.folder().to_owned();
        drop(living);
        assert!(!folder.exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_replaces_a_file_goes_through_no_link_and_keeps_its_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let root = tempfile::tempdir().unwrap();
        let (link, other, file) = (
            root.path().join("link"),
            root.path().join("other"),
            root.path().join("file"),
        );
        fs::write(&other, "theirs").unwrap();
        symlink(&other, &link).unwrap();
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        replace(&link, "new").unwrap();
        replace(&file, "new").unwrap();
        for path in [&link, &file] {
            assert_eq!(fs::read_to_string(path).unwrap(), "new");
            assert!(fs::symlink_metadata(path).unwrap().is_file());
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "theirs");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(replace(&root.path().join("no/file"), "new").is_err());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link_that_leaves_the_project() {
        use std::os::unix::fs::symlink;
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = root.path();
        fs::create_dir_all(root.join("sql/s")).unwrap();
        symlink(outside.path(), root.join("sql/s/tests")).unwrap();
        symlink(outside.path().join("none"), root.join("dangling.yaml")).unwrap();
        symlink("sql", root.join("inside")).unwrap();
        for (file, fails) in [
            ("sql/s/tests/a.yaml", true),
            ("inside/s/tests/a.yaml", true),
            ("sql/s/../s/tests/a.yaml", true),
            ("dangling.yaml", true),
            ("inside/s/new/a.yaml", false),
            ("new/a.yaml", false),
            ("../a.yaml", false),
        ] {
            assert_eq!(refuse_to_leave(root, Path::new(file)).is_err(), fails, "{file}");
            assert_eq!(refuse_to_leave(root, &root.join(file)).is_err(), fails, "{file}");
        }
        let error = refuse_to_leave(root, Path::new("sql/s/tests/a.yaml")).unwrap_err();
        let outside = outside.path().display().to_string();
        assert!(error.message.contains("sql/s/tests") && !error.message.contains(&outside));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_at_or_below_the_folder_is_refused_and_nothing_is_changed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = root.path().join(FOLDER);
        symlink(elsewhere.path(), &folder).unwrap();
        let error = make(root.path()).unwrap_err();
        assert!(error.message.ends_with(".pipeline is a symbolic link"), "{error}");
        fs::remove_file(&folder).unwrap();
        for below in ["spill", "warehouse/base", "mask.key"] {
            let link = folder.join(below);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(elsewhere.path(), &link).unwrap();
            let error = Spill::make(root.path()).unwrap_err();
            assert!(error.message.contains(below), "{error}");
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert_eq!(
            fs::metadata(elsewhere.path()).unwrap().permissions().mode() & 0o777,
            0o755
        );
        make(root.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_may_enter() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let folder = make(root.path()).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        make(root.path()).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
