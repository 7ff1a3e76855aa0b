//! The names of the roles.

use crate::error::{Code, Error, Result};

/// The names of the roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub owner: String,
    pub loader: String,
    pub reader: String,
    pub checker: String,
}

impl Names {
    /// Checks that the names differ and are valid role names.
    pub fn check(&self) -> Result<()> {
        let names = [&self.owner, &self.loader, &self.reader, &self.checker];
        for name in names {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
            // PostgreSQL reserves the prefix `pg_` and these two words.
            let taken = name.starts_with("pg_") || name == "public" || name == "none";
            if name.is_empty() || name.len() > 63 || taken || !name.chars().all(plain) {
                return Err(Error::project("a role can't have this name")
                    .code(Code::RolesInvalid)
                    .hint("use up to 63 letters, digits and _ - . @; not public, none, nor what begins with pg_"));
            }
        }
        if (1..names.len()).any(|nth| names[..nth].contains(&names[nth])) {
            return Err(Error::project("owner, loader, reader and checker must be four roles")
                .code(Code::RolesInvalid)
                .hint("give each a name of its own"));
        }
        Ok(())
    }
}
