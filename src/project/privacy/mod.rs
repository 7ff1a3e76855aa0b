//! Whether the classes and masks that a project declares make sense, and whether its privacy profile allows them.

mod fields;
mod profile;

pub use fields::check_fields;
pub use profile::check_profile;
