//! The tables of the schema `pipeline`, which hold the program's own state: runs, quarantine, the list of views.
//! Never edit one of these files: each is a migration that has run in users' databases. A change is a new migration.

use refinery_core::Migration;

use crate::error::{Error, Result};

/// The migrations in order, each with its name without `.sql`.
pub const MIGRATIONS: &[(&str, &str)] = &[
    ("V1__state", include_str!("V1__state.sql")),
    ("V2__quarantine", include_str!("V2__quarantine.sql")),
    ("V3__masks", include_str!("V3__masks.sql")),
    ("V4__names", include_str!("V4__names.sql")),
    ("V5__stale_views", include_str!("V5__stale_views.sql")),
    ("V6__column_masks", include_str!("V6__column_masks.sql")),
    ("V7__suppression", include_str!("V7__suppression.sql")),
    ("V8__progress", include_str!("V8__progress.sql")),
    ("V9__read_as", include_str!("V9__read_as.sql")),
    ("V10__dates", include_str!("V10__dates.sql")),
];

pub(super) fn migrations() -> Result<Vec<Migration>> {
    let parsed = MIGRATIONS
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>();
    parsed.map_err(|error| Error::project("the engine's own migrations are broken").cause(error))
}
