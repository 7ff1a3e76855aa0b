//! One thing that was looked at.

use crate::error::{Error, Kind};

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ok,
    /// Runs succeed, but slowly or at a risk.
    Warn,
    /// Runs fail.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked at, such as `database`.
    pub name: &'static str,
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Whether it failed because something can't be reached.
    pub unreachable: bool,
}

impl Finding {
    fn new(name: &'static str, state: State, detail: String) -> Self {
        Self {
            name,
            state,
            detail,
            remedy: None,
            unreachable: false,
        }
    }

    pub(super) fn ok(name: &'static str, detail: String) -> Self {
        Self::new(name, State::Ok, detail)
    }

    pub(super) fn warn(name: &'static str, detail: String) -> Self {
        Self::new(name, State::Warn, detail)
    }

    pub(super) fn fail(name: &'static str, detail: String) -> Self {
        Self::new(name, State::Fail, detail)
    }

    /// A failure with an error's text and remedy.
    pub(super) fn error(name: &'static str, error: &Error) -> Self {
        Self {
            remedy: error.hint.clone(),
            unreachable: error.kind == Kind::Unreachable,
            ..Self::fail(name, told(error))
        }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }

    /// Ok, or a warning with its remedy.
    pub(super) fn warn_if(bad: bool, name: &'static str, detail: String, remedy: &str) -> Self {
        if bad {
            Self::warn(name, detail).remedy(remedy)
        } else {
            Self::ok(name, detail)
        }
    }
}

/// The error's text, with the first of its places.
fn told(error: &Error) -> String {
    match error.diagnostics.first() {
        Some(first) => format!("{error}, first: {}", first.message),
        None => error.to_string(),
    }
}
