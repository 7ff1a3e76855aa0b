//! What is proposed for a source: its fields, the tables that it fills, and its YAML.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::declare::{self, Declaring, Field};
use super::request::{Entities, Request};
use super::sample::{Sample, word};
use super::tables::{self, Table, snake};
use super::words::singular;
use super::{columns, location, render};
use crate::error::{Error, Result};
use crate::model::{Encoding, Entity, Format};

pub(super) struct Proposal {
    pub fields: Vec<Field>,
    subject: Option<String>,
    pub tables: Vec<Table>,
    pub notes: Vec<String>,
}

impl Proposal {
    pub fn of(entities: &[Entity], request: &Request, sample: &Sample) -> Result<Self> {
        let record = sample.record().ok_or_else(Error::internal)?;
        let subject = declare::subject(record).map(str::to_owned);
        let how = Declaring {
            flat: sample.format == Format::Csv,
            subject: subject.is_some(),
        };
        let fields = declare::fields(&how, &record.objects, &mut Vec::new());
        let named = record_name(sample, subject.as_deref(), &request.name);
        let mut notes = Vec::new();
        let tables = match request.entities {
            Entities::New => {
                let taken: BTreeSet<String> = entities.iter().map(|entity| entity.name.clone()).collect();
                tables::propose(&request.name, &named, &fields, taken)
            }
            Entities::Existing => {
                let mapped = columns::map(entities, &named, &fields);
                notes.extend(
                    mapped
                        .unfilled
                        .iter()
                        .map(|one| format!("no SQL was written for {one}")),
                );
                if !mapped.unused.is_empty() {
                    notes.push(format!(
                        "no column takes {}; `--entities new` makes tables for all fields",
                        mapped.unused.join(", ")
                    ));
                }
                mapped.tables
            }
        };
        if tables.is_empty() {
            return Err(Error::project("the sample fits none of the project's entities")
                .hint("`--entities new` proposes entities for it"));
        }
        if !sample.records.beside.is_empty() {
            notes.push(format!(
                "left out, since it stands beside the records: {}",
                sample.records.beside.join(", ")
            ));
        }
        Ok(Self {
            fields,
            subject,
            tables,
            notes,
        })
    }

    pub fn yaml(&self, request: &Request, sample: &Sample, location: &location::Location) -> String {
        let record = sample.record().map_or(0, |record| record.objects.count);
        let mut text = format!(
            "# Proposed by `pipeline source add` from {record} records in {} {}{}. Read it before real data is loaded:\n\
             # the types, classes and masks are suggestions.\nname: {}\ninput:\n",
            sample.files,
            if sample.files == 1 { "file" } else { "files" },
            if sample.cut { ", a part of the sample" } else { "" },
            request.name
        );
        let path = location
            .path
            .clone()
            .unwrap_or_else(|| format!("in/{}/{{date}}/*", request.name));
        let _ = writeln!(text, "  path: {}", serde_json::Value::from(path));
        let _ = writeln!(text, "  format: {}", word(sample.format));
        if sample.encoding != Encoding::Utf8 {
            if sample.encoding == Encoding::Windows1252 {
                text.push_str(
                    "  # Told from bytes that are no UTF-8. Where letters look wrong: iso-8859-15 or windows-1250.\n",
                );
            }
            let _ = writeln!(text, "  encoding: {}", sample.encoding.name());
        }
        if matches!(sample.format, Format::Json | Format::Ndjson) && !sample.records.path.is_empty() {
            let _ = writeln!(text, "  records: {}", serde_json::Value::from(sample.records.yaml()));
        }
        if sample.delimiter != b',' {
            let delimiter = serde_json::Value::from(char::from(sample.delimiter).to_string());
            let _ = writeln!(text, "  csv: {{delimiter: {delimiter}}}");
        }
        if !sample.records.beside.is_empty() {
            let _ = writeln!(
                text,
                "# Left out, beside the records: {}",
                sample.records.beside.join(", ")
            );
        }
        if let Some(subject) = &self.subject {
            let _ = writeln!(text, "subject: {}", render::yaml(subject));
        }
        text.push_str("schema:\n");
        render::schema(&self.fields, 2, &mut text);
        text.push_str("on_unknown_field: warn\n");
        let conserved: Vec<_> = self
            .tables
            .iter()
            .filter_map(|table| Some((&table.name, render::conserves(&table.levels)?)))
            .collect();
        if !conserved.is_empty() {
            text.push_str("conserves:\n");
            for (name, path) in conserved {
                let _ = writeln!(
                    text,
                    "  {name}: {}",
                    if path == "$" { path } else { format!("\"{path}\"") }
                );
            }
        }
        let _ = writeln!(text, "transforms: sql/{}", request.name);
        text
    }
}

/// What one record is called: by the list that holds it, by the id of whom it is about, or by the source.
fn record_name(sample: &Sample, subject: Option<&str>, source: &str) -> String {
    let list = sample
        .records
        .path
        .iter()
        .rev()
        .find(|(name, list)| *list && name != "entry");
    if let Some((name, _)) = list {
        return singular(&snake(name, 40));
    }
    if sample.records.path.first().is_some_and(|(name, _)| name == "entry") {
        return "resource".to_owned();
    }
    let id = subject.map(|subject| snake(subject, 40));
    let stem = id.as_deref().and_then(|id| id.strip_suffix("_id"));
    stem.map_or_else(|| singular(source), str::to_owned)
}
