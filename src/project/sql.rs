//! Finds the SQL files of a project: the transforms of each source, the views and the checks. It reads them as text.
//! The stages that run the SQL check its meaning.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::document::read_text;
use super::names::{self, MAX_IDENTIFIER};
use super::problems::Problems;
use super::source::SourceDraft;
use crate::error::{Location, Words as _};
use crate::model::wording::{nearest, one_of};
use crate::model::{Severity, SqlCheck, Transform, View, ViewKind};
use crate::workspace::Files;

const VIEW_FOLDERS: [(&str, ViewKind); 3] = [
    ("sql/functions", ViewKind::Function),
    ("sql/views", ViewKind::View),
    ("sql/materialized", ViewKind::Materialized),
];

/// The transforms of a source, in the order of the entities. `entities` is `None` if pipeline.yaml can't be read; the
/// files' names are then not checked.
pub(super) fn read_transforms(
    files: &Files,
    draft: &SourceDraft,
    entities: Option<&[String]>,
    problems: &mut Problems,
) -> Vec<Transform> {
    let Some((folder, location)) = &draft.transforms else {
        return Vec::new();
    };
    let shown = folder.display();
    let example = entities
        .and_then(|names| names.first())
        .map_or("<entity>", String::as_str);
    let found = match sql_files(files, folder) {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => {
            let hint = format!("write one file per entity that the source serves: {shown}/{example}.sql");
            let message = format!(
                "the source `{}` serves no entity: {shown} holds no .sql file",
                draft.source.name
            );
            problems.add(Some(location.clone()), message, Some(hint));
            return Vec::new();
        }
        Err(error) => {
            let message = match error.kind() {
                ErrorKind::NotFound => format!("the folder {shown} does not exist"),
                ErrorKind::NotADirectory => format!("{shown} is no folder"),
                _ => format!("the folder {shown} can't be read: {}", error.words()),
            };
            let hint = format!("it holds the source's transforms, one file per entity: {shown}/{example}.sql");
            problems.add(Some(location.clone()), message, Some(hint));
            return Vec::new();
        }
    };
    let mut transforms = Vec::new();
    for (stem, path) in found {
        if let Some(entities) = entities
            && !entities.contains(&stem)
        {
            no_entity(&stem, &path, entities, problems);
        } else if let Some(sql) = read_sql(files, &path, problems) {
            transforms.push(Transform {
                entity: stem,
                path,
                sql,
                given: None,
            });
        }
    }
    transforms
}

fn no_entity(stem: &str, path: &Path, entities: &[String], problems: &mut Problems) {
    let known: Vec<&str> = entities.iter().map(String::as_str).collect();
    let hint = match nearest(stem, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}.sql`?"),
        None => format!("name it after an entity: {}", one_of(&known)),
    };
    let location = Location::of_file(path);
    problems.add_link(
        Some(location),
        format!("pipeline.yaml declares no entity `{stem}`"),
        Some(hint),
    );
}

/// All files of `sql/functions`, `sql/views` and `sql/materialized`. The folders are optional.
pub(super) fn read_views(files: &Files, entities: &[String], problems: &mut Problems) -> Vec<View> {
    let mut views: Vec<View> = Vec::new();
    for (folder, kind) in VIEW_FOLDERS {
        for (name, path) in files_if_any(files, Path::new(folder), problems) {
            if let Err(bad) = names::check_identifier("the name of a view or function", &name, MAX_IDENTIFIER) {
                problems.of_file(&path, bad.message, format!("rename the file: {}", bad.hint));
                continue;
            }
            if entities.contains(&name) {
                let message = format!("`{name}` is an entity, so no view can have that name");
                problems.of_file(&path, message, "rename the file");
            } else if let Some(other) = views.iter().find(|view| view.name == name) {
                let message = format!("`{name}` is made by {} already", other.path.display());
                problems.of_file(&path, message, "rename one of the two files");
            }
            if let Some(sql) = read_sql(files, &path, problems) {
                views.push(View { name, kind, path, sql });
            }
        }
    }
    views
}

/// All files of `sql/checks`. The folder is optional. A comment line `-- severity: warn` makes a check only warn.
pub(super) fn read_checks(files: &Files, problems: &mut Problems) -> Vec<SqlCheck> {
    let mut checks = Vec::new();
    for (name, path) in files_if_any(files, Path::new("sql/checks"), problems) {
        let Some(sql) = read_sql(files, &path, problems) else {
            continue;
        };
        let said = sql.lines().find_map(|line| {
            let comment = line.trim_start().strip_prefix("--")?;
            comment.trim_start().strip_prefix("severity:").map(str::trim)
        });
        let severity = match said {
            None | Some("fail") => Severity::Fail,
            Some("warn") => Severity::Warn,
            Some(other) => {
                let message = format!("the severity of a check in SQL can't be `{other}`");
                problems.of_file(&path, message, "write `-- severity: fail` or `-- severity: warn`");
                continue;
            }
        };
        checks.push(SqlCheck {
            name,
            severity,
            path,
            sql,
        });
    }
    checks
}

/// Like [`sql_files`], for an optional folder. Reports a problem if the folder exists but can't be read.
fn files_if_any(files: &Files, folder: &Path, problems: &mut Problems) -> Vec<(String, PathBuf)> {
    match sql_files(files, folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let message = format!("the folder can't be read: {}", error.words());
            problems.of_file(folder, message, "check the path and its permissions");
            Vec::new()
        }
    }
}

/// The names without ending, and the relative paths, of the .sql files directly in the folder. Sorted by name. Hidden
/// files are skipped.
fn sql_files(files: &Files, folder: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let stem = |name: &String| {
        let stem = name.strip_suffix(".sql")?;
        (!stem.is_empty() && !stem.starts_with('.')).then(|| (stem.to_owned(), folder.join(name)))
    };
    let mut found: Vec<(String, PathBuf)> = files.names(folder)?.iter().filter_map(stem).collect();
    found.sort();
    Ok(found)
}

fn read_sql(files: &Files, path: &Path, problems: &mut Problems) -> Option<String> {
    let sql = read_text(files, path, problems)?;
    if holds_no_sql(&sql) {
        problems.of_file(path, "the file holds no SQL", "write a SELECT into it, or remove it");
        return None;
    }
    Some(sql)
}

/// Whether the text holds only white space, semicolons and comments. `/* */` comments can be nested in SQL.
fn holds_no_sql(sql: &str) -> bool {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        if rest.is_empty() {
            return true;
        }
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("/*") {
            rest = after_block_comment(rest);
        } else {
            return false;
        }
    }
}

fn after_block_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find(['/', '*']) {
        rest = &rest[at..];
        if let Some(inner) = rest.strip_prefix("/*") {
            depth += 1;
            rest = inner;
        } else if let Some(after) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = after;
            if depth == 0 {
                return rest;
            }
        } else {
            rest = &rest[1..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_sql() {
        for empty in ["", " \n;", "-- a", "-- a\n/* b /* c */ */ ;\n--", "/* open", "/*/"] {
            assert!(holds_no_sql(empty), "{empty}");
        }
        for sql in ["SELECT 1", "-- a\nSELECT 1", "/* a */ b", "/**/ /"] {
            assert!(!holds_no_sql(sql), "{sql}");
        }
    }
}
