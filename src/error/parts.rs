//! An error in a form that can be sent to another process. Its cause becomes the text that [`super::Words`] made of it.

use serde::{Deserialize, Serialize};

use super::{Code, Diagnostic, Error, Kind};

#[derive(Serialize, Deserialize)]
pub(super) struct Parts {
    kind: Kind,
    code: Code,
    message: String,
    diagnostics: Vec<Diagnostic>,
    cause: Option<String>,
    hint: Option<String>,
}

impl From<Error> for Parts {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind,
            code: error.code,
            cause: error.why(),
            message: error.message,
            diagnostics: error.diagnostics,
            hint: error.hint,
        }
    }
}

impl From<Parts> for Error {
    fn from(parts: Parts) -> Self {
        let error = Self {
            kind: parts.kind,
            code: parts.code,
            message: parts.message,
            diagnostics: parts.diagnostics,
            cause: None,
            hint: parts.hint,
        };
        match parts.cause {
            Some(cause) => error.cause(cause),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::Location;

    #[test]
    fn an_error_arrives_as_it_was_sent() {
        let place = Diagnostic {
            message: "no such column".into(),
            location: Some(Location::of_file(Path::new("sql/a/visits.sql"))),
            hint: Some("did you mean `date`?".into()),
        };
        let sent = Error::new(Kind::Unreachable, "it can't be reached")
            .code(Code::InputMissing)
            .cause("a cause")
            .hint("a remedy")
            .diagnostics(vec![place]);
        let text = serde_json::to_string(&sent).unwrap();
        let arrived: Error = serde_json::from_str(&text).unwrap();
        assert_eq!(arrived.to_string(), sent.to_string());
        assert_eq!((arrived.kind, arrived.code), (sent.kind, sent.code));
        assert_eq!((arrived.diagnostics, arrived.hint), (sent.diagnostics, sent.hint));
    }
}
