//! The names of the schemas. `pipeline`, which holds the program's own state, is written out in every statement.

/// Holds the entity tables, and the views and functions of `sql/`.
pub const ENTITIES: &str = "public";
/// Holds the staging tables, the batch partitions that they become, and the source partitions above those.
pub const PARTITIONS: &str = "pipeline_partitions";
/// Holds views of the entity tables without the batch's date. It comes first in a reader's `search_path`. It is empty
/// where nothing is hidden.
pub const READING: &str = "pipeline_reading";
