//! The user's project: reads `pipeline.yaml`, `pipelines/*.yaml` and the SQL files into checked
//! types, reporting every problem at once. Pure: it never touches a network or a database.

mod model;

pub use model::*;
