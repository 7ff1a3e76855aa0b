//! The one error type that a stage returns. It says in the user's words what is wrong, where, why, and what to do about
//! it. It never holds a value from the data or a secret. It prints nothing itself; `report` does.

mod code;
mod foreign;
mod parts;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use code::Code;
pub use foreign::Words;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error, which decides the exit code: 1 for a batch, 2 for the project, 3 for unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A batch failed, a check failed, or another run is loading the batch.
    Batch,
    /// The project or the command line is wrong.
    Project,
    /// The database or the storage can't be reached.
    Unreachable,
    /// A signal stopped the program. The payload is the signal's number.
    Interrupted(i32),
}

impl Kind {
    /// The exit code of a process that ends with this kind of error.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Project => 2,
            Self::Unreachable => 3,
            Self::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(130),
        }
    }
}

/// A place in one of the user's files; lines and columns count from 1, in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Shown relative to the project's folder if the file is inside it.
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    /// How many characters the caret underlines, at least 1.
    pub length: usize,
    /// The text of the line, for the snippet. Empty if there is no text to show.
    pub text: String,
}

impl Location {
    /// A file as a whole.
    pub fn of_file(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            column: 1,
            length: 1,
            text: String::new(),
        }
    }
}

/// One problem in the user's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub message: String,
    pub location: Option<Location>,
    pub hint: Option<String>,
}

/// What went wrong, in the user's words.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "parts::Parts", from = "parts::Parts")]
pub struct Error {
    pub kind: Kind,
    pub code: Code,
    pub message: String,
    /// Places in the user's files. An error of [`Kind::Project`] lists all problems of the project at once.
    pub diagnostics: Vec<Diagnostic>,
    /// The lower-level cause, in words of [`Words`].
    pub cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let code = match kind {
            Kind::Batch => Code::BatchFailed,
            Kind::Project => Code::ProjectInvalid,
            Kind::Unreachable => Code::Unreachable,
            Kind::Interrupted(_) => Code::Interrupted,
        };
        Self {
            kind,
            code,
            message: message.into(),
            diagnostics: Vec::new(),
            cause: None,
            hint: None,
        }
    }

    pub fn batch(message: impl Into<String>) -> Self {
        Self::new(Kind::Batch, message)
    }

    pub fn project(message: impl Into<String>) -> Self {
        Self::new(Kind::Project, message)
    }

    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, message)
    }

    /// A signal arrived before the batch was swapped in. The caller knows which signal.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted(2), "stopped; the old content stands")
    }

    /// A fault of this program. The panic's message is not shown, because it may contain data.
    pub fn internal() -> Self {
        Self::batch("an internal error ended the batch; the old content stands")
            .code(Code::Internal)
            .hint("this is a defect of the program; run again with RUST_LOG=debug and report what it says")
    }

    /// Sets a code that is more specific than the kind's own code.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Sets the cause: a text without a value and without a secret, or an error of which [`Words`] tells what may be said.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "who fails gives the error away")]
    pub fn cause(mut self, cause: impl Words) -> Self {
        let words: Box<dyn std::error::Error + Send + Sync> = cause.words().into();
        self.cause = Some(Arc::from(words));
        self
    }

    /// The text of the cause.
    pub fn why(&self) -> Option<String> {
        self.cause.as_ref().map(ToString::to_string)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.diagnostics = diagnostics;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.cause.as_ref()?;
        Some(&**cause)
    }
}
