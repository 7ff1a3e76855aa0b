//! `pipeline test create`: makes a test case from a record of real data, with its shape and none of its values.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{Datelike as _, NaiveDate};
use futures::StreamExt;
use serde_json::Value;

use super::bench::test;
use super::update::rewritten;
use super::yaml;
use crate::error::{Code, Error, Result};
use crate::ingest::{self, ReadStats};
use crate::model::{Kind, Project, RECORD_BITS, Source};
use crate::project::{YamlKind, parse_tests, schema_comment, tests_folder};
use crate::workspace;

/// The case to make.
#[derive(Debug)]
pub struct NewCase {
    /// The name or alias of the source.
    pub source: String,
    pub date: NaiveDate,
    /// The number of the record in its file, from 1.
    pub record: u64,
    /// The number of the file in the batch, from 1.
    pub file: usize,
    /// The name of the new file, without its ending.
    pub name: String,
}

/// Makes a case and writes it to a new file. What is expected is what comes out now. Returns the file's path, relative
/// to the project.
///
/// # Errors
/// A record that does not exist or is refused, and a file that exists already.
pub async fn create(project: Project, new: NewCase) -> Result<PathBuf> {
    let source = project.source(&new.source)?.clone();
    let folder = tests_folder(&source).ok_or_else(|| {
        Error::project(format!("{} has no SQL to test", source.name)).hint("write a SELECT for an entity first")
    })?;
    let path = folder.join(format!("{}.yaml", new.name));
    if project.root.join(&path).exists() {
        return Err(exists(&path));
    }
    workspace::refuse_to_leave(&project.root, &path)?;
    let (record, kind) = invented(&project, &source, &new).await?;
    let schema = schema_comment(&project.root, &path, YamlKind::Tests);
    let mut text = format!(
        "{schema}tests:\n  - name: {}\n    date: {}\n    records:\n",
        yaml::scalar(&format!("like record {}", new.record)),
        invented_date(new.date)
    );
    // What only the path of a file tells, the case says.
    let told = !kind.conditions.is_empty() || kind.prefix().is_empty();
    if !told {
        let _ = writeln!(text, "      {}:", kind.name);
    }
    yaml::element(&record, if told { 6 } else { 8 }, &mut text);
    let cases = parse_tests(&project, &source, path.clone(), text.clone())?;
    let root = project.root.clone();
    let results = test(project, cases).await?;
    for one in &results {
        if let Some(error) = &one.actual.error {
            return Err(error.clone());
        }
        text = rewritten(&text, &[(&one.case, &one.actual)])?;
    }
    write(&root.join(&path), &text).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(&path),
        _ => Error::project(format!("{} can't be written", path.display()))
            .cause(error)
            .hint("the folder of the source's SQL must be one that you may write to"),
    })?;
    Ok(path)
}

/// The date of the case. The day of a batch may be the day of a visit, so only its year is kept.
fn invented_date(date: NaiveDate) -> NaiveDate {
    date.with_ordinal(1).unwrap_or(date)
}

fn exists(path: &std::path::Path) -> Error {
    Error::project(format!("{} exists already", path.display())).hint("give the new case another name: --name NAME")
}

/// Writes a new file as a whole, and the folder above it.
fn write(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(text.as_bytes());
    written.inspect_err(|_| drop(std::fs::remove_file(path)))
}

/// A record like the one that is asked for, and its kind.
async fn invented<'s>(project: &Project, source: &'s Source, new: &NewCase) -> Result<(Value, &'s Kind)> {
    let listing = ingest::list(&project.root, source, new.date).await?;
    let missing = |what: String| Error::batch(what).code(Code::InputMissing);
    let listing = listing.ok_or_else(|| missing(format!("the input of {} {} is missing", source.name, new.date)))?;
    let files = listing.files().len();
    if new.file == 0 || new.file > files {
        let holds = if files == 1 {
            "1 file".to_owned()
        } else {
            format!("{files} files")
        };
        return Err(missing(format!("the batch has {holds}, and no file {}", new.file)).hint("add --file N"));
    }
    let wanted = ((new.file as u64) - 1) << RECORD_BITS | new.record;
    let stats = Arc::new(ReadStats::default());
    let mut records = listing.read(source, 1, Arc::clone(&stats));
    let mut read = 0;
    while let Some(batch) = records.next().await {
        let batch = batch?;
        if let Some(record) = batch.invent(wanted, source, invented_date(new.date))? {
            let kind = source.kinds.get(batch.kind()).ok_or_else(Error::internal)?;
            return Ok((record, kind));
        }
        read += batch.num_rows();
    }
    let file = &listing.files()[new.file - 1].path;
    let refused = stats.take_refused();
    let of_file =
        |number| move |one: &&crate::model::Refusal| one.file.as_ref() == Some(file) && one.record == Some(number);
    if let Some(refusal) = refused.iter().find(of_file(new.record)) {
        return Err(refusal.clone().into());
    }
    let count = read + refused.len();
    let records = if count == 1 {
        "1 record".to_owned()
    } else {
        format!("{count} records")
    };
    Err(missing(format!("{file} has no record {}", new.record))
        .cause(format!("the batch has {records}"))
        .hint("give another number, counted from 1 in each file: --record N"))
}
