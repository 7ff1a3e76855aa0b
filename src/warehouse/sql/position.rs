//! Finds the place in a user's SQL file where PostgreSQL reports an error. PostgreSQL counts characters of the
//! statement that was sent, so text that was added before the file's text is subtracted.

use std::path::Path;

use tokio_postgres::error::ErrorPosition;

use super::error::{Over, describe_over, is_raised};
use crate::error::{Diagnostic, Location};

/// The error's position in the statement that was sent, in characters from 1.
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

/// The name in a file at the error's position, split into its parts as PostgreSQL reads them: `public."A b".x` has
/// three. `added` is the number of characters that were sent before the file's text. Empty where there is no name at
/// that position.
pub fn name(text: &str, added: usize, error: &tokio_postgres::Error) -> Vec<String> {
    let offset = of(error).and_then(|position| position.checked_sub(added + 1));
    offset.map_or_else(Vec::new, |offset| parts(text, offset))
}

/// The parts of the name at `offset`, in characters from 0.
fn parts(text: &str, offset: usize) -> Vec<String> {
    let mut rest = text.chars().skip(offset).peekable();
    let mut parts = Vec::new();
    loop {
        let mut part = String::new();
        if rest.next_if_eq(&'"').is_some() {
            while let Some(c) = rest.next() {
                // A doubled quote stands for one quote.
                if c == '"' && rest.next_if_eq(&'"').is_none() {
                    break;
                }
                part.push(c);
            }
        } else {
            while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '$')) {
                part.extend(c.to_lowercase());
            }
        }
        if !part.is_empty() {
            parts.push(part);
        }
        if rest.next_if_eq(&'.').is_none() {
            return parts;
        }
    }
}

/// The error as a problem of a file, of which `added` characters of ours were sent first. `over` is what the server was at.
pub fn diagnostic(file: &Path, text: &str, added: usize, error: &tokio_postgres::Error, over: Over) -> Diagnostic {
    let place = of(error)
        .and_then(|position| position.checked_sub(added))
        .filter(|position| *position > 0)
        // While rows are read, what an error quotes may be a value.
        .or_else(|| named(error, text).filter(|_| over != Over::Rows));
    Diagnostic {
        message: describe_over(error, over),
        location: Some(match place {
            Some(offset) => location(file, text, offset),
            None => Location::of_file(file),
        }),
        hint: place.and_then(|_| suggestion(error)),
    }
}

/// Where the name stands that an error is about, for errors that do not say it: those of DDL. The name itself is not
/// repeated.
fn named(error: &tokio_postgres::Error, text: &str) -> Option<usize> {
    let db = error.as_db_error().filter(|db| !is_raised(db))?;
    let unknown = matches!(db.code().code(), "42703" | "42704" | "42P01");
    first_use(text, db.message().split('"').nth(1).filter(|_| unknown)?)
}

/// The first place of a name in SQL, comments to the end of a line aside. It counts from 1, in characters.
fn first_use(text: &str, name: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let mut before = 0;
    for line in text.split_inclusive('\n') {
        let sql = line.split("--").next().unwrap_or_default();
        // PostgreSQL lowers names without quotes. Bytes keep their places.
        let lowered = sql.to_ascii_lowercase();
        for (at, found) in lowered.match_indices(&name.to_ascii_lowercase()) {
            let whole = !lowered[..at].ends_with(part) && !lowered[at + found.len()..].starts_with(part);
            if whole {
                return Some(before + sql[..at].chars().count() + 1);
            }
        }
        before += line.chars().count();
    }
    None
}

/// The server's suggestion for an unknown column or function. It names columns only, and never holds a value: the server
/// gives it while it reads the statement's own text (its source, `parse_relation.c`, `errorMissingColumn`).
fn suggestion(error: &tokio_postgres::Error) -> Option<String> {
    let db = error.as_db_error().filter(|db| !is_raised(db))?;
    matches!(db.code().code(), "42703" | "42883").then(|| db.hint().map(str::to_owned))?
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

    #[test]
    fn the_first_use_of_a_name_is_a_whole_word_and_in_no_comment() {
        let text = "-- day\ncreate é (visit_day date); -- day\ncreate index on é (Day);";
        let place = first_use(text, "day").map(|at| location(Path::new("m.sql"), text, at));
        assert_eq!(
            place.map(|found| (found.line, found.column, found.length)),
            Some((3, 20, 3))
        );
        assert_eq!(first_use(text, "visit"), None);
        assert_eq!(first_use("", "visit"), None);
    }

    #[test]
    fn a_name_is_read_in_its_parts() {
        let text = "FROM é.Visits, \"A \"\"b\"\"\".x$1 (1)";
        assert_eq!(parts(text, 5), ["é", "visits"]);
        assert_eq!(parts(text, 15), ["A \"b\"", "x$1"]);
        assert_eq!(parts(text, 13), [] as [&str; 0]);
        assert_eq!(parts(text, 500), [] as [&str; 0]);
    }
}
