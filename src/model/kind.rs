//! The kinds of records that a source holds. Each kind is a table to SQL.

use super::{Field, OnUnknownField, Tolerance};
use crate::error::Location;

/// The table that a transform reads where a source declares no kinds.
pub const SOURCE_TABLE: &str = "source";

/// A kind of records. A source that declares none has one, to which every record belongs.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Also the name of its table in SQL.
    pub name: String,
    /// What messages call it, and where the domains of masks begin that name none: the source's name, then the kind's
    /// where the source declares kinds.
    pub label: String,
    /// What a record of this kind fulfils. Each condition must hold.
    pub conditions: Vec<Condition>,
    /// The declared fields of a record.
    pub schema: Vec<Field>,
    /// The path of the scalar field that identifies the person whose record it is, through structs and not through lists.
    /// Date shifts depend on it.
    pub subject: Option<String>,
    pub on_unknown_field: OnUnknownField,
    /// How many of its records may be refused. `None`: as many as the source says of all.
    pub max_quarantined: Option<Tolerance>,
    pub location: Location,
}

impl Kind {
    /// What its fields' paths begin with in lineage and reports. Empty where the source declares no kinds.
    pub fn prefix(&self) -> &str {
        if self.name == SOURCE_TABLE { "" } else { &self.name }
    }
}

/// A field of a record and the values that it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The names of the field and of the structs around it, from the outside in.
    pub path: Vec<String>,
    /// A text, a number as it is written, `true` or `false`.
    pub values: Vec<String>,
}

impl Condition {
    /// The path in one text, such as `meta.source`.
    pub fn shown(&self) -> String {
        self.path.join(".")
    }
}

/// What happens to a record that is of no declared kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknownKind {
    Warn,
    Ignore,
    Fail,
}

/// Whether a record can be of both kinds, as far as literals tell. `Some(true)`: certainly, such as by the same
/// conditions. `Some(false)`: only a record tells, since the kinds look at other fields.
pub(crate) fn overlap(one: &Kind, other: &Kind) -> Option<bool> {
    let of = |kind: &Kind, path: &[String]| {
        let found = kind.conditions.iter().find(|condition| condition.path == path);
        found.map(|condition| condition.values.clone())
    };
    let apart = one.conditions.iter().any(|condition| {
        of(other, &condition.path).is_some_and(|values| !values.iter().any(|value| condition.values.contains(value)))
    });
    if apart {
        return None;
    }
    let within = |one: &Kind, other: &Kind| {
        one.conditions
            .iter()
            .all(|condition| of(other, &condition.path).is_some())
    };
    Some(within(one, other) || within(other, one))
}
