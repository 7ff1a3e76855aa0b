//! Changes of fields that a source takes from a shared file (`use`). The shared file stays, since other sources use it, too:
//! the source gets keys of its own, which lie over the shared ones.

use super::edit::{Edits, Value};
use super::render;

/// A mapping of fields that is not written in the source's file: the mapping there that is nearest to it, and the keys from
/// there.
#[derive(Debug, Clone)]
pub(super) struct Over {
    pub base: Value,
    pub keys: Vec<String>,
}

impl Over {
    pub fn of(base: &Value) -> Self {
        Self {
            base: base.clone(),
            keys: Vec::new(),
        }
    }

    /// The same, further in.
    pub fn below(&self, key: &str) -> Self {
        let mut below = self.clone();
        below.keys.push(key.to_owned());
        below
    }
}

/// Whether a mapping of fields takes those of a shared file.
pub(super) fn uses(edits: &Edits<'_>, mapping: &Value) -> bool {
    let used = edits.entry(mapping, "use");
    used.is_some_and(|entry| {
        let written = edits.written(&entry.value).trim_matches(['"', '\'']).to_owned();
        [".yaml", ".yml"].iter().any(|ending| written.ends_with(ending))
    })
}

#[derive(Default)]
struct Tree(Vec<(String, Node)>);

enum Node {
    Text(String),
    Map(Tree),
}

impl Tree {
    fn put(&mut self, keys: &[String], text: String) {
        let Some((key, rest)) = keys.split_first() else { return };
        let at = self.0.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            self.0.push((key.clone(), Node::Map(Self::default())));
            self.0.len() - 1
        });
        match (&mut self.0[at].1, rest) {
            (node, []) => *node = Node::Text(text),
            (Node::Map(inner), rest) => inner.put(rest, text),
            (Node::Text(_), _) => {}
        }
    }

    /// Each entry as `key: value`.
    fn entries(&self) -> Vec<String> {
        let entry = |(key, node): &(String, Node)| {
            let value = match node {
                Node::Text(text) => text.clone(),
                Node::Map(inner) => format!("{{{}}}", inner.entries().join(", ")),
            };
            format!("{}: {value}", render::yaml(key))
        };
        self.0.iter().map(entry).collect()
    }
}

/// The changes, gathered until all are known, so that those of one field come together.
#[derive(Default)]
pub(super) struct Overlays(Vec<(Value, Tree)>);

impl Overlays {
    pub fn put(&mut self, over: &Over, text: String) {
        let same = |base: &Value| base.start() == over.base.start();
        let at = self.0.iter().position(|(base, _)| same(base)).unwrap_or_else(|| {
            self.0.push((over.base.clone(), Tree::default()));
            self.0.len() - 1
        });
        self.0[at].1.put(&over.keys, text);
    }

    /// Writes the changes into the text.
    pub fn write(self, edits: &mut Edits<'_>) {
        for (base, tree) in self.0 {
            edits.add_entries(&base, &tree.entries());
        }
    }
}
