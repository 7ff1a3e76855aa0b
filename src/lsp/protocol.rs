//! The messages of the Language Server Protocol that this server takes and gives (LSP 3.17). What a client sends beyond
//! them is passed over.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A place in a document; the line and the UTF-16 units in it count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Position {
    pub line: u32,
    pub character: u32,
}

/// The end is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    pub start: Position,
    pub end: Position,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Opened {
    pub text_document: OpenedDocument,
}

#[derive(Debug, Deserialize)]
pub(super) struct OpenedDocument {
    pub uri: String,
    #[serde(default)]
    pub version: i64,
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    pub text_document: VersionedDocument,
    pub content_changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
pub(super) struct VersionedDocument {
    pub uri: String,
    pub version: Option<i64>,
}

/// A change of a part, or of the whole text where no range is given.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    pub range: Option<Range>,
    pub text: String,
}

/// A document, and a position in it where the request has one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct At {
    pub text_document: Document,
    pub position: Option<Position>,
    pub range: Option<Range>,
    /// Why completions are asked for, or which references.
    pub context: Option<Context>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Context {
    pub trigger_character: Option<String>,
    /// Of a request for references: whether the declaration is one.
    #[serde(default)]
    pub include_declaration: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub uri: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Watched {
    pub changes: Vec<Document>,
}

/// What this server can do.
pub(super) fn capabilities() -> Value {
    json!({
        "capabilities": {
            "positionEncoding": "utf-16",
            "textDocumentSync": {"openClose": true, "change": 2, "save": {"includeText": false}},
            "completionProvider": {"triggerCharacters": [".", "[", "'", "$", ":", " "]},
            "hoverProvider": true,
            "definitionProvider": true,
            "referencesProvider": true,
            "codeActionProvider": {"codeActionKinds": ["quickfix"]},
        },
        "serverInfo": {"name": "pipeline", "version": env!("CARGO_PKG_VERSION")},
    })
}

/// The request by which the server asks to hear of files that change outside of the editor.
pub(super) fn watch_files() -> Value {
    let watchers: Vec<Value> = ["**/*.yaml", "**/*.sql"]
        .iter()
        .map(|glob| json!({"globPattern": glob}))
        .collect();
    json!({"registrations": [{
        "id": "files",
        "method": "workspace/didChangeWatchedFiles",
        "registerOptions": {"watchers": watchers},
    }]})
}

/// Whether the client lets a server ask for that (`initialize`, its parameters).
pub(super) fn can_watch(initialize: &Value) -> bool {
    initialize["capabilities"]["workspace"]["didChangeWatchedFiles"]["dynamicRegistration"] == true
}

pub(super) fn hover(markdown: &str, range: Range) -> Value {
    json!({"contents": {"kind": "markdown", "value": markdown}, "range": range})
}

/// The kinds of completions that this server gives, by their numbers in the protocol (`CompletionItemKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Function = 3,
    Field = 5,
    Variable = 6,
    Class = 7,
    Property = 10,
    Snippet = 15,
    Value = 20,
}

/// A completion: what is shown, what takes the place of `range`, and what it means.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub label: String,
    pub kind: ItemKind,
    pub detail: String,
    pub markdown: String,
    pub insert: String,
    /// What the typed text is compared with.
    pub filter: Option<String>,
    /// Lower ones come first.
    pub rank: u8,
}

impl Item {
    pub fn new(label: impl Into<String>, kind: ItemKind) -> Self {
        let label = label.into();
        Self {
            insert: label.clone(),
            label,
            kind,
            detail: String::new(),
            markdown: String::new(),
            filter: None,
            rank: 5,
        }
    }

    pub fn json(&self, range: Range) -> Value {
        let mut item = json!({
            "label": self.label,
            "kind": self.kind as u8,
            "sortText": format!("{}{}", self.rank, self.label),
            "filterText": self.filter.as_ref().unwrap_or(&self.label),
            "textEdit": {"range": range, "newText": self.insert},
        });
        if !self.detail.is_empty() {
            item["detail"] = json!(self.detail);
        }
        if !self.markdown.is_empty() {
            item["documentation"] = json!({"kind": "markdown", "value": self.markdown});
        }
        item
    }
}
