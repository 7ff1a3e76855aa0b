//! Reads the user's project: `pipeline.yaml`, `pipelines/*.yaml` and the SQL files. It returns checked types and
//! reports every problem at once. It never uses a network or a database.

mod check_columns;
mod checks;
mod conserve;
mod contract;
mod deletions;
mod document;
mod environment;
mod exposed;
mod field_keys;
mod formats;
mod gate;
mod held;
mod input;
mod json_schema;
mod keys;
mod kinds;
mod latest;
mod load;
mod mapping;
mod names;
mod ownership;
mod path;
mod privacy;
mod problems;
mod record_path;
mod reference;
mod relations;
mod schema;
mod secrets;
mod shared;
mod source;
mod sql;
mod storage;
mod test_cases;
mod test_keys;
mod test_values;
mod tolerance;
mod types;
mod value_rules;
mod yaml;
mod yaml_files;

#[cfg(test)]
mod tests;

pub use held::secret_files;
pub use json_schema::{YamlKind, schema_comment, schema_text, write_schemas};
pub use load::{find_root, load, load_entities, load_files, load_sent, load_to_check, load_with_texts, read_partly};
pub use ownership::find_own_root;
pub use path::expand_date;
pub use privacy::{check_fields, check_profile};
pub use test_cases::{parse_tests, read_tests, read_tests_in, tests_folder};
