//! Finds the mask key: in the environment, in a file that the environment names, or in a key file that the program
//! makes on first use. It makes a key only for the embedded default database. No message here contains what was read.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::key::{MaskKey, wipe};
use crate::error::{Error, Result, Words};
use crate::workspace::{private_folder, refuse_links};

/// The environment variable that holds the key, or the path of a file that holds it.
pub const KEY_VARIABLE: &str = "PIPELINE_MASK_KEY";

/// The key file of the embedded default database, relative to the project's root.
pub const KEY_FILE: &str = ".pipeline/mask.key";

const MAKE_ONE: &str = "make a key with `openssl rand -base64 32` and put it, or the path of a file that holds it, \
                        into PIPELINE_MASK_KEY";

/// An upper limit in bytes. No spelling of a key is this long.
const LONGEST_FILE: u64 = 1024;

/// The key, and whether it was just made.
#[derive(Debug)]
pub struct LoadedKey {
    pub key: MaskKey,
    /// The key file, if this call made it. The caller must tell the user, who has to keep the file.
    pub made: Option<PathBuf>,
}

impl MaskKey {
    /// Reads the key from the environment. If it is not set there and `embedded` is true, reads [`KEY_FILE`] and makes
    /// it if it is missing.
    ///
    /// Fails with [`crate::error::Kind::Project`] if there is no key or it can't be used.
    pub fn load_or_create(embedded: bool, root: &Path) -> Result<LoadedKey> {
        load(std::env::var_os(KEY_VARIABLE), embedded, root)
    }

    /// Reads the key from the environment or from [`KEY_FILE`], and makes none. `None`: there is no key.
    ///
    /// # Errors
    /// A key that can't be used.
    pub fn find(root: &Path) -> Result<Option<Self>> {
        if let Some(value) = std::env::var_os(KEY_VARIABLE).filter(|value| !value.is_empty()) {
            return from_variable(&value).map(Some);
        }
        let path = root.join(KEY_FILE);
        refuse_links(path.parent().unwrap_or(&path))?;
        path.exists().then(|| read(&path)).transpose()
    }

    /// The key, if there is one and it can be used. Makes none.
    pub fn at_hand(embedded: bool, root: &Path) -> Option<Self> {
        let named = std::env::var_os(KEY_VARIABLE).filter(|value| !value.is_empty());
        match named {
            Some(value) => from_variable(&value).ok(),
            None if embedded => {
                let path = root.join(KEY_FILE);
                refuse_links(path.parent().unwrap_or(&path)).ok()?;
                read(&path).ok()
            }
            None => None,
        }
    }
}

fn load(variable: Option<OsString>, embedded: bool, root: &Path) -> Result<LoadedKey> {
    if let Some(value) = variable.filter(|value| !value.is_empty()) {
        return Ok(LoadedKey {
            key: from_variable(&value)?,
            made: None,
        });
    }
    let path = root.join(KEY_FILE);
    if embedded {
        return read_or_make(&path);
    }
    let hint = if path.exists() {
        format!("to mask as the embedded database did, set {KEY_VARIABLE} to the path of {KEY_FILE}; else {MAKE_ONE}")
    } else {
        MAKE_ONE.to_owned()
    };
    Err(Error::project(format!("no key for the masks: {KEY_VARIABLE} is not set")).hint(hint))
}

/// Reads the variable as the path of a file, if such a file exists. If not, it is a key, unless it looks like a path.
fn from_variable(value: &OsStr) -> Result<MaskKey> {
    if Path::new(value).exists() {
        return read(Path::new(value));
    }
    let text = value.to_str().unwrap_or_default();
    let could_be_a_path = text.starts_with('/') && !text.trim().ends_with('=');
    match MaskKey::decode(text) {
        Some(key) if !could_be_a_path => usable(key, KEY_VARIABLE),
        _ => Err(Error::project(format!(
            "{KEY_VARIABLE} holds neither a key nor the path of a file that exists"
        ))
        .cause("a key is 32 bytes in base64")
        .hint(MAKE_ONE)),
    }
}

fn read_or_make(path: &Path) -> Result<LoadedKey> {
    refuse_links(path.parent().unwrap_or(path))?;
    if path.exists() {
        return Ok(LoadedKey {
            key: read(path)?,
            made: None,
        });
    }
    if make(path).map_err(|e| cannot_make(path, e))? {
        Ok(LoadedKey {
            key: read(path)?,
            made: Some(path.to_owned()),
        })
    } else {
        Ok(LoadedKey {
            key: read(path)?,
            made: None,
        })
    }
}

fn read(path: &Path) -> Result<MaskKey> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    if !metadata.is_file() {
        return Err(unreadable(path, "it is no file"));
    }
    refuse_if_shared(path, &metadata)?;
    let mut bytes = Vec::new();
    let read = file.take(LONGEST_FILE).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, error))?;
    let key = std::str::from_utf8(&bytes).ok().and_then(MaskKey::decode);
    wipe(&mut bytes);
    match key {
        Some(key) => usable(key, &path.display().to_string()),
        None => Err(Error::project(format!("{} holds no key", path.display()))
            .cause("a key is 32 bytes in base64, and nothing else")
            .hint(format!(
                "put the key back if it was kept elsewhere; what was masked with it can't be matched without it. Else \
                 {MAKE_ONE}"
            ))),
    }
}

fn unreadable(path: &Path, cause: impl Words) -> Error {
    Error::project(format!("can't read the key of the masks from {}", path.display()))
        .cause(cause)
        .hint(format!(
            "give the file to the user who runs this, mode 600, or name another in {KEY_VARIABLE}"
        ))
}

fn usable(key: MaskKey, place: &str) -> Result<MaskKey> {
    if key.is_placeholder() {
        return Err(Error::project(format!("{place} holds a placeholder, no random key")).hint(MAKE_ONE));
    }
    Ok(key)
}

#[cfg(unix)]
fn refuse_if_shared(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = metadata.permissions().mode() & 0o777;
    let of_others = mode & 0o077;
    if of_others == 0 {
        return Ok(());
    }
    Err(Error::project(format!(
        "the key of the masks in {} is open to others (mode {mode:03o})",
        path.display()
    ))
    .hint(format!("chmod 600 {}", path.display())))
}

#[cfg(not(unix))]
fn refuse_if_shared(_: &Path, _: &fs::Metadata) -> Result<()> {
    Ok(())
}

/// Makes a random key and its folder. Returns false if another process made the key first; that key is then used.
///
/// The key is written to a temporary file and then hard-linked to its place, because a link never replaces a file. So
/// nobody reads half a key, and processes that race end with the same one.
fn make(path: &Path) -> std::io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    private_folder(folder)?;
    let key = MaskKey::random()?;
    let mut text = format!("{}\n", key.encode()).into_bytes();
    let aside = folder.join(format!("mask.key.{}-{:08x}", std::process::id(), rand::random::<u32>()));
    let made = write_new(&aside, &text).and_then(|()| match fs::hard_link(&aside, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        // The file system has no hard links.
        Err(_) => match write_new(path, &text) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        },
    });
    wipe(&mut text);
    let removed = fs::remove_file(&aside);
    let made = made?;
    removed?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(made)
}

fn write_new(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn cannot_make(path: &Path, error: io::Error) -> Error {
    Error::project(format!("can't make a key for the masks in {}", path.display()))
        .cause(error)
        .hint(format!("make the folder writable, or {MAKE_ONE}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn with_variable(text: &str, root: &Path) -> Result<LoadedKey> {
        load(Some(text.into()), true, root)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_server_needs_a_key() {
        let root = tempfile::tempdir().unwrap();
        for value in [None, Some(OsString::new())] {
            let error = load(value, false, root.path()).unwrap_err();
            assert_eq!(error.message, "no key for the masks: PIPELINE_MASK_KEY is not set");
            assert_eq!(error.hint.as_deref(), Some(MAKE_ONE));
        }
        assert!(!root.path().join(".pipeline").exists());
        load(None, true, root.path()).unwrap();
        assert!(
            load(None, false, root.path())
                .unwrap_err()
                .hint
                .unwrap()
                .contains("as the embedded database did")
        );
        assert!(load(Some(KEY.into()), false, root.path()).unwrap().made.is_none());
    }

    #[test]
    fn the_embedded_default_makes_one_key_and_keeps_it() {
        let root = tempfile::tempdir().unwrap();
        let first = load(None, true, root.path()).unwrap();
        let path = root.path().join(KEY_FILE);
        assert_eq!(first.made.as_deref(), Some(path.as_path()));
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let second = load(None, true, root.path()).unwrap();
        assert!(second.made.is_none());
        assert_eq!(first.key.key_id(), second.key.key_id());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let other = load(None, true, tempfile::tempdir().unwrap().path()).unwrap();
        assert_ne!(first.key.key_id(), other.key.key_id());
    }

    #[test]
    fn racing_processes_agree() {
        let root = tempfile::tempdir().unwrap();
        let loaded: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| load(None, true, root.path()).unwrap()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(loaded.iter().filter(|loaded| loaded.made.is_some()).count(), 1);
        assert!(loaded.iter().all(|one| one.key.key_id() == loaded[0].key.key_id()));
    }

    #[test]
    fn a_file_is_read_if_nobody_else_can() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("key");
        fs::write(&path, format!("{KEY}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let named = Some(path.clone().into_os_string());
        let error = load(named.clone(), false, root.path()).unwrap_err();
        assert!(
            error.message.ends_with("is open to others (mode 640)"),
            "{}",
            error.message
        );
        assert_eq!(error.hint, Some(format!("chmod 600 {}", path.display())));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let key = load(named, false, root.path()).unwrap().key;
        assert_eq!(key.key_id(), MaskKey::decode(KEY).unwrap().key_id());
        assert!(
            load(Some(root.path().into()), false, root.path())
                .unwrap_err()
                .message
                .starts_with("can't read")
        );
    }

    #[test]
    fn errors_hold_no_key() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("key");
        let secrets = [
            "hunter2hunter2",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
            "/AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ];
        for secret in secrets {
            fs::write(&path, secret).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let mut errors = vec![with_variable(secret, root.path()).unwrap_err()];
            // The last text is a key that could also be a path. In a file it counts as a key.
            errors.extend(load(Some(path.clone().into_os_string()), true, root.path()).err());
            for error in errors {
                assert_eq!(error.kind, crate::error::Kind::Project);
                assert!(error.hint.as_ref().unwrap().contains("openssl rand -base64 32"));
                assert!(!format!("{error:?}").contains(&secret[..12]));
            }
        }
        let zeros = "A".repeat(43) + "=";
        assert!(
            with_variable(&zeros, root.path())
                .unwrap_err()
                .message
                .contains("placeholder")
        );
    }
}
