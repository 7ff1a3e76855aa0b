//! What the server knows of a YAML file: which field or column is declared at a place, and what could be written there.

mod complete;
mod cursor;
mod mentions;
mod names;
mod schema;

pub(super) use complete::{completions, kind_of};
pub(super) use mentions::{Wanted, mentions};
pub(super) use names::{Declared, declared_at, described, fields_at};
