//! The secrets that lie in files: the mask key, password files, credentials of object stores. They are compared with what
//! environment variables hold, and never returned to who asks for a variable.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::secrets::{self, Lookup};

/// The most bytes that are read of a file.
const LONGEST: u64 = 64 * 1024;

/// The key that the program makes for the embedded database, in the project's folder.
const KEY_FILE: &str = ".pipeline/mask.key";

/// The secrets in all files that exist.
pub(super) fn in_files(root: &Path, lookup: Lookup<'_>) -> Vec<String> {
    let texts = files(root, lookup).into_iter().filter_map(|path| read(&path));
    texts.flat_map(|text| in_text(&text)).collect()
}

/// The files that hold secrets, whether they exist or not.
pub fn secret_files(root: &Path) -> Vec<PathBuf> {
    files(root, &|name| std::env::var(name).ok())
}

fn files(root: &Path, lookup: Lookup<'_>) -> Vec<PathBuf> {
    let home = lookup("HOME").map(PathBuf::from);
    let usual = |place: &str| home.as_ref().filter(|_| !place.is_empty()).map(|home| home.join(place));
    let named = secrets::FILES
        .iter()
        .filter_map(|(name, place)| lookup(name).map(PathBuf::from).or_else(|| usual(place)));
    named.chain([root.join(KEY_FILE)]).collect()
}

fn read(path: &Path) -> Option<String> {
    // A named pipe would wait for ever.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

/// The whole text, as in a file that holds a key or a token; the passwords of a password file; and what stands after a
/// name that means a secret, in JSON or in lines of `name = value`.
fn in_text(text: &str) -> Vec<String> {
    let mut found = vec![text.trim().to_owned(), text.trim().trim_end_matches('=').to_owned()];
    for line in text.lines() {
        found.extend(password(line));
        let Some((name, value)) = line.split_once(['=', ':']) else {
            continue;
        };
        let bare = |text: &str| text.trim().trim_end_matches(',').trim().trim_matches('"').to_owned();
        if secrets::is_secret_setting(&bare(name)) {
            found.extend([bare(value), bare(value).replace("\\n", "\n")]);
        }
    }
    found
}

/// The fifth field of a line of a password file.
fn password(line: &str) -> Option<String> {
    let (mut colons, mut escaped) = (0, false);
    let start = line.char_indices().find_map(|(at, c)| {
        colons += usize::from(c == ':' && !escaped);
        escaped = c == '\\' && !escaped;
        (colons == 4).then_some(at + 1)
    })?;
    let (mut password, mut rest) = (String::new(), line[start..].chars());
    while let Some(c) = rest.next() {
        password.extend(if c == '\\' { rest.next() } else { Some(c) });
    }
    Some(password)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_secrets_of_files_are_found() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        fs::create_dir_all(root.path().join(".pipeline")).unwrap();
        fs::create_dir_all(home.join(".aws")).unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write(".pipeline/mask.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
        write("key", "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
        write(
            "home/.pgpass",
            "# a comment\ndb.example.org:5432:*:me:p\\:a\\\\ss:word\n",
        );
        write(
            "home/.aws/credentials",
            "[default]\naws_secret_access_key = wJalr/K7\nregion = eu-west-1\n",
        );
        write(
            "google.json",
            "{\n  \"client_email\": \"a@b\",\n  \"private_key\": \"-----BEGIN\\nMIIE\\n\",\n}",
        );
        let path = |name: &str| root.path().join(name).display().to_string();
        let lookup = |name: &str| match name {
            "HOME" | "AWS_WEB_IDENTITY_TOKEN_FILE" => Some(path("home")),
            "PIPELINE_MASK_KEY" => Some(path("key")),
            "GOOGLE_SERVICE_ACCOUNT" => Some(path("google.json")),
            _ => None,
        };
        let found = in_files(root.path(), &lookup);
        for secret in [
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "p:a\\ss:word",
            "wJalr/K7",
            "-----BEGIN\nMIIE\n",
        ] {
            assert!(found.iter().any(|one| one == secret), "{secret}");
        }
        for other in ["db.example.org", "eu-west-1", "a@b", "me"] {
            assert!(!found.iter().any(|one| one == other), "{other}");
        }
    }
}
