//! Reads the user's project: `pipeline.yaml`, `pipelines/*.yaml` and the SQL files. It returns checked types and
//! reports every problem at once. It never uses a network or a database.

mod check_columns;
mod checks;
mod conserve;
mod contract;
mod document;
mod environment;
mod exposed;
mod formats;
mod gate;
mod input;
mod kinds;
mod load;
mod mapping;
mod names;
mod path;
mod privacy;
mod problems;
mod record_path;
mod relations;
mod schema;
mod secrets;
mod shared;
mod source;
mod sql;
mod storage;
mod test_cases;
mod test_values;
mod tolerance;
mod types;
mod value_rules;
mod yaml;
mod yaml_files;

#[cfg(test)]
mod tests;

pub use load::{find_root, load};
pub use path::expand_date;
pub use privacy::{check_fields, check_profile};
pub use test_cases::{parse_tests, read_tests, tests_folder};
