//! Reads the environment as libpq does.

use std::path::PathBuf;

/// A function that reads a variable. Tests pass their own.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// A variable of the environment; an empty one counts as not set.
pub(super) fn variable(environment: Environment<'_>, name: &str) -> Option<String> {
    environment(name).filter(|value| !value.is_empty())
}

/// The user's home directory, where libpq looks for its files.
pub(super) fn home(environment: Environment<'_>) -> Option<PathBuf> {
    variable(environment, "HOME")
        .or_else(|| variable(environment, "USERPROFILE"))
        .map(PathBuf::from)
}
