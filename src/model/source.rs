//! A source: one upstream system, its input, its schema and its transforms.

use std::path::PathBuf;

use super::{Check, Input, Kind, OnUnknownKind, RecordPath, ShiftBy, Tolerance};
use crate::error::Location;

/// One upstream system.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub aliases: Vec<String>,
    pub description: Option<String>,
    pub input: Input,
    /// What kinds of records it holds. There is at least one.
    pub kinds: Vec<Kind>,
    pub on_unknown_kind: OnUnknownKind,
    /// How the dates of a subject move.
    pub shift_by: ShiftBy,
    /// At most one per entity, in the order of the entities.
    pub transforms: Vec<Transform>,
    pub max_quarantined: Tolerance,
    /// The limits of entities that have one of their own.
    pub max_quarantined_of: Vec<EntityTolerance>,
    /// Checks on this source's rows in addition to the contract's, each with its entity.
    pub checks: Vec<(String, Check)>,
    /// At most one per entity. The entity has a transform.
    pub conserves: Vec<Conserved>,
    /// Paths of fields whose mask gives all of them one value, and that SQL may join or group by nevertheless. They are
    /// written as in lineage, so they begin with the name of their kind where the source declares kinds.
    pub allow_constant_masks: Vec<String>,
    pub location: Location,
    /// The YAML text. It is part of a run's fingerprint.
    pub text: String,
}

/// How many rows of one entity may be refused or missing before the batch fails.
#[derive(Debug, Clone)]
pub struct EntityTolerance {
    pub entity: String,
    pub most: Tolerance,
    pub location: Location,
}

impl Source {
    /// How many rows of an entity may be refused or missing.
    pub fn most_quarantined_of(&self, entity: &str) -> Tolerance {
        let own = self.max_quarantined_of.iter().find(|own| own.entity == entity);
        own.map_or(self.max_quarantined, |own| own.most)
    }
}

/// SQL that selects the rows of one source for one entity.
#[derive(Debug, Clone)]
pub struct Transform {
    pub entity: String,
    /// Relative to the project's root.
    pub path: PathBuf,
    pub sql: String,
    /// Where the YAML file at `path` gives the SQL. `None`: the file holds the SQL.
    pub given: Option<Location>,
}

/// A list that a transform must neither lose nor multiply: it returns as many rows as the records have these elements.
#[derive(Debug, Clone)]
pub struct Conserved {
    pub entity: String,
    /// The index of the kind whose records have the elements.
    pub kind: usize,
    /// A path in the schema that ends at the elements of a list. An empty path means the records themselves.
    pub path: RecordPath,
    /// `path` in a uniform spelling: `visits[].diagnoses[]`, or `$`.
    pub shown: String,
    /// Elements for which the filter is not true are left out on purpose.
    pub filter: Option<ElementFilter>,
    pub location: Location,
}

/// A condition in DataFusion's SQL on the fields of an element, or on `item` if the element is not a struct.
#[derive(Debug, Clone)]
pub struct ElementFilter {
    pub sql: String,
    pub location: Location,
}
