//! Who may see what, and what tables say of themselves: the database's roles, the readers' grants, comments. It changes
//! no row and no table's shape.

pub mod comments;
mod grants;
mod names;
pub mod roles;
mod script;
