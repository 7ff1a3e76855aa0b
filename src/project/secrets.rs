//! Keeps secrets out of project files and out of messages. No function here ever returns a secret.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// Looks up an environment variable. It is a function so that tests need not change the environment of the process.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the secrets that lie in files (`held.rs`).
pub(super) type Held<'a> = &'a dyn Fn() -> Vec<String>;

/// The remedy for a secret in a file.
pub(super) const HINT: &str = "take it out: secrets come from the environment alone \
    (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)";

const SECRET_WORDS: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "access_key",
    "accesskey",
];

/// Whether a key of this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word)) || matches!(name.as_str(), "pwd" | "pass" | "sas")
}

/// Whether an object-store setting of this name holds a secret. object_store calls most of them some kind of `key`.
pub(super) fn is_secret_setting(name: &str) -> bool {
    is_secret_name(name) || name.to_lowercase().contains("key")
}

/// Variables that hold secrets, beside those whose name says so.
const SECRET_VARIABLES: [&str; 8] = [
    "DATABASE_URL",
    "PGPASSFILE",
    "PGSERVICEFILE",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS",
    "SSH_AUTH_SOCK",
];
/// Variables whose content is a secret of this program, of PostgreSQL or of an object store.
const HELD: [&str; 14] = [
    "PIPELINE_MASK_KEY",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
];
/// Variables that may name a file with secrets (libpq's, those of object_store, and this program's own), each with the
/// file's usual place below the home folder.
pub(super) const FILES: [(&str, &str); 11] = [
    ("PIPELINE_MASK_KEY", ""),
    ("PGPASSFILE", ".pgpass"),
    ("PGSSLKEY", ".postgresql/postgresql.key"),
    ("PGSERVICEFILE", ".pg_service.conf"),
    ("GOOGLE_SERVICE_ACCOUNT", ""),
    ("GOOGLE_SERVICE_ACCOUNT_PATH", ""),
    (
        "GOOGLE_APPLICATION_CREDENTIALS",
        ".config/gcloud/application_default_credentials.json",
    ),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", ""),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""),
    ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
    ("AZURE_FEDERATED_TOKEN_FILE", ""),
];
/// A shorter text may be base64 by chance.
const LONG: usize = 32;
/// A shorter text is found in too many values by chance.
const SHORTEST: usize = 4;

/// Whether an environment variable of this name holds a secret.
pub(super) fn is_secret_variable(name: &str) -> bool {
    let name = name.to_uppercase();
    is_secret_setting(&name) || SECRET_VARIABLES.contains(&name.as_str()) || FILES.iter().any(|(file, _)| *file == name)
}

/// Whether a text holds a secret that the environment has under a name of its own, one of `in_files`, or a URL with a
/// secret.
pub(super) fn holds_secret(text: &str, lookup: Lookup<'_>, in_files: Held<'_>) -> bool {
    let held = HELD.iter().filter_map(|name| lookup(name));
    let mut secrets: Vec<String> = held
        .chain(lookup("DATABASE_URL").iter().flat_map(|url| passwords(url)))
        .chain(in_files())
        .collect();
    secrets.retain(|secret| secret.len() >= SHORTEST);
    let spelt = secrets.iter().flat_map(|secret| spellings(secret));
    url_holds_secret(text) || spelt.into_iter().any(|secret| text.contains(&secret))
}

/// A secret, and what it is in other spellings if it is base64, as the mask key is.
fn spellings(secret: &str) -> Vec<String> {
    let mut found = vec![secret.to_owned()];
    let bare = secret.trim().trim_end_matches('=').replace('-', "+").replace('_', "/");
    if bare.len() >= LONG
        && let Ok(bytes) = BASE64_STANDARD_NO_PAD.decode(&bare)
    {
        let hex = hex::encode(bytes);
        found.extend([bare.replace('+', "-").replace('/', "_"), bare, hex.to_uppercase(), hex]);
    }
    found
}

/// The password in a connection string, as it stands there and decoded.
fn passwords(connection: &str) -> Vec<String> {
    let in_url = secret_parts(connection)
        .into_iter()
        .map(|(start, end)| connection[start..end].to_owned());
    let keywords = connection.split_whitespace();
    let keyword = keywords.filter_map(|word| word.strip_prefix("password=").map(str::to_owned));
    let mut found: Vec<String> = in_url.chain(keyword).collect();
    let decoded: Vec<String> = found.iter().map(|password| decoded(password)).collect();
    found.extend(decoded);
    found
}

/// The text with its `%40` decoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = match rest {
            [b'%', high, low, ..] => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|code| u8::from_str_radix(code, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &rest[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the text contains a URL with a password before its host, or with a signature or token in its query.
pub(super) fn url_holds_secret(text: &str) -> bool {
    !secret_parts(text).is_empty()
}

/// Replaces the secrets in the text's URLs with stars. The text keeps its length.
pub(super) fn mask_urls(text: &str) -> String {
    with_stars(text, &secret_parts(text))
}

/// Byte ranges of passwords and signatures in URLs.
fn secret_parts(text: &str) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    for (position, separator) in text.match_indices("://") {
        let start = position + separator.len();
        let end = start
            + text[start..]
                .find([' ', '\t', '\n', '"', '\'', '<', '>'])
                .unwrap_or(text.len() - start);
        let authority_end = start + text[start..end].find(['/', '?', '#']).unwrap_or(end - start);
        if let Some(at) = text[start..authority_end].rfind('@')
            && let Some(colon) = colon_outside_of_variables(&text[start..start + at])
        {
            parts.push((start + colon + 1, start + at));
        }
        parts.extend(secret_parameters(text, authority_end, end));
    }
    parts
}

/// The position of the colon that ends the user name. The colon inside of `${env:USER}` does not count.
fn colon_outside_of_variables(user: &str) -> Option<usize> {
    let mut inside = false;
    user.char_indices().find_map(|(position, c)| {
        match c {
            '$' if user[position..].starts_with("${") => inside = true,
            '}' => inside = false,
            ':' if !inside => return Some(position),
            _ => {}
        }
        None
    })
}

fn secret_parameters(text: &str, start: usize, end: usize) -> Vec<(usize, usize)> {
    let Some(question_mark) = text[start..end].find('?') else {
        return Vec::new();
    };
    let mut parts = Vec::new();
    let mut position = start + question_mark + 1;
    for parameter in text[position..end].split('&') {
        if let Some((name, value)) = parameter.split_once('=') {
            let lower = name.to_lowercase();
            if !value.is_empty() && (is_secret_name(name) || lower == "sig" || lower.ends_with("signature")) {
                parts.push((position + name.len() + 1, position + parameter.len()));
            }
        }
        position += parameter.len() + 1;
    }
    parts
}

/// The lines of a YAML text with secrets replaced by stars: everything after a key whose name means a secret. This
/// works even if the text is not valid YAML. Every line keeps its length.
pub(super) fn mask_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    // The indentation of a secret key whose value continues in the next lines.
    let mut hidden_below: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(key_indent) = hidden_below {
            if line.trim().is_empty() || indent > key_indent && !looks_like_mapping(line) {
                lines.push(with_stars(line, &[(indent, line.len())]));
                continue;
            }
            hidden_below = None;
        }
        let (masked, goes_on) = mask_secret_values(&mask_urls(line));
        if goes_on {
            hidden_below = Some(indent);
        }
        lines.push(masked);
    }
    lines
}

fn looks_like_mapping(line: &str) -> bool {
    line.trim_end().ends_with(':') || line.contains(": ")
}

/// Replaces the scalar values of secret keys in one line with stars. Returns true if the value may continue in the next
/// lines.
fn mask_secret_values(line: &str) -> (String, bool) {
    let mut parts = Vec::new();
    for (colon, _) in line.match_indices(':') {
        let value_start = colon + 1 + (line[colon + 1..].len() - line[colon + 1..].trim_start().len());
        let value = &line[value_start..];
        if value.starts_with(['{', '[', '/']) || !names_a_secret(key_before(&line[..colon])) {
            continue;
        }
        let in_flow = line[..colon].contains('{');
        parts.push((value_start, value_start + value_end(value, in_flow)));
        if !in_flow {
            break;
        }
    }
    (with_stars(line, &parts), !parts.is_empty())
}

fn key_before(text: &str) -> &str {
    let text = text.trim_end().trim_end_matches(['"', '\'']);
    let no_key = |c: char| !(c.is_alphanumeric() || "_-.".contains(c));
    text.rsplit(no_key).next().unwrap_or(text)
}

fn names_a_secret(key: &str) -> bool {
    is_secret_name(key) || key.to_lowercase().ends_with("_key")
}

/// Where a scalar ends in its line: before `,` or `}` in a flow mapping, after its closing quote, or at the end of the
/// line. If the line is not valid YAML, it hides too much rather than too little.
fn value_end(value: &str, in_flow: bool) -> usize {
    if !in_flow {
        return value.len();
    }
    let quoted = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].rfind(quote).map_or(value.len(), |close| close + 2),
        _ => 0,
    };
    value[quoted..].find([',', '}']).map_or(value.len(), |end| quoted + end)
}

/// Replaces each character of the byte ranges with a star.
fn with_stars(text: &str, parts: &[(usize, usize)]) -> String {
    let hidden = |at: usize| parts.iter().any(|(start, end)| (*start..*end).contains(&at));
    text.char_indices()
        .map(|(at, c)| if hidden(at) { '*' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "password",
            "DB_PASSWORD",
            "aws_secret_access_key",
            "session-token",
            "access_key_id",
            "pwd",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["key", "name", "compass", "author", "passage"] {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(is_secret_setting("account_key"));
        assert!(!is_secret_setting("region"));
    }

    #[test]
    fn a_key_is_known_in_other_spellings() {
        let key = "++8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let lookup = |name: &str| (name == "PIPELINE_MASK_KEY").then(|| key.to_owned());
        for copy in [
            key,
            "--8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "fbef0203040506070809",
            "FBEF02030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
            "fbef02030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        ] {
            let is_whole = copy.len() > 40;
            assert_eq!(
                holds_secret(&format!("a/{copy}/b"), &lookup, &Vec::new),
                is_whole,
                "{copy}"
            );
        }
    }

    #[test]
    fn urls_with_secrets() {
        assert_eq!(
            mask_urls("https://me:hunter2@host/a and s3://b/c"),
            "https://me:*******@host/a and s3://b/c"
        );
        assert_eq!(
            mask_urls("https://h/a?x=1&sig=ab%2F&y=2"),
            "https://h/a?x=1&sig=*****&y=2"
        );
        assert_eq!(
            mask_urls("https://h/a?X-Amz-Signature=abc"),
            "https://h/a?X-Amz-Signature=***"
        );
        assert!(url_holds_secret("https://${env:U}:${env:P}@host/a"));
        assert!(!url_holds_secret("https://${env:U}@host/a:b@c"));
        assert!(!url_holds_secret("s3://bucket/{date:%Y}/a:b"));
    }

    #[test]
    fn shown_lines_hold_no_secret_and_keep_their_length() {
        let text = "name: b\npassword: hunter2\n  more hunter2\ninput: {secret_key: \"hunter2, 3\", path: a}\n\
                    api_key: |\n  hunter2\n\n  hunter2\npath: https://me:hunter2@h/\n\"token\": hunter2 # hunter2\n\
                    token:\n  hunter2\nok: 1\nkey: [patient_id]\naccount_key: é";
        let shown = mask_lines(text);
        assert!(!shown.join("\n").contains("hunter2"), "{shown:#?}");
        for (before, after) in text.lines().zip(&shown) {
            assert_eq!(before.chars().count(), after.chars().count());
        }
        assert_eq!(shown[3], "input: {secret_key: ************, path: a}");
        assert_eq!(shown[13], "key: [patient_id]");
        assert_eq!(shown[14], "account_key: *");
    }

    #[test]
    fn a_field_named_like_a_secret_keeps_its_attributes_visible() {
        assert_eq!(
            mask_lines("token:\n  type: strng\ntoken: {type: x}"),
            ["token:", "  type: strng", "token: {type: x}"]
        );
    }
}
