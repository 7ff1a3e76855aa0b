//! The results of applying the views and functions of `sql/`, and which of them are as their files say.

use super::file::Definition;
use super::registry;
use crate::error::{Diagnostic, Error};
use crate::model::ViewKind;

/// What was done to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub kind: ViewKind,
    pub name: String,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    /// Replaced in place. Objects that depend on it were not touched.
    Replaced,
    /// Dropped and made again, because it or an object that it reads was changed. Grants, owner and comments were
    /// kept.
    Recreated,
    /// Dropped, because its file no longer exists.
    Dropped,
    /// Unchanged, but filled again, because an object that it reads was changed.
    Refreshed,
    Unchanged,
}

pub(super) fn refused(problems: Vec<Diagnostic>) -> Error {
    Error::project("the views can't be made, and none was changed").diagnostics(problems)
}

pub(super) fn is_current(definition: &Definition<'_>, entries: &[registry::Entry]) -> bool {
    entries.iter().any(|entry| {
        let same = is_of(entry, definition) && entry.fingerprint == definition.fingerprint;
        same && entry.oid.is_some() && !entry.lacks_path
    })
}

pub(super) fn has_file(entry: &registry::Entry, definitions: &[Definition<'_>]) -> bool {
    definitions.iter().any(|definition| is_of(entry, definition))
}

pub(super) fn is_of(entry: &registry::Entry, definition: &Definition<'_>) -> bool {
    entry.kind == definition.view.kind && entry.name == definition.view.name
}

pub(super) fn applied(definition: &Definition<'_>, action: Action) -> Applied {
    Applied {
        kind: definition.view.kind,
        name: definition.view.name.clone(),
        action,
    }
}
