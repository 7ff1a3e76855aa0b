//! Puts shared fields into the schemas of a source: `schema: {use: schemas/patient.yaml}`, with the source's own fields
//! over them, and shared kinds into `kinds` in the same way. It works on the tree of the YAML, in which each value knows
//! its file, so that every problem is reported at the line where its key stands.

use std::path::{Component, Path, PathBuf};

use super::document::Document;
use super::problems::Problems;
use super::yaml::{Entry, Key, MAX_DEPTH, MAX_NODES, Node, Value};
use crate::workspace::Files;

/// The key that names the files of shared fields, or of shared kinds.
const USE: &str = "use";
/// The key of a kind that holds its fields.
const SCHEMA: &str = "schema";
/// The keys of a field that say what it is. A field has one of them.
const SHAPES: [&str; 4] = ["type", "list", "one_or_many", "struct"];

/// The folders in the project from which a source reads records, as far as its paths name them.
pub(super) fn input_folders(files: &Files, tree: &Node) -> Vec<PathBuf> {
    let paths = inner(tree, "input").and_then(|input| inner(input, "path"));
    let paths = match paths.map(|path| &path.value) {
        Some(Value::List(nodes)) => nodes.iter().collect(),
        _ => Vec::from_iter(paths),
    };
    let folder = |node: &Node| {
        let Value::Text(text) = &inner(node, "path").unwrap_or(node).value else {
            return None;
        };
        let path = Path::new(text);
        let path = path.strip_prefix(files.to_path_buf()).unwrap_or(path);
        let is_fixed = |part: &Component<'_>| match part {
            Component::Normal(name) => !name.to_string_lossy().contains(['{', '*', '?', '[', '$']),
            _ => false,
        };
        let parts = path.parent()?.components().filter(|part| *part != Component::CurDir);
        Some(parts.take_while(is_fixed).collect::<PathBuf>()).filter(|folder| folder.components().next().is_some())
    };
    paths.into_iter().filter_map(folder).collect()
}

/// Resolves `use` in all schemas of a source, at any depth. Nothing in the folders `inputs` is read.
pub(super) fn resolve(
    files: &Files,
    inputs: &[PathBuf],
    document: &mut Document,
    tree: &mut Node,
    problems: &mut Problems,
) {
    let mut sharing = Sharing {
        files,
        inputs,
        document,
        problems,
        within: Vec::new(),
        level: 0,
        values: tree.count(),
    };
    if let Some(schema) = value_of(tree, SCHEMA) {
        sharing.open(schema, Holds::Fields);
    }
    if let Some(kinds) = value_of(tree, "kinds") {
        sharing.open(kinds, Holds::Kinds);
    }
}

/// What a mapping with `use` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Fields,
    Kinds,
}

fn inner<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    let found = entries.iter().find(|entry| entry.key.text == key);
    found.map(|entry| &entry.value)
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
    inputs: &'a [PathBuf],
    document: &'a mut Document,
    problems: &'a mut Problems,
    /// The files that use one another on the way here.
    within: Vec<PathBuf>,
    /// The levels of mappings above.
    level: usize,
    /// How many values the source and the files that it uses hold so far, each use counted.
    values: usize,
}

impl Sharing<'_> {
    /// Resolves `use` in a mapping, and in the structs, lists and schemas inside of it.
    fn open(&mut self, node: &mut Node, holds: Holds) {
        let Value::Map(entries) = &mut node.value else { return };
        let used = entries.iter().position(is_use).map(|at| entries.remove(at));
        let inner = match holds {
            Holds::Fields => &SHAPES[..],
            Holds::Kinds => &[SCHEMA],
        };
        for entry in entries.iter_mut() {
            for key in inner {
                if let Some(fields) = value_of(&mut entry.value, key) {
                    self.level += 2;
                    self.open(fields, Holds::Fields);
                    self.level -= 2;
                }
            }
        }
        if let Some(used) = used {
            let own = std::mem::take(entries);
            let files = match &used.value.value {
                Value::List(files) => &files[..],
                _ => std::slice::from_ref(&used.value),
            };
            let shared = files.iter().filter_map(|file| self.file(file, holds));
            let shared = shared.reduce(merged).unwrap_or_default();
            *entries = merged(shared, own);
        }
    }

    fn problem(&mut self, used: &Node, message: String, hint: &str) {
        let location = self.document.location(used.span);
        self.problems.add(Some(location), message, Some(hint.to_owned()));
    }

    /// The file that is named, if it may be read.
    fn path<'u>(&mut self, used: &'u Node, holds: Holds) -> Option<(PathBuf, &'u str)> {
        let Value::Text(text) = &used.value else {
            return None;
        };
        let path = PathBuf::from(text);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            let message = format!("`{text}` is no path inside of the project");
            self.problem(
                used,
                message,
                "write it from the project's folder: schemas/patient.yaml",
            );
            return None;
        }
        // A message shows a line of the file where something is wrong in it.
        let is_hidden = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
        let reason = if path.components().any(is_hidden) {
            Some("is hidden")
        } else {
            let within = self.inputs.iter().any(|folder| path.starts_with(folder));
            within.then_some("lies in the folder of an input")
        };
        if let Some(reason) = reason {
            let message = format!("`{text}` {reason}, so it is not read");
            self.problem(
                used,
                message,
                "put it where neither records nor secrets are: schemas/patient.yaml",
            );
            return None;
        }
        if self.within.contains(&path) {
            self.problem(used, format!("`{text}` uses itself"), "take one `use` out");
            return None;
        }
        if !self.files.holds(&path) {
            let message = format!("there is no file {text}");
            let hint = match holds {
                Holds::Fields => "`use` names a YAML file of fields, from the project's folder",
                Holds::Kinds => "`use` names a YAML file of kinds, from the project's folder",
            };
            self.problem(used, message, hint);
            return None;
        }
        Some((path, text))
    }

    /// What a shared file holds, with what it uses itself.
    fn file(&mut self, used: &Node, holds: Holds) -> Option<Vec<Entry>> {
        let (path, text) = self.path(used, holds)?;
        // Once there is too much, that has been said.
        if self.values > MAX_NODES {
            return None;
        }
        let document = Document::read(self.files, path.clone(), self.problems)?;
        let mut node = document.parse(self.problems)?;
        self.values += node.count();
        if self.values > MAX_NODES {
            let message = format!("the source and the files that it uses hold more than {MAX_NODES} values");
            self.problem(
                used,
                message,
                "a file counts each time that it is used: use it in fewer places",
            );
            return None;
        }
        if self.level + node.depth() > MAX_DEPTH {
            let message =
                format!("the fields are nested too deeply with `{text}` in them: more than {MAX_DEPTH} levels");
            self.problem(used, message, "let fewer files use others");
            return None;
        }
        let index = self.document.add_used(document);
        node.set_file(index);
        let Value::Map(_) = node.value else {
            let (message, hint) = match holds {
                Holds::Fields => (
                    format!("{text} is no mapping of fields"),
                    "it holds what `schema` would: one field in a line",
                ),
                Holds::Kinds => (
                    format!("{text} is no mapping of kinds"),
                    "it holds what `kinds` would: the name of each kind with its keys",
                ),
            };
            self.problem(used, message, hint);
            return None;
        };
        self.within.push(path);
        self.open(&mut node, holds);
        self.within.pop();
        match node.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }
}

/// Whether an entry names shared files. A field or a kind may itself be called `use`: its value is a type or a mapping.
fn is_use(entry: &Entry) -> bool {
    let is_file = |node: &Node| matches!(&node.value, Value::Text(text) if is_yaml(text));
    entry.key.text == USE
        && match &entry.value.value {
            Value::List(files) => !files.is_empty() && files.iter().all(is_file),
            _ => is_file(&entry.value),
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

/// Lays one key of a field or kind over the same key. The fields of structs, lists and schemas are laid over one by one.
fn attribute(shared: &mut Entry, own: Entry) {
    let Entry { key, value } = own;
    let Node { value, span } = value;
    match (&mut shared.value.value, value) {
        (Value::Map(fields), Value::Map(own)) if is_shape(&key.text) || key.text == SCHEMA => {
            *fields = merged(std::mem::take(fields), own);
        }
        (_, value) => shared.value = Node { value, span },
    }
    shared.key = key;
}

fn is_shape(key: &str) -> bool {
    SHAPES.contains(&key)
}
