//! Whom a command is about.

use std::fmt;

use crate::error::Result;
use crate::mask::MaskKey;
use crate::model::{Project, References};
use crate::warehouse::Warehouse;

/// The id of a person, as a source writes it. No message and no table ever holds it.
#[derive(Clone)]
pub struct Subject(String);

impl Subject {
    pub fn new(id: String) -> Self {
        Self(id)
    }

    /// The reference of the domain's type that names an id, which may be given with its type. `None`: none of this domain
    /// can. `own` is the domain that the field declares, `untyped` that of references without a type.
    pub(super) fn of_reference(
        references: &References,
        own: Option<&str>,
        untyped: &str,
        domain: &str,
        text: &str,
    ) -> Option<Self> {
        let names_one = |text: &str| {
            let read = references.read(text).ok()?;
            read.id?;
            Some(read.to.map(|to| references.domain(own, to)))
        };
        match names_one(text) {
            Some(Some(of_type)) if of_type == domain => return Some(Self(text.to_owned())),
            // It is of another type.
            Some(Some(_)) => return None,
            Some(None) | None => {}
        }
        let mut types = references.types();
        types.retain(|to| references.domain(own, to) == domain);
        let mut spellings = types.into_iter().map(|to| format!("{to}/{text}"));
        if let Some(spelled) = spellings.find(|spelled| names_one(spelled).is_some()) {
            return Some(Self(spelled));
        }
        if untyped != domain {
            return None;
        }
        let spellings = [text.to_owned(), format!("urn:uuid:{text}"), format!("urn:oid:{text}")];
        let is_untyped = |spelled: &String| names_one(spelled) == Some(None);
        spellings.into_iter().find(is_untyped).map(Self)
    }

    /// What stands before the id itself: the type or the scheme of a reference.
    fn split(&self) -> (&str, &str) {
        let start = self.0.rfind('/').map_or(0, |slash| slash + 1);
        let scheme = ["urn:uuid:", "urn:oid:"]
            .into_iter()
            .find(|scheme| self.0[start..].starts_with(scheme));
        self.0.split_at(start + scheme.map_or(0, str::len))
    }

    /// The same text with other letters and digits, which is another person's id.
    pub(super) fn of_another(&self) -> Self {
        let (before, id) = self.split();
        let changed: String = id.chars().map(other).collect();
        // An id of signs alone.
        let more = if changed == id { "0" } else { "" };
        Self(format!("{before}{changed}{more}"))
    }

    /// The same text with another id in it, such as its mask. `is_reference`: what stands before the id stays.
    pub(super) fn with_id(&self, id: &str, is_reference: bool) -> Self {
        let before = if is_reference { self.split().0 } else { "" };
        Self(format!("{before}{id}"))
    }

    /// Ids of other persons that are as near to this one as can be: each letter and digit changed, the last one first, and
    /// the id cut and extended at both ends.
    pub(super) fn near(&self, is_reference: bool) -> Vec<Self> {
        let (before, id) = if is_reference {
            self.split()
        } else {
            ("", self.0.as_str())
        };
        let chars: Vec<char> = id.chars().collect();
        let mut near = Vec::new();
        for at in (0..chars.len()).rev() {
            let mut changed = chars.clone();
            changed[at] = other(chars[at]);
            near.push(changed.into_iter().collect());
        }
        near.extend([format!("{id}1"), format!("1{id}")]);
        near.extend(chars.split_last().map(|(_, rest)| rest.iter().collect()));
        near.extend(chars.split_first().map(|(_, rest)| rest.iter().collect()));
        near.retain(|other| other != id && !other.is_empty());
        near.into_iter().map(|id| Self(format!("{before}{id}"))).collect()
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// Another letter or digit.
fn other(c: char) -> char {
    match c {
        '9' => '0',
        'f' => 'a',
        'F' => 'A',
        'z' => 'g',
        'Z' => 'G',
        '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from_u32(u32::from(c) + 1).unwrap_or(c),
        other => other,
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

/// A person, and where to look for them.
pub struct Person<'a> {
    pub(super) project: &'a Project,
    pub(super) warehouse: &'a Warehouse,
    pub(super) key: MaskKey,
    pub(super) id: Subject,
    /// The domain that the user has chosen.
    pub(super) asked: Option<String>,
}

impl<'a> Person<'a> {
    /// Reads the key of the masks. On the embedded database one is made if there is none.
    ///
    /// # Errors
    /// No key, or one that can't be used.
    pub fn new(project: &'a Project, warehouse: &'a Warehouse, id: Subject, asked: Option<String>) -> Result<Self> {
        let loaded = MaskKey::load_or_create(warehouse.is_embedded(), &project.root)?;
        Ok(Self {
            project,
            warehouse,
            key: loaded.key,
            id,
            asked,
        })
    }
}
