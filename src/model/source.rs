//! A source: one upstream system, its input, its schema and its transforms.

use std::path::PathBuf;

use super::{Check, Field, Input, OnUnknownField, RecordPath, Tolerance};
use crate::error::Location;

/// One upstream system.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub aliases: Vec<String>,
    pub description: Option<String>,
    pub input: Input,
    /// The declared fields of a record.
    pub schema: Vec<Field>,
    /// The top-level scalar field that says whose record it is; keys date shifts.
    pub subject: Option<String>,
    pub on_unknown_field: OnUnknownField,
    /// One per entity that the source serves, in the order of the entities.
    pub transforms: Vec<Transform>,
    pub max_quarantined: Tolerance,
    /// What its rows must hold beyond the contracts, each with its entity.
    pub checks: Vec<(String, Check)>,
    /// At most one per entity, and that has a transform.
    pub conserves: Vec<Conserved>,
    /// Paths of fields whose mask gives all of them one value, and that SQL may join or group by nevertheless.
    pub allow_constant_masks: Vec<String>,
    pub location: Location,
    /// The YAML as read, for the fingerprint of a run.
    pub text: String,
}

/// One SQL file: the rows that one source brings to one entity.
#[derive(Debug, Clone)]
pub struct Transform {
    pub entity: String,
    /// Relative to the project's root.
    pub path: PathBuf,
    pub sql: String,
}

/// What a transform may neither lose nor multiply: its rows are as many as these elements of the records.
#[derive(Debug, Clone)]
pub struct Conserved {
    pub entity: String,
    /// Of the schema; ends at the elements of a list. Empty stands for the records themselves.
    pub path: RecordPath,
    /// `path` in one spelling: `visits[].diagnoses[]`, or `$`.
    pub shown: String,
    /// Elements for which it is not true are left out on purpose.
    pub filter: Option<ElementFilter>,
    pub location: Location,
}

/// A predicate in DataFusion's SQL over the fields of an element, or over `item` where it is no struct.
#[derive(Debug, Clone)]
pub struct ElementFilter {
    pub sql: String,
    pub location: Location,
}
