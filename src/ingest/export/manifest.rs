//! Reads the manifest of a bulk export, as HL7 FHIR Bulk Data Access 2.0 describes it ("Response - Complete Status").

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Code, Error, Result};

/// What a manifest says.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    /// When the export was made. The server's clock decides.
    #[serde(rename = "transactionTime")]
    pub transaction_time: String,
    /// The files of resources, of one type each.
    pub output: Vec<Entry>,
    /// Files of Bundles, whose requests name what was deleted.
    #[serde(default)]
    pub deleted: Option<Vec<Entry>>,
    /// Files of `OperationOutcome` resources.
    #[serde(default)]
    pub error: Option<Vec<Entry>>,
    /// Other parts of the same manifest, as later versions of the specification have them.
    #[serde(default)]
    link: Option<Vec<Link>>,
}

/// A file of an export.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    /// The type of its resources.
    #[serde(rename = "type", default)]
    pub resource: Option<String>,
    pub url: String,
    /// The number of its resources.
    #[serde(default)]
    count: Option<Value>,
    #[serde(default)]
    extension: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Link {
    #[serde(default)]
    relation: Option<String>,
}

/// What a file of an export must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Expected {
    /// Its lines are Bundles, whose entries are the records.
    pub deleted: bool,
    /// The number of its lines.
    pub count: Option<u64>,
    /// In bytes, decompressed.
    pub length: Option<u64>,
    /// The SHA-256 of its decompressed bytes, in small hexadecimal digits.
    pub sha256: Option<String>,
}

impl Manifest {
    /// Reads the text of the manifest that messages call `path`.
    ///
    /// # Errors
    /// It is no manifest. The text is not repeated.
    pub fn parse(text: &[u8], path: &str) -> Result<Self> {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        serde_json::from_slice(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            let why = if error.is_data() {
                "a key of it is missing or has another type than it should"
            } else {
                "it is no valid JSON"
            };
            Error::batch(format!("{path} is no manifest of a bulk export"))
                .code(Code::InputUnreadable)
                .cause(format!("{why}: {place}"))
                .hint("let `path` name the manifest: a JSON object with `transactionTime`, `output` and `error`")
        })
    }

    /// Whether another part of the manifest follows.
    pub fn continues(&self) -> bool {
        let mut links = self.link.iter().flatten();
        links.any(|link| link.relation.as_deref() == Some("next"))
    }
}

impl Entry {
    /// The number of resources that the manifest says the file has.
    pub fn count(&self) -> Option<u64> {
        match self.count.as_ref()? {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        }
    }

    /// What the file must be. Servers tell the length and the checksum of the decompressed file by extensions whose URLs
    /// end in `file_length` and `checksum`, as those of CMS do: `{"url": "https://ab2d.cms.gov/checksum", "valueString":
    /// "sha256:..."}`.
    pub fn expected(&self, deleted: bool) -> Expected {
        let mut expected = Expected {
            deleted,
            count: self.count(),
            ..Expected::default()
        };
        match &self.extension {
            Some(Value::Array(extensions)) => {
                for extension in extensions.iter().filter_map(Value::as_object) {
                    let name = extension.get("url").and_then(Value::as_str).unwrap_or_default();
                    expected.note(name, value_of(extension));
                }
            }
            Some(Value::Object(extensions)) => {
                for (name, value) in extensions {
                    expected.note(name, Some(value));
                }
            }
            _ => {}
        }
        expected
    }

    /// The names that the file may have beside the manifest: the path of a relative URL, the last part of the URL's path,
    /// and both with the endings that a download may add.
    pub fn names(&self) -> Vec<String> {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        let is_relative = !path.contains("://") && !path.starts_with('/');
        let last = path.rsplit('/').next().unwrap_or_default();
        let relative = is_relative.then(|| path.strip_prefix("./").unwrap_or(path));
        let mut names: Vec<String> = Vec::new();
        for name in relative.into_iter().chain([last]) {
            let decoded = decoded(name);
            for name in [name.to_owned(), decoded] {
                let is_safe = !name.is_empty() && !name.split('/').any(|part| matches!(part, "" | "." | ".."));
                if !is_safe || name.contains(['\\', '\0']) {
                    continue;
                }
                for ending in ["", ".gz", ".ndjson", ".ndjson.gz"] {
                    let name = format!("{name}{ending}");
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
        }
        names
    }
}

impl Expected {
    fn note(&mut self, name: &str, value: Option<&Value>) {
        let Some(value) = value else { return };
        let name = name.rsplit(['/', '#']).next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "file_length" | "filelength" => self.length = value.as_u64(),
            "checksum" | "sha256" => {
                let text = value.as_str().unwrap_or_default().to_ascii_lowercase();
                let digits = text.strip_prefix("sha256:").unwrap_or(&text);
                let is_sha256 = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                self.sha256 = is_sha256.then(|| digits.to_owned());
            }
            _ => {}
        }
    }
}

/// The value of a FHIR extension, whatever its type: `valueString`, `valueDecimal` and others.
fn value_of(extension: &Map<String, Value>) -> Option<&Value> {
    let mut values = extension.iter().filter(|(key, _)| key.starts_with("value"));
    values.next().map(|(_, value)| value)
}

/// The text with `%20` and others decoded; as it is where that gives no text.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(value: Value) -> Entry {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn urls_become_names_beside_the_manifest() {
        let names = |url: &str| entry(json!({"type": "Patient", "url": url})).names();
        assert_eq!(
            names("https://h/bulk/1/Patient.ndjson?token=a/b")[..2],
            ["Patient.ndjson", "Patient.ndjson.gz"]
        );
        assert_eq!(names("https://h/f/17")[2..], ["17.ndjson", "17.ndjson.gz"]);
        let relative = names("parts/a%20b.ndjson");
        assert_eq!(relative[0], "parts/a%20b.ndjson");
        assert!(relative.contains(&"parts/a b.ndjson".to_owned()) && relative.contains(&"a b.ndjson".to_owned()));
        // No name leads out of the folder.
        for bad in ["../x.ndjson", "/etc/..", "..", "a/%2e%2e/../b", "", "https://h/"] {
            let out = names(bad)
                .into_iter()
                .filter(|name| name.split('/').any(|part| part == ".."));
            assert_eq!(out.count(), 0, "{bad}");
        }
        assert!(
            !names("https://h/x%2F..%2Fy")
                .iter()
                .any(|name| name.contains("..") && name.contains('/'))
        );
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%ff"), "%ff");
    }

    #[test]
    fn counts_and_checksums_are_read() {
        let digest = "a".repeat(64);
        let one = entry(json!({"url": "a", "count": 3, "extension": [
            {"url": "https://ab2d.cms.gov/file_length", "valueDecimal": 7},
            {"url": "https://ab2d.cms.gov/checksum", "valueString": format!("sha256:{}", digest.to_uppercase())},
            {"url": "https://h/other", "valueString": "x"}]}));
        let all = Expected {
            deleted: true,
            count: Some(3),
            length: Some(7),
            sha256: Some(digest.clone()),
        };
        assert_eq!(one.expected(true), all);
        let one = entry(json!({"url": "a", "count": "3", "extension": {"checksum": digest, "file_length": 7}}));
        assert_eq!(one.expected(true), all);
        let none = entry(json!({"url": "a", "extension": [{"url": "u/checksum", "valueString": "md5:00"}, 7]}));
        assert_eq!(none.expected(false), Expected::default());
    }

    #[test]
    fn what_is_no_manifest_is_said_without_its_text() {
        for (text, why) in [
            ("{\"secret\": ", "no valid JSON"),
            ("{\"transactionTime\": \"secret\"}", "a key of it is missing"),
            ("[1, 2]", "a key of it is missing"),
            (
                "{\"resourceType\": \"Bundle\", \"secret\": 1}",
                "a key of it is missing",
            ),
            (
                "{\"transactionTime\": \"secret\", \"output\": {\"secret\": 1}}",
                "another type",
            ),
        ] {
            let error = Manifest::parse(text.as_bytes(), "in/m.json").unwrap_err();
            let said = format!("{error:?}");
            assert!(
                said.contains("in/m.json is no manifest") && said.contains(why),
                "{text}: {said}"
            );
            assert!(!said.contains("secret"), "{said}");
        }
        let text = b"\xEF\xBB\xBF{\"transactionTime\": \"2023\", \"output\": [], \"error\": null, \"more\": 1, \
                     \"link\": [{\"relation\": \"next\", \"url\": \"u\"}]}";
        let manifest = Manifest::parse(text, "m").unwrap();
        assert!(manifest.continues() && manifest.error.is_none());
    }
}
