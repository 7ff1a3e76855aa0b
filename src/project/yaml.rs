//! Parses a YAML text into a tree in which every key and value has its place in the text. Keys keep their order,
//! duplicate keys are kept, and nothing has a type yet. So the checks can continue after the first problem. No key of
//! the project is known here.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{MessageFormatter, Options, Spanned, UserMessageFormatter};

/// A place in the text; line and column count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub line: usize,
    pub column: usize,
    /// Length in characters, including line breaks if the value has several lines. 0 for a value that is not written
    /// out.
    pub length: usize,
    /// 0 is the document itself, 1 the first file that it uses, and so on.
    pub file: usize,
}

impl Span {
    pub const START: Self = Self {
        line: 1,
        column: 1,
        length: 1,
        file: 0,
    };
}

impl std::convert::From<serde_saphyr::Location> for Span {
    fn from(location: serde_saphyr::Location) -> Self {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            line: number(location.line()).max(1),
            column: number(location.column()).max(1),
            length: number(location.span().len()),
            file: 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub value: Value,
    pub span: Span,
}

/// How many values a document may hold, its aliases expanded; a source with all files that it uses, too.
pub(super) const MAX_NODES: usize = 50_000;
/// How deeply they may be nested.
pub(super) const MAX_DEPTH: usize = 64;

impl Node {
    /// How many values it holds, itself included.
    pub fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(nodes) => nodes.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|entry| 1 + entry.value.count()).sum(),
            Value::Null | Value::Bool(_) | Value::Number | Value::Text(_) => 0,
        }
    }

    /// How many levels of lists and mappings it has.
    pub fn depth(&self) -> usize {
        let deepest = match &self.value {
            Value::List(nodes) => nodes.iter().map(Self::depth).max(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.depth()).max(),
            Value::Null | Value::Bool(_) | Value::Number | Value::Text(_) => return 0,
        };
        1 + deepest.unwrap_or_default()
    }

    /// Notes from which file the tree comes.
    pub fn set_file(&mut self, file: usize) {
        self.span.file = file;
        match &mut self.value {
            Value::List(nodes) => nodes.iter_mut().for_each(|node| node.set_file(file)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key.span.file = file;
                    entry.value.set_file(file);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number | Value::Text(_) => {}
        }
    }
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number. Its value is not kept, because no key of the project takes a number.
    Number,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub key: Key,
    pub value: Node,
}

#[derive(Debug)]
pub(super) struct Key {
    pub text: String,
    pub span: Span,
}

impl Entry {
    /// The place to report for a wrong value: the value itself if it is a scalar, otherwise its key. A collection's own
    /// place is its first element, and an absent value has no useful place.
    pub fn place(&self) -> Span {
        match self.value.value {
            Value::Bool(_) | Value::Number | Value::Text(_) if self.value.span.length > 0 => self.value.span,
            _ => self.key.span,
        }
    }
}

impl Value {
    /// The kind of value that the user wrote, for messages such as "must be ..., not ...".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Number => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Why a text is not valid YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub message: String,
    pub span: Span,
    pub hint: Option<&'static str>,
}

/// The stack size of the parser's thread. Without optimisation, each level of nesting takes about 40 KB, and 64 levels
/// are allowed.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Parses one YAML document. An empty text is [`Value::Null`].
///
/// Parsing runs on its own thread, so that a deeply nested document can't overflow the caller's stack.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    std::thread::scope(|scope| {
        let read =
            || serde_saphyr::from_str_with_options::<Node>(text, options()).map_err(|error| syntax_error(&error));
        let failed = |reason: String| SyntaxError {
            message: reason,
            span: Span::START,
            hint: None,
        };
        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, read)
            .map_err(|error| failed(format!("no thread to read the file with: {error}")))?
            .join()
            .unwrap_or_else(|_| Err(failed("the file can't be read as YAML: the reader stopped".to_owned())))
    })
}

/// Keeps the library's limits against hostile documents, and lowers them to what a project can need.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            max_events: 200_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
        emit_comments: false,
    }
}

const QUOTES_HINT: &str =
    "check brackets and indentation; put a text in quotes that holds `: ` or starts with one of { [ % @ * & ! ` | >";

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let mut origin = error;
    while let serde_saphyr::Error::AliasError { error, .. } = origin {
        origin = error;
    }
    let (message, hint) = match origin {
        serde_saphyr::Error::Budget {
            breach: BudgetBreach::Documents { .. },
            ..
        }
        | serde_saphyr::Error::MultipleDocuments { .. } => (
            "the file holds more than one YAML document".to_owned(),
            Some("keep one, without `---`"),
        ),
        serde_saphyr::Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => ("the YAML is nested too deeply (more than 64 levels)".to_owned(), None),
        serde_saphyr::Error::Budget { .. }
        | serde_saphyr::Error::AliasReplayLimitExceeded { .. }
        | serde_saphyr::Error::AliasReplayStackDepthExceeded { .. } => (
            "the YAML is too large for a project file, its aliases expanded".to_owned(),
            Some("a file may hold 50,000 values, and 1,000 aliases and anchors"),
        ),
        serde_saphyr::Error::UnknownAnchor { .. } => (
            "the alias names no anchor of this file".to_owned(),
            Some("quote the text if it is none: \"*...\""),
        ),
        serde_saphyr::Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("the alias stands inside its own anchor".to_owned(), None)
        }
        other => {
            let reason = UserMessageFormatter.format_message(other);
            // A tag is quoted, which is text of the file. A single character is quoted otherwise: `@'.
            let reason = match reason.split_once(" `") {
                Some((before, quoted)) if quoted.ends_with('`') => before.to_owned(),
                _ => reason.into_owned(),
            };
            // What the parser itself refuses. The other errors are about values that it has understood.
            let is_syntax = matches!(other, serde_saphyr::Error::ExternalMessage { .. });
            (format!("this is no YAML: {reason}"), is_syntax.then_some(QUOTES_HINT))
        }
    };
    let span = error.location().map_or(Span::START, Span::from);
    SyntaxError { message, span, hint }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            span: spanned.defined.into(),
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<KeyText>>()? {
            let key = Key {
                text: key.value.0,
                span: key.defined.into(),
            };
            entries.push(Entry {
                key,
                value: map.next_value()?,
            });
        }
        Ok(Value::Map(entries))
    }
}

/// The text of a key. Keys such as `true`, `~` and `1` are read as text. They are then unknown keys or bad names like
/// any other.
struct KeyText(String);

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = KeyText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text as a key")
    }

    fn visit_unit<E>(self) -> Result<KeyText, E> {
        Ok(KeyText("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<KeyText, E> {
        Ok(KeyText(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<KeyText, E> {
        Ok(KeyText(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<KeyText, E> {
        Ok(KeyText(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<KeyText, E> {
        Ok(KeyText(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<KeyText, E> {
        Ok(KeyText(value.to_owned()))
    }
}

#[cfg(test)]
mod tests;
