//! Finds the password file (PostgreSQL manual, "The Password File"), checks its mode, and searches it. The password
//! is used for the connection only.

use std::path::{Path, PathBuf};

/// A text that no Debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("_")
    }
}

/// The text of a password file, read once for all hosts.
pub(super) struct PassFile(String);

impl PassFile {
    /// Reads the file. `None` where there is no such file, or where other users may read it (libpq ignores it then,
    /// too).
    pub(super) fn read(path: &Path) -> Option<Self> {
        if !is_private(path) {
            tracing::warn!(path = %path.display(), "the password file is ignored: its mode must be 0600");
            return None;
        }
        std::fs::read_to_string(path).ok().map(Self)
    }

    /// The password on the first line that matches. A socket's host is `localhost`.
    pub(super) fn find(&self, host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
        let port = port.to_string();
        let wanted = [host, port.as_str(), database, user];
        self.0.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields = split(line);
            let (password, patterns) = fields
                .split_last()
                .filter(|(_, patterns)| patterns.len() == wanted.len())?;
            let fits = patterns
                .iter()
                .zip(wanted)
                .all(|(field, wanted)| field.raw == "*" || field.value == wanted);
            fits.then(|| Secret::new(password.value.clone()))
        })
    }
}

/// The file's usual place.
pub(super) fn default_path(home: Option<PathBuf>) -> Option<PathBuf> {
    home.map(|home| {
        if cfg!(windows) {
            home.join("postgresql").join("pgpass.conf")
        } else {
            home.join(".pgpass")
        }
    })
}

struct FieldText {
    raw: String,
    value: String,
}

/// Splits a line at colons. A backslash escapes a colon or a backslash. The fifth field, the password, may contain
/// colons.
fn split(line: &str) -> Vec<FieldText> {
    let mut fields = vec![FieldText {
        raw: String::new(),
        value: String::new(),
    }];
    let mut chars = line.trim_end_matches('\r').chars();
    while let Some(c) = chars.next() {
        let count = fields.len();
        let Some(field) = fields.last_mut() else { break };
        match c {
            ':' if count < 5 => fields.push(FieldText {
                raw: String::new(),
                value: String::new(),
            }),
            '\\' => {
                let kept = chars.next().unwrap_or('\\');
                field.raw.push('\\');
                field.raw.push(kept);
                field.value.push(kept);
            }
            c => {
                field.raw.push(c);
                field.value.push(c);
            }
        }
    }
    fields
}

#[cfg(unix)]
pub(super) fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    // A file that does not exist is not reported as one with a wrong mode.
    std::fs::metadata(path).map_or(true, |metadata| metadata.permissions().mode().is_multiple_of(0o100))
}

#[cfg(not(unix))]
pub(super) fn is_private(_path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\nonly:three:fields\ndb:5432:clinic:ann:first\n*:*:*:bob:with:colon\\\\\n\\*:1:d:u:literal\n*:*:*:*:last";

    fn found(host: &str, port: u16, database: &str, user: &str) -> String {
        PassFile(FILE.to_owned())
            .find(host, port, database, user)
            .unwrap()
            .reveal()
            .to_owned()
    }

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        assert_eq!(found("db", 5432, "clinic", "ann"), "first");
        assert_eq!(found("db", 5433, "clinic", "ann"), "last");
        assert_eq!(found("other", 1, "x", "bob"), "with:colon\\");
        assert_eq!(found("*", 1, "d", "u"), "literal");
        assert_eq!(found("h", 1, "d", "u"), "last");
    }

    #[test]
    fn a_secret_hides_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "_");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_ignored() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        std::fs::write(&path, "*:*:*:*:x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(PassFile::read(&path).is_none());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(PassFile::read(&path).is_some());
        assert!(PassFile::read(&folder.path().join("none")).is_none());
    }
}
