//! Finds out where the records of a sample start.

use super::shape::Shape;

/// Where records start, and what is beside them.
pub(super) struct Records {
    /// The names from the document to the records, each followed by `[*]` if it holds a list. Empty: the document, or
    /// its elements.
    pub path: Vec<(String, bool)>,
    /// Where values beside the records were met, which are not loaded.
    pub beside: Vec<String>,
}

impl Records {
    /// The path as `records:` has it.
    pub fn yaml(&self) -> String {
        let mut text = "$".to_owned();
        for (name, list) in &self.path {
            if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                text.push('.');
                text.push_str(name);
            } else {
                text.push_str("['");
                text.push_str(&name.replace('\'', "\\'"));
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
        Some(shape)
    }
}

fn member<'a>(shape: &'a Shape, name: &str) -> Option<&'a Shape> {
    let mut fields = shape.objects.fields.iter();
    fields.find(|(known, _)| known == name).map(|(_, member)| &member.shape)
}

/// Finds the records. `documents` is how many documents the sample has, and `lines` says whether each is a line.
pub(super) fn find(root: &Shape, documents: u64, lines: bool) -> Records {
    let here = |path: Vec<(String, bool)>, beside| Records { path, beside };
    let elements = root.lists.item.as_deref().filter(|_| root.objects.count == 0);
    let document = elements.unwrap_or(root);
    if let Some(path) = bundle(document) {
        let beside = beside(document, &path);
        return here(path, beside);
    }
    // Elements of an array, and lines, are records themselves. So is a document that has an id.
    if elements.is_some() || lines || documents > 2 || names_itself(document) {
        return here(Vec::new(), Vec::new());
    }
    match wrapped(document) {
        Some(path) => {
            let beside = beside(document, &path);
            here(path, beside)
        }
        None => here(Vec::new(), Vec::new()),
    }
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
        found.extend(others.map(|(other, _)| format!("{prefix}.{other}")));
        let Some(next) = member(shape, name) else { break };
        prefix = format!("{prefix}.{name}{}", if *list { "[*]" } else { "" });
        match (list, next.lists.item.as_deref()) {
            (true, Some(item)) => shape = item,
            (false, _) => shape = next,
            (true, None) => break,
        }
    }
    found
}
