//! The shape of tables: the DDL of the contract, the catalog, the differences between the two, and migrations,
//! including those of the program's own state. It moves no rows and knows nothing of batches.

mod catalog;
pub mod ddl;
pub mod drift;
pub mod migrate;
mod migration_files;
mod new_migration;
pub mod state;

pub use ddl::type_name;
pub use new_migration::migration_new;
