//! Makes one hash of everything that a run was made from. The same fingerprint means the same YAML, SQL and input.

use sha2::{Digest, Sha256};

use crate::ingest::InputFile;
use crate::model::{Project, Source};

/// SHA-256, in hex, over the contracts, the source's YAML and SQL, its files' paths, sizes and etags, and the id of the
/// key of its masks, where they need one.
pub(super) fn fingerprint(project: &Project, source: &Source, files: &[InputFile], key_id: Option<&str>) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        // A checkout with other line endings is the same project.
        let text = text.replace("\r\n", "\n");
        // With the length before each part, `ab` and `c` give another hash than `a` and `bc`.
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text);
    };
    part(&project.text);
    part(&source.fingerprint_text());
    for check in &project.checks {
        part(&check.name);
        part(&check.sql);
    }
    for file in files {
        part(&file.path);
        part(&file.size.to_string());
        part(file.etag.as_deref().unwrap_or(""));
    }
    if let Some(id) = key_id {
        part("mask key");
        part(id);
    }
    hex::encode(hash.finalize())
}

/// The files as the history notes them.
pub(super) fn files_value(files: &[InputFile]) -> serde_json::Value {
    files
        .iter()
        .map(|f| serde_json::json!({"path": f.path, "size": f.size, "etag": f.etag}))
        .collect()
}
