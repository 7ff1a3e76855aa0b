//! Where in a user's SQL file PostgreSQL found an error. It counts characters of the statement that was sent; what we
//! put before the file's text is taken off.

use std::path::Path;

use tokio_postgres::error::ErrorPosition;

use super::error::describe;
use crate::error::{Diagnostic, Location};

/// Where PostgreSQL found the error in the statement that was sent: characters, from 1.
pub fn of(error: &tokio_postgres::Error) -> Option<usize> {
    match error.as_db_error()?.position()? {
        ErrorPosition::Original(position) => usize::try_from(*position).ok(),
        ErrorPosition::Internal { .. } => None,
    }
}

/// The place of the `offset`th character (from 1) of a file's text.
pub fn location(file: &Path, text: &str, offset: usize) -> Location {
    let before = offset.saturating_sub(1);
    let (mut line, mut column) = (1, 1);
    for c in text.chars().take(before) {
        if c == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let length = text.chars().skip(before).take_while(is_word).count().max(1);
    let line_text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
    Location {
        file: file.to_owned(),
        line,
        column,
        length,
        text: line_text,
    }
}

/// The error as a problem of a file, of which `added` characters of ours were sent first.
pub fn diagnostic(file: &Path, text: &str, added: usize, error: &tokio_postgres::Error) -> Diagnostic {
    let place = of(error)
        .and_then(|position| position.checked_sub(added))
        .filter(|position| *position > 0);
    Diagnostic {
        message: describe(error),
        location: Some(match place {
            Some(offset) => location(file, text, offset),
            None => Location {
                file: file.to_owned(),
                line: 1,
                column: 1,
                length: 1,
                text: String::new(),
            },
        }),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_in_characters() {
        let text = "SELECT 'é',\n  nope FROM t";
        let found = location(Path::new("v.sql"), text, 15);
        assert_eq!((found.line, found.column, found.length), (2, 3, 4));
        assert_eq!(found.text, "  nope FROM t");
        assert_eq!(location(Path::new("v.sql"), text, 9).length, 1);
        assert_eq!(location(Path::new("v.sql"), text, 500).line, 2);
    }
}
