//! Turns a file of `sql/functions`, `sql/views` or `sql/materialized` into a statement to send, and maps a position
//! in the statement back to a position in the file.
//!
//! The file of a view is one SELECT. In a materialized view's file, comment lines may declare indexes. The first
//! `unique` index lets readers use the view while it is refreshed:
//!
//! ```sql
//! -- unique: visit_id, treatments_drug
//! -- index: name
//! SELECT ...
//! ```
//!
//! The file of a function is one `CREATE FUNCTION` (or `CREATE OR REPLACE FUNCTION`) whose name is the file's name.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::Diagnostic;
use crate::model::{View, ViewKind};
use crate::warehouse::sql::{Over, ident, idents, position};

/// The statement of a file. Kind and name of the file identify it.
pub(super) struct Definition<'a> {
    pub view: &'a View,
    /// A hash of kind and text. An object with the same fingerprint needs no change.
    pub fingerprint: String,
    /// Creates or replaces the object; for a materialized view, only creates it.
    pub statement: String,
    /// `CREATE INDEX` statements whose index names are generated.
    pub indexes: Vec<String>,
    inserted: Inserted,
}

/// Characters of the statement that were added and are not in the file.
struct Inserted {
    at: usize,
    count: usize,
}

impl<'a> Definition<'a> {
    pub(super) fn parse(view: &'a View) -> Result<Self, Diagnostic> {
        let name = qualified(&view.name);
        let (statement, inserted) = match view.kind {
            ViewKind::View => prefixed(&format!("CREATE OR REPLACE VIEW {name} AS\n"), &view.sql),
            ViewKind::Materialized => prefixed(&format!("CREATE MATERIALIZED VIEW {name} AS\n"), &view.sql),
            ViewKind::Function => function(view)?,
        };
        if view.kind != ViewKind::Function && first_word(&view.sql).eq_ignore_ascii_case("create") {
            return Err(problem(view, 1, "the file of a view holds its SELECT alone")
                .with_hint("leave out CREATE VIEW ... AS; the view is named after the file"));
        }
        Ok(Self {
            view,
            fingerprint: fingerprint(view),
            statement,
            indexes: indexes(view)?,
            inserted,
        })
    }

    /// Turns the error into a diagnostic that points into the file.
    pub(super) fn diagnostic(&self, error: &tokio_postgres::Error) -> Diagnostic {
        // A materialized view is filled as it is made.
        let over = match self.view.kind {
            ViewKind::Materialized => Over::Rows,
            ViewKind::View | ViewKind::Function => Over::Definitions,
        };
        position::diagnostic(
            &self.view.path,
            &self.view.sql,
            self.inserted_before(error),
            error,
            over,
        )
    }

    /// The name in the file that the error points at, split into its parts.
    pub(super) fn name_at(&self, error: &tokio_postgres::Error) -> Vec<String> {
        position::name(&self.view.sql, self.inserted_before(error), error)
    }

    /// How many added characters come before the error's position.
    fn inserted_before(&self, error: &tokio_postgres::Error) -> usize {
        position::of(error)
            .filter(|position| *position > self.inserted.at)
            .map_or(0, |_| self.inserted.count)
    }
}

/// A name of the schema `public`, quoted.
pub(super) fn qualified(name: &str) -> String {
    format!("public.{}", ident(name))
}

/// The longest beginning of an index name of ours, in bytes: PostgreSQL cuts names at 63.
const INDEX_HEAD: usize = 40;

/// How index names of ours start. Two long names may share their beginning, so a hash keeps them apart.
fn index_prefix(view: &str) -> String {
    if view.len() <= INDEX_HEAD {
        return format!("{view}__by_");
    }
    let hash = hex::encode(&Sha256::digest(view)[..4]);
    let mut end = INDEX_HEAD - hash.len() - 1;
    while !view.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{hash}__by_", &view[..end])
}

/// Whether an index on a view is one of ours; others are somebody else's.
pub(super) fn is_our_index(view: &str, index: &str) -> bool {
    // Older versions cut long names without a hash.
    let older = format!("{}__by_", view.chars().take(40).collect::<String>());
    index.starts_with(&index_prefix(view)) || index.starts_with(&older)
}

/// A hash of kind and text.
pub(super) fn fingerprint(view: &View) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{:?}\n", view.kind));
    // A checkout with other line endings holds the same view.
    hash.update(view.sql.replace("\r\n", "\n"));
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn prefixed(prefix: &str, sql: &str) -> (String, Inserted) {
    (
        format!("{prefix}{sql}"),
        Inserted {
            at: 0,
            count: prefix.chars().count(),
        },
    )
}

fn indexes(view: &View) -> Result<Vec<String>, Diagnostic> {
    let mut statements = Vec::new();
    for (number, line) in view.sql.lines().enumerate() {
        let Some(comment) = line.trim().strip_prefix("--") else {
            continue;
        };
        let (unique, list) = match comment.trim_start().split_once(':') {
            Some(("unique", list)) => ("UNIQUE ", list),
            Some(("index", list)) => ("", list),
            _ => continue,
        };
        if view.kind != ViewKind::Materialized {
            return Err(problem(view, number + 1, "only a materialized view has indexes"));
        }
        let columns: Vec<&str> = list.split(',').map(str::trim).collect();
        let is_name = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !columns.iter().all(is_name) {
            return Err(problem(
                view,
                number + 1,
                "an index is declared as column names with commas between them",
            )
            .with_hint("such as `-- unique: visit_id, diagnosis_code`"));
        }
        statements.push(format!(
            "CREATE {unique}INDEX {} ON {} ({})",
            ident(&format!("{}{}", index_prefix(&view.name), statements.len() + 1)),
            qualified(&view.name),
            idents(&columns)
        ));
    }
    Ok(statements)
}

fn function(view: &View) -> Result<(String, Inserted), Diagnostic> {
    let refused = || {
        problem(view, 1, "the file of a function holds one CREATE FUNCTION")
            .with_hint(format!("CREATE FUNCTION {}(...) RETURNS ...", view.name))
    };
    let mut words = Words { text: &view.sql, at: 0 };
    let is = |word: Option<&str>, wanted: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(wanted));
    if !is(words.next(), "create") {
        return Err(refused());
    }
    let after_create = words.at;
    let mut word = words.next();
    let replaces = is(word, "or");
    if replaces {
        words.next();
        word = words.next();
    }
    if !is(word, "function") {
        return Err(refused());
    }
    let mut name = words.name();
    if words.eat('.') {
        if name.as_deref() != Some("public") {
            return Err(problem(view, 1, "functions are made in the schema public"));
        }
        name = words.name();
    }
    if name.as_deref() != Some(view.name.as_str()) {
        let message = format!(
            "the function is {}, and the file {}",
            name.unwrap_or_default(),
            view.name
        );
        return Err(problem(view, 1, &message).with_hint("give both the same name"));
    }
    if replaces {
        return Ok((view.sql.clone(), Inserted { at: 0, count: 0 }));
    }
    let (head, tail) = view.sql.split_at(after_create);
    let added = " OR REPLACE";
    Ok((
        format!("{head}{added}{tail}"),
        Inserted {
            at: head.chars().count(),
            count: added.len(),
        },
    ))
}

fn problem(view: &View, line: usize, message: &str) -> Diagnostic {
    Diagnostic {
        message: message.to_owned(),
        location: Some(line_start(&view.path, &view.sql, line)),
        hint: None,
    }
}

fn line_start(path: &Path, text: &str, line: usize) -> crate::error::Location {
    let before: usize = text.lines().take(line - 1).map(|line| line.chars().count() + 1).sum();
    position::location(path, text, before + 1)
}

trait WithHint {
    fn with_hint(self, hint: impl Into<String>) -> Self;
}

impl WithHint for Diagnostic {
    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn first_word(sql: &str) -> &str {
    Words { text: sql, at: 0 }.next().unwrap_or_default()
}

/// Reads the words at the start of a statement and skips comments.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let length = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        self.at += length;
        (length > 0).then(|| &rest[..length])
    }

    /// Reads a name and folds it to lower case where it is not quoted.
    fn name(&mut self) -> Option<String> {
        self.skip_blanks();
        if self.eat('"') {
            let rest = &self.text[self.at..];
            let length = rest.find('"')?;
            self.at += length + 1;
            return Some(rest[..length].to_owned());
        }
        self.next().map(str::to_lowercase)
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        let found = self.text[self.at..].starts_with(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.at += rest.len() - trimmed.len();
            self.at += if trimmed.starts_with("--") {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                return;
            };
        }
    }
}

#[cfg(test)]
mod tests;
