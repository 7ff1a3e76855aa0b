//! The documents that the editor has open, and the names of files in the protocol.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use super::protocol::Change;
use super::text::Text;

/// An open document. Its text is that of the editor, saved or not.
#[derive(Debug)]
pub(super) struct Document {
    /// As the client spells it. Another spelling of the same file would be another document to it.
    pub uri: String,
    pub version: Option<i64>,
    pub text: Text,
}

/// The open documents by the paths of their files.
#[derive(Debug, Default)]
pub(super) struct Documents(BTreeMap<PathBuf, Document>);

impl Documents {
    pub fn get(&self, path: &Path) -> Option<&Document> {
        self.0.get(path)
    }

    pub fn open(&mut self, path: PathBuf, uri: String, version: i64, text: String) {
        let document = Document {
            uri,
            version: Some(version),
            text: Text::new(without_mark(text)),
        };
        self.0.insert(path, document);
    }

    /// Applies changes in their order.
    pub fn change(&mut self, path: &Path, version: Option<i64>, changes: Vec<Change>) {
        let Some(document) = self.0.get_mut(path) else { return };
        document.version = version;
        for change in changes {
            let text = match change.range {
                None => change.text,
                Some(range) => {
                    let old = document.text.as_str();
                    let start = document.text.offset(range.start);
                    let end = document.text.offset(range.end).max(start);
                    [&old[..start], &change.text, &old[end..]].concat()
                }
            };
            document.text = Text::new(without_mark(text));
        }
    }

    pub fn close(&mut self, path: &Path) {
        self.0.remove(path);
    }

    /// The open texts of a folder, by their paths relative to it.
    pub fn below(&self, root: &Path) -> BTreeMap<PathBuf, String> {
        let relative = self.0.iter().filter_map(|(path, document)| {
            let path = path.strip_prefix(root).ok()?;
            Some((path.to_owned(), document.text.as_str().to_owned()))
        });
        relative.collect()
    }
}

/// A byte order mark is no part of the text: the project's files are read without it, too.
fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// The path of a file. `None` for what is no file, such as a document that has never been saved.
pub(super) fn path_of(uri: &str) -> Option<PathBuf> {
    Url::parse(uri).ok()?.to_file_path().ok()
}

pub(super) fn uri_of(path: &Path) -> Option<String> {
    Url::from_file_path(path).ok().map(String::from)
}
