//! The tables of the schema `pipeline`, which hold the engine's own state: runs, quarantine, the list of views. Each
//! file is a migration that has run in databases out there. Nobody changes it; what is to be different is a new one.

use refinery_core::Migration;

use crate::error::{Error, Result};

/// By name without `.sql`, in order.
pub const MIGRATIONS: &[(&str, &str)] = &[
    ("V1__state", include_str!("V1__state.sql")),
    ("V2__quarantine", include_str!("V2__quarantine.sql")),
    ("V3__masks", include_str!("V3__masks.sql")),
    ("V4__names", include_str!("V4__names.sql")),
    ("V5__stale_views", include_str!("V5__stale_views.sql")),
];

pub(super) fn migrations() -> Result<Vec<Migration>> {
    let parsed = MIGRATIONS
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>();
    parsed.map_err(|error| Error::project("the engine's own migrations are broken").cause(error))
}
