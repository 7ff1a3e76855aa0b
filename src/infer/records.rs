//! Finds out where the records of a sample start.

use super::shape::Shape;
use crate::model::wording::path_step;
use crate::model::{RecordPath, RecordStep};

/// Where records start, and what is beside them.
pub(super) struct Records {
    /// The names from the document to the records, each followed by `[*]` if it holds a list. Empty: the document, or
    /// its elements.
    pub path: Vec<(String, bool)>,
    /// Where values beside the records were met, which are not loaded.
    pub beside: Vec<String>,
}

impl Records {
    /// The records that a source declares.
    pub fn declared(declared: &RecordPath) -> Self {
        let mut path: Vec<(String, bool)> = Vec::new();
        for step in &declared.0 {
            match (step, path.last_mut()) {
                (RecordStep::Key(name), _) => path.push((name.clone(), false)),
                (RecordStep::Each, Some((_, list))) => *list = true,
                (RecordStep::Each, None) => {}
            }
        }
        Self {
            path,
            beside: Vec::new(),
        }
    }

    /// The path step by step.
    pub fn steps(&self) -> Vec<RecordStep> {
        let steps = self.path.iter().flat_map(|(name, list)| {
            let each = list.then_some(RecordStep::Each);
            std::iter::once(RecordStep::Key(name.clone())).chain(each)
        });
        steps.collect()
    }

    /// Adds what stands beside the records in these documents, too.
    pub fn look_beside(&mut self, documents: &Shape) {
        if self.path.is_empty() {
            return;
        }
        let elements = documents.lists.item.as_deref().filter(|_| documents.objects.count == 0);
        for found in beside(elements.unwrap_or(documents), &self.path) {
            if !self.beside.contains(&found) {
                self.beside.push(found);
            }
        }
    }

    /// The path as `records:` has it.
    pub fn yaml(&self) -> String {
        let mut text = "$".to_owned();
        for (name, list) in &self.path {
            if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                text.push('.');
                text.push_str(name);
            } else {
                text.push_str("['");
                text.push_str(&name.replace('\\', r"\\").replace('\'', r"\'"));
                text.push_str("']");
            }
            text.push_str(if *list { "[*]" } else { "" });
        }
        text
    }

    /// The shape of the records in the shape of the documents.
    pub fn of<'a>(&self, documents: &'a Shape) -> Option<&'a Shape> {
        let mut shape = documents;
        if shape.lists.count > 0 && shape.objects.count == 0 {
            shape = shape.lists.item.as_deref()?;
        }
        for (name, list) in &self.path {
            shape = member(shape, name)?;
            if *list {
                shape = shape.lists.item.as_deref()?;
            }
        }
        // A path that ends at an array means its elements.
        if shape.lists.count > 0 && shape.objects.count == 0 {
            shape = shape.lists.item.as_deref()?;
        }
        Some(shape)
    }
}

fn member<'a>(shape: &'a Shape, name: &str) -> Option<&'a Shape> {
    let mut fields = shape.objects.fields.iter();
    fields.find(|(known, _)| known == name).map(|(_, member)| &member.shape)
}

/// Finds the records. `documents` is how many documents the sample has, and `lines` says whether each is a line.
pub(super) fn find(root: &Shape, documents: u64, lines: bool) -> Records {
    let here = |path| Records {
        path,
        beside: Vec::new(),
    };
    let elements = root.lists.item.as_deref().filter(|_| root.objects.count == 0);
    let document = elements.unwrap_or(root);
    if let Some(path) = bundle(document) {
        return here(path);
    }
    // Elements of an array, and lines, are records themselves. So is a document that has an id.
    if elements.is_some() || lines || documents > 2 || names_itself(document) {
        return here(Vec::new());
    }
    here(wrapped(document).unwrap_or_default())
}

/// A FHIR bundle: its entries hold the resources.
fn bundle(document: &Shape) -> Option<Vec<(String, bool)>> {
    member(document, "resourceType")?;
    let entries = member(document, "entry")?.lists.item.as_deref()?;
    member(entries, "resource")?;
    Some(vec![("entry".to_owned(), true), ("resource".to_owned(), false)])
}

/// A field without which an object is no record: its own id.
fn names_itself(document: &Shape) -> bool {
    document.objects.fields.iter().any(|(name, member)| {
        let name = name.to_ascii_lowercase();
        let scalar = member.shape.texts.count + member.shape.numbers.count > 0;
        scalar && (name == "id" || name == "mrn" || name.ends_with("_id") || name.ends_with("id") && name.len() > 4)
    })
}

/// The one list of objects in a document, or in an object of it.
fn wrapped(document: &Shape) -> Option<Vec<(String, bool)>> {
    let mut found = Vec::new();
    for (name, field) in &document.objects.fields {
        if field.shape.list_of_objects().is_some() {
            found.push(vec![(name.clone(), true)]);
        } else if field.shape.is_object() {
            for (inner, below) in &field.shape.objects.fields {
                if below.shape.list_of_objects().is_some() {
                    found.push(vec![(name.clone(), false), (inner.clone(), true)]);
                }
            }
        }
    }
    (found.len() == 1).then(|| found.remove(0))
}

/// What stands beside the records at each level, as paths.
fn beside(document: &Shape, path: &[(String, bool)]) -> Vec<String> {
    let (mut shape, mut prefix, mut found) = (document, "$".to_owned(), Vec::new());
    for (name, list) in path {
        let others = shape.objects.fields.iter().filter(|(other, _)| other != name);
        found.extend(others.map(|(other, _)| path_step(&prefix, other)));
        let Some(next) = member(shape, name) else { break };
        prefix = path_step(&prefix, name) + if *list { "[*]" } else { "" };
        match (list, next.lists.item.as_deref()) {
            (true, Some(item)) => shape = item,
            (false, _) => shape = next,
            (true, None) => break,
        }
    }
    found
}
