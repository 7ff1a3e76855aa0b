//! `pipeline source add --update`: what a newer sample changes of a source's schema. The text is edited and not written
//! anew, so that comments and all that a person wrote stay. SQL is not touched.

use std::fs;
use std::path::Path;

use super::compare::{Change, ChangeKind, Comparing};
use super::declare::Declaring;
use super::diff::unified;
use super::edit::{Edits, apply};
use super::overlay::Overlays;
use super::request::Request;
use super::sample::{ByKind, Reader, Sample, word};
use super::shape::Shape;
use super::writing::Writing;
use crate::error::{Error, Result};
use crate::ingest::sample_files;
use crate::model::wording::all_of;
use crate::model::{Format, Kind, Source};
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
    /// Records of the sample that are of no declared kind.
    pub others: u64,
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
    let sample = sampled(request, source).await?;
    let record = sample.record().ok_or_else(Error::internal)?;
    let file = source.location.file.display().to_string();
    let text = fs::read_to_string(root.join(&source.location.file));
    let text = text.map_err(|error| Error::project(format!("{file} can't be read")).cause(error))?;
    let mut comparing = Comparing {
        edits: Edits::new(&text),
        how: Declaring {
            flat: sample.format == Format::Csv,
            subject: false,
            resource: None,
        },
        changes: Vec::new(),
        file: file.clone(),
        overlays: Overlays::default(),
    };
    for (kind, records) in of_kinds(source, request, &sample, record)? {
        comparing.how.subject = kind.subject.is_some();
        let named = Some(kind.prefix()).filter(|name| !name.is_empty());
        comparing.schema(named, &kind.schema, &records.objects);
    }
    let Comparing {
        mut edits,
        changes,
        overlays,
        ..
    } = comparing;
    overlays.write(&mut edits);
    let made = edits.made();
    let mut updated = Updated {
        name: source.name.clone(),
        diff: if made.is_empty() {
            String::new()
        } else {
            unified(&file, &text, &made)
        },
        unmapped: changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Added)
            .map(|change| change.path.clone())
            .collect(),
        changes,
        written: false,
        records: record.objects.count,
        others: sample.kinds.as_ref().map_or(0, |kinds| kinds.others),
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
        let text = apply(&text, &made);
        write_checked(&root, &updated.file, &text).await?;
        updated.written = true;
    }
    Ok(updated)
}

/// Reads the sample as the source declares its files.
async fn sampled(request: &Request, source: &Source) -> Result<Sample> {
    let mut files = Vec::new();
    for path in &request.paths {
        files.extend(sample_files(&request.from, path).await?);
    }
    let reader = Reader {
        limit: request.sample,
        keep: 0,
        declared: Some(&source.input),
        kinds: match &request.kind {
            // All of them are of this one.
            Some(_) => ByKind::Declared(&[]),
            None => ByKind::Declared(&source.kinds),
        },
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
    Ok(sample)
}

/// The kinds that the sample has records of, with their shapes.
fn of_kinds<'a>(
    source: &'a Source,
    request: &Request,
    sample: &'a Sample,
    record: &'a Shape,
) -> Result<Vec<(&'a Kind, &'a Shape)>> {
    let names = || all_of(&source.kinds.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>());
    if let Some(name) = &request.kind {
        let kind = source
            .kinds
            .iter()
            .find(|kind| kind.name == *name && !kind.prefix().is_empty());
        let unknown = || {
            let error = Error::project(format!("{} declares no kind `{name}`", source.name));
            match &source.kinds[..] {
                [only] if only.prefix().is_empty() => error.hint("leave out `--kind`: the source has no kinds"),
                _ => error.hint(format!("its kinds are {}", names())),
            }
        };
        return Ok(vec![(kind.ok_or_else(unknown)?, record)]);
    }
    let Some(kinds) = &sample.kinds else {
        let only = &source.kinds[0];
        return Ok(vec![(only, record)]);
    };
    let found = source.kinds.iter().zip(&kinds.found);
    let found: Vec<_> = found
        .map(|(kind, (_, shape))| (kind, shape))
        .filter(|(_, shape)| shape.objects.count > 0)
        .collect();
    if found.is_empty() {
        let message = format!("no record of the sample is of a kind that {} declares", source.name);
        return Err(Error::project(message).hint(format!(
            "`--kind NAME` says of which kind all records of the sample are: {}",
            names()
        )));
    }
    Ok(found)
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
