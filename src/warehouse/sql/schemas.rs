//! The names of the schemas. That of the engine's own state, `pipeline`, is spelled out in every statement.

/// The entity tables, and the views and functions of `sql/`.
pub const ENTITIES: &str = "public";
/// Staging tables, the partitions that they become, and the partitions per source above them.
pub const PARTITIONS: &str = "pipeline_partitions";
/// Views of the entity tables without the batch's date, first in a reader's `search_path`. Empty where nothing is
/// hidden.
pub const READING: &str = "pipeline_reading";
