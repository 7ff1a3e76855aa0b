//! What tables should be and what they are: the DDL of the contract, the catalog, the drift between the two, and
//! migrations, those of the engine's own state included. It moves no rows and knows nothing of batches.

mod catalog;
pub mod ddl;
pub mod drift;
pub mod migrate;
mod migration_files;
mod new_migration;
pub mod state;

pub use ddl::type_name;
pub use new_migration::migration_new;
