//! Whom a command is about.

use std::fmt;

use crate::error::Result;
use crate::mask::MaskKey;
use crate::model::Project;
use crate::warehouse::Warehouse;

/// The id of a person, as a source writes it. No message and no table ever holds it.
pub struct Subject(String);

impl Subject {
    pub fn new(id: String) -> Self {
        Self(id)
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
