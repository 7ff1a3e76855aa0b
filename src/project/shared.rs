//! Puts shared fields into the schemas of a source: `schema: {use: schemas/patient.yaml}`, with the source's own fields
//! over them. It works on the tree of the YAML, in which each value knows its file, so that every problem is reported at
//! the line where its key stands.

use std::path::{Component, Path, PathBuf};

use super::document::Document;
use super::problems::Problems;
use super::yaml::{Entry, Key, Node, Value};
use crate::workspace::Files;

/// The key that names the file of shared fields.
const USE: &str = "use";
/// The keys of a field that say what it is. A field has one of them.
const SHAPES: [&str; 4] = ["type", "list", "one_or_many", "struct"];

/// Resolves `use` in all schemas of a source, at any depth.
pub(super) fn resolve(files: &Files, document: &mut Document, tree: &mut Node, problems: &mut Problems) {
    let mut sharing = Sharing {
        files,
        document,
        problems,
        open: Vec::new(),
    };
    if let Some(schema) = value_of(tree, "schema") {
        sharing.fields(schema);
    }
    let kinds = value_of(tree, "kinds").map(|kinds| &mut kinds.value);
    if let Some(Value::Map(kinds)) = kinds {
        for kind in kinds {
            if let Some(schema) = value_of(&mut kind.value, "schema") {
                sharing.fields(schema);
            }
        }
    }
}

fn value_of<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let Value::Map(entries) = &mut node.value else {
        return None;
    };
    let found = entries.iter_mut().find(|entry| entry.key.text == key);
    found.map(|entry| &mut entry.value)
}

struct Sharing<'a> {
    files: &'a Files,
    document: &'a mut Document,
    problems: &'a mut Problems,
    /// The files that use one another on the way here.
    open: Vec<PathBuf>,
}

impl Sharing<'_> {
    /// Resolves `use` in a mapping of fields, and in the structs and lists inside of it.
    fn fields(&mut self, node: &mut Node) {
        let Value::Map(entries) = &mut node.value else { return };
        // A field may itself be called `use`. Its value is then a type, and not the name of a file.
        let is_use = |entry: &Entry| match &entry.value.value {
            Value::Text(text) => entry.key.text == USE && is_yaml(text),
            _ => false,
        };
        if let Some(at) = entries.iter().position(is_use) {
            let used = entries.remove(at);
            let own = std::mem::take(entries);
            let base = self.file(&used).unwrap_or_default();
            *entries = merged(base, own);
        }
        for entry in entries {
            for shape in SHAPES {
                if let Some(inner) = value_of(&mut entry.value, shape) {
                    self.fields(inner);
                }
            }
        }
    }

    /// The fields of a shared file, with what it uses itself.
    fn file(&mut self, used: &Entry) -> Option<Vec<Entry>> {
        let Value::Text(text) = &used.value.value else {
            return None;
        };
        let path = PathBuf::from(text);
        let problem = |this: &mut Self, message: String, hint: &str| {
            let location = this.document.location(used.value.span);
            this.problems.add(Some(location), message, Some(hint.to_owned()));
        };
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            let message = format!("`{text}` is no path inside of the project");
            problem(
                self,
                message,
                "write it from the project's folder: schemas/patient.yaml",
            );
            return None;
        }
        if self.open.contains(&path) {
            problem(self, format!("`{text}` uses itself"), "take one `use` out");
            return None;
        }
        if !self.files.holds(&path) {
            let message = format!("there is no file {text}");
            problem(
                self,
                message,
                "`use` names a YAML file of fields, from the project's folder",
            );
            return None;
        }
        let document = Document::read(self.files, path.clone(), self.problems)?;
        let mut node = document.parse(self.problems)?;
        let index = self.document.add_used(document);
        node.set_file(index);
        let Value::Map(_) = node.value else {
            let message = format!("{text} is no mapping of fields");
            problem(self, message, "it holds what `schema` would: one field in a line");
            return None;
        };
        self.open.push(path);
        self.fields(&mut node);
        self.open.pop();
        match node.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }
}

fn is_yaml(text: &str) -> bool {
    let extension = Path::new(text).extension();
    extension.is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Fields with others over them: a field of its own replaces the keys that it has too, and a null takes a field out.
fn merged(mut fields: Vec<Entry>, own: Vec<Entry>) -> Vec<Entry> {
    let mut met: Vec<String> = Vec::new();
    for entry in own {
        let first = !met.contains(&entry.key.text);
        met.push(entry.key.text.clone());
        let place = fields.iter().position(|field| field.key.text == entry.key.text);
        match (place.filter(|_| first), &entry.value.value) {
            (Some(place), Value::Null) => drop(fields.remove(place)),
            (Some(place), _) => {
                let shared = &mut fields[place];
                shared.key = entry.key;
                overlay(&mut shared.value, entry.value);
            }
            // One that stands twice is reported where duplicate keys are.
            (None, _) => fields.push(entry),
        }
    }
    fields
}

/// Lays what a field declares over what it is shared with.
fn overlay(shared: &mut Node, own: Node) {
    let Node { value, span } = own;
    if let (Value::Text(_), Value::Map(_)) = (&shared.value, &value) {
        // `name: string` is short for `name: {type: string}`.
        let span = shared.span;
        let key = Key {
            text: SHAPES[0].to_owned(),
            span,
        };
        let text = std::mem::replace(&mut shared.value, Value::Null);
        let value = Node { value: text, span };
        shared.value = Value::Map(vec![Entry { key, value }]);
    }
    match (&mut shared.value, value) {
        (Value::Map(attributes), Value::Map(own)) => {
            if let Some(shape) = own.iter().find(|entry| is_shape(&entry.key.text)) {
                let kept = shape.key.text.clone();
                attributes.retain(|entry| !is_shape(&entry.key.text) || entry.key.text == kept);
            }
            for entry in own {
                let place = attributes.iter().position(|known| known.key.text == entry.key.text);
                match place {
                    None => attributes.push(entry),
                    Some(place) => attribute(&mut attributes[place], entry),
                }
            }
        }
        (_, value) => *shared = Node { value, span },
    }
}

/// Lays one key of a field over the same key. The fields of structs and lists are laid over one by one.
fn attribute(shared: &mut Entry, own: Entry) {
    let Entry { key, value } = own;
    let Node { value, span } = value;
    match (&mut shared.value.value, value) {
        (Value::Map(fields), Value::Map(own)) if is_shape(&key.text) => {
            *fields = merged(std::mem::take(fields), own);
        }
        (_, value) => shared.value = Node { value, span },
    }
    shared.key = key;
}

fn is_shape(key: &str) -> bool {
    SHAPES.contains(&key)
}
