//! Whom a command is about.

use std::fmt;

use crate::error::Result;
use crate::mask::MaskKey;
use crate::model::scalar_field::default_domain;
use crate::model::{Kind, Project, References, subject};
use crate::warehouse::Warehouse;

/// The id of a person, as a source writes it. No message and no table ever holds it.
pub struct Subject(String);

impl Subject {
    pub fn new(id: String) -> Self {
        Self(id)
    }

    /// The reference of the domain's type that names an id, which may be given with its type. `None`: none of this domain
    /// can.
    pub(super) fn of_reference(references: &References, kind: &Kind, domain: &str, text: &str) -> Option<Self> {
        let path = kind.subject.as_deref()?;
        let of_field = subject::find(&kind.schema, path).ok()?.field.privacy.domain.as_deref();
        let names_one = |text: &str| {
            let read = references.read(text).ok()?;
            read.id?;
            Some(read.to.map(|to| references.domain(of_field, to)))
        };
        match names_one(text) {
            Some(Some(own)) if own == domain => return Some(Self(text.to_owned())),
            // It is of another type.
            Some(Some(_)) => return None,
            Some(None) | None => {}
        }
        let mut types = references.types();
        types.retain(|to| references.domain(of_field, to) == domain);
        let mut spellings = types.into_iter().map(|to| format!("{to}/{text}"));
        if let Some(spelled) = spellings.find(|spelled| names_one(spelled).is_some()) {
            return Some(Self(spelled));
        }
        let untyped = of_field.map_or_else(|| default_domain(&kind.label, path), str::to_owned);
        if untyped != domain {
            return None;
        }
        let spellings = [text.to_owned(), format!("urn:uuid:{text}"), format!("urn:oid:{text}")];
        let is_untyped = |spelled: &String| names_one(spelled) == Some(None);
        spellings.into_iter().find(is_untyped).map(Self)
    }

    /// The same text with other letters and digits, which is another person's id.
    pub(super) fn of_another(&self) -> Self {
        let start = self.0.rfind('/').map_or(0, |slash| slash + 1);
        let (before, id) = self.0.split_at(start);
        let other = |c: char| match c {
            '9' => '0',
            'f' => 'a',
            'F' => 'A',
            'z' => 'g',
            'Z' => 'G',
            '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from_u32(u32::from(c) + 1).unwrap_or(c),
            other => other,
        };
        let scheme = ["urn:uuid:", "urn:oid:"]
            .into_iter()
            .find(|scheme| id.starts_with(scheme));
        let (scheme, rest) = id.split_at(scheme.map_or(0, str::len));
        let changed: String = rest.chars().map(other).collect();
        // An id of signs alone.
        let more = if changed == rest { "0" } else { "" };
        Self(format!("{before}{scheme}{changed}{more}"))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
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
