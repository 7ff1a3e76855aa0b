//! Access rights and comments: the database's roles, the grants of readers, comments on tables and columns. It
//! changes no row and no table's columns.

pub mod comments;
mod grants;
mod names;
pub mod roles;
mod script;
