//! Makes one hash of everything that a run was made from. The same fingerprint means the same YAML, SQL and input.

use sha2::{Digest, Sha256};

use crate::ingest::InputFile;
use crate::model::sql_tokens::{Kind as Token, tokens};
use crate::model::{Project, Source, subject};

/// SHA-256, in hex, over the contracts, the source's YAML and SQL, its files' paths, sizes and etags, and the id of the
/// key of its masks, where they need one.
pub(super) fn fingerprint(project: &Project, source: &Source, files: &[InputFile], key_id: Option<&str>) -> String {
    let mut hash = Parts::default();
    let mut part = |text: &str| hash.add(text);
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
    hash.hex()
}

/// SHA-256, in hex, over what decides where a person's id is looked for: the SQL of the transforms, comments and spaces
/// aside, and of each kind its conditions, its subject and the subject's type.
pub(super) fn sql_fingerprint(source: &Source) -> String {
    let mut hash = Parts::default();
    for transform in &source.transforms {
        hash.add("transform");
        hash.add(&transform.entity);
        for token in tokens(&transform.sql) {
            if token.kind != Token::Comment {
                hash.add(&format!("{:?}", token.kind));
                hash.add(&token.value);
            }
        }
    }
    for kind in &source.kinds {
        let path = kind.subject.as_deref().unwrap_or_default();
        let subject = subject::find(&kind.schema, path).ok();
        let subject = subject.map_or("", |found| found.field.field_type.kind());
        for text in ["kind", &kind.name, &format!("{:?}", kind.conditions), path, subject] {
            hash.add(text);
        }
    }
    hash.hex()
}

#[derive(Default)]
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, text: &str) {
        // A checkout with other line endings is the same project.
        let text = text.replace("\r\n", "\n");
        // With the length before each part, `ab` and `c` give another hash than `a` and `bc`.
        self.0
            .update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(text);
    }

    fn hex(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// The files as the history notes them.
pub(super) fn files_value(files: &[InputFile]) -> serde_json::Value {
    files
        .iter()
        .map(|f| serde_json::json!({"path": f.path, "size": f.size, "etag": f.etag}))
        .collect()
}
