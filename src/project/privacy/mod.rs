//! Checks the classes and masks that a project declares, and whether its privacy profile allows them.

mod conditions;
mod fields;
mod profile;

pub use conditions::check_conditions;
pub use fields::check_fields;
pub use profile::check_profile;
