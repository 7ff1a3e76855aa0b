//! `pipeline source add --update`: what a newer sample changes of a source's schema. The text is edited and not written
//! anew, so that comments and all that a person wrote stay. SQL is not touched.

use std::path::Path;

use super::compare::{Change, ChangeKind, Comparing};
use super::declare::Declaring;
use super::diff::unified;
use super::edit::{Edits, apply};
use super::request::Request;
use super::sample::{Reader, word};
use super::writing::Writing;
use crate::error::{Error, Result};
use crate::ingest::sample_files;
use crate::model::{Field, Format};
use crate::{project, run};

/// What a newer sample changes.
#[derive(Debug)]
pub struct Updated {
    pub name: String,
    /// The source's file, relative to the project.
    pub file: String,
    pub changes: Vec<Change>,
    /// The changes of the text as a unified diff. Empty: the text stays.
    pub diff: String,
    pub written: bool,
    pub records: u64,
    pub files: usize,
    pub cut: bool,
    /// Fields that are declared now and that no SQL reads.
    pub unmapped: Vec<String>,
    /// The folder of the source's SQL, if it has any.
    pub sql: Option<String>,
}

/// Compares a source's schema with a newer sample. Writes the changes if `write` is set.
///
/// # Errors
/// A source that does not exist, a sample that can't be read or has another format, and changes with which the project
/// does not pass its check. Nothing is written then.
pub async fn update(root: &Path, request: &Request, write: bool) -> Result<Updated> {
    let root = root.canonicalize();
    let root = root.map_err(|error| Error::project("the project's folder can't be read").cause(error))?;
    let project = project::load(&root)?;
    let source = project.source(&request.name)?;
    let mut files = Vec::new();
    for path in &request.paths {
        files.extend(sample_files(&request.from, path).await?);
    }
    let reader = Reader {
        limit: request.sample,
        keep: 0,
        declared: Some(&source.input),
    };
    let sample = reader.read(&files).await?;
    if sample.format != source.input.format && !is_json(sample.format, source.input.format) {
        return Err(Error::project(format!(
            "the sample is {}, and {} declares {}",
            word(sample.format),
            source.name,
            word(source.input.format)
        ))
        .hint("name files of this source, or change `format` first"));
    }
    let [kind] = &source.kinds[..] else {
        let message = format!(
            "{} declares kinds, and a sample does not say which fields belong to which",
            source.name
        );
        return Err(Error::project(message).hint("change its schemas by hand"));
    };
    let here = |field: &Field| field.location.file == source.location.file;
    if !kind.schema.iter().all(here) {
        let message = format!("{} takes fields from another file (`use`)", source.name);
        return Err(Error::project(message).hint("change that file by hand"));
    }
    let record = sample.record().ok_or_else(Error::internal)?;
    let mut comparing = Comparing {
        edits: Edits::new(&source.text),
        how: Declaring {
            flat: sample.format == Format::Csv,
            subject: kind.subject.is_some(),
        },
        changes: Vec::new(),
    };
    comparing.schema(&kind.schema, &record.objects);
    let made = comparing.edits.made();
    let file = source.location.file.display().to_string();
    let mut updated = Updated {
        name: source.name.clone(),
        diff: if made.is_empty() {
            String::new()
        } else {
            unified(&file, &source.text, &made)
        },
        unmapped: comparing
            .changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Added)
            .map(|change| change.path.clone())
            .collect(),
        changes: comparing.changes,
        written: false,
        records: record.objects.count,
        files: sample.files,
        cut: sample.cut,
        sql: source
            .transforms
            .iter()
            .find(|transform| transform.given.is_none())
            .and_then(|transform| Some(transform.path.parent()?.display().to_string())),
        file,
    };
    if write && !made.is_empty() {
        let text = apply(&source.text, &made);
        write_checked(&root, &updated.file, &text).await?;
        updated.written = true;
    }
    Ok(updated)
}

/// Both hold documents of JSON, and a file with one record is either.
fn is_json(one: Format, other: Format) -> bool {
    [one, other]
        .iter()
        .all(|format| matches!(format, Format::Json | Format::Ndjson))
}

/// Writes the file, and takes it back unless the project passes its check.
async fn write_checked(root: &Path, file: &str, text: &str) -> Result<()> {
    let mut writing = Writing::new(root.to_owned());
    writing.replace(file, text)?;
    let checked = match project::load(root) {
        Ok(project) => run::check(&project).await.map(drop),
        Err(error) => Err(error),
    };
    checked.map_err(|error| {
        writing.undo();
        let hint = "nothing was written; let the SQL and the tables take the new types first";
        if error.hint.is_some() { error } else { error.hint(hint) }
    })
}
