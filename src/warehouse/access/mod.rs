//! Access rights and comments: the database's roles, the grants of readers, comments on tables and columns. It
//! changes no row and no table's columns.

pub mod comments;
mod definitions;
mod detours;
mod grants;
mod names;
mod rights;
pub mod roles;
mod sandbox;
mod script;
mod strangers;
mod superuser;
