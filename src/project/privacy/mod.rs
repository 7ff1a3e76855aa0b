//! Checks the classes and masks that a project declares, and whether its privacy profile allows them.

mod fields;
mod profile;

pub use fields::check_fields;
pub use profile::check_profile;
