//! What is proposed for a source: its fields, the tables that it fills, and its YAML.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::declare::{self, Declaring, Field};
use super::request::{Entities, Request};
use super::sample::{Sample, word};
use super::shape::Shape;
use super::subject::subject;
use super::tables::{self, Table, snake};
use super::words::singular;
use super::{columns, location, render};
use crate::error::{Error, Result};
use crate::model::reference::resource_type;
use crate::model::wording::one_line;
use crate::model::{Encoding, Entity, Format, SOURCE_TABLE};

pub(super) struct Proposal {
    /// The kinds of records; one where there is nothing to tell them apart.
    pub kinds: Vec<Kind>,
    /// The field whose values tell the kinds apart.
    told_by: Option<String>,
    pub tables: Vec<Table>,
    pub notes: Vec<String>,
}

/// A kind of records.
pub(super) struct Kind {
    /// The table that SQL reads.
    name: String,
    /// The value by which its records are told.
    value: String,
    /// What one of its records is called.
    one: String,
    pub fields: Vec<Field>,
    subject: Option<String>,
}

impl Kind {
    fn of(name: String, value: String, one: &str, record: &Shape, resource: Option<&'static str>, flat: bool) -> Self {
        let subject = subject(record, resource);
        let how = Declaring {
            flat,
            subject: subject.is_some(),
            resource,
        };
        Self {
            name,
            value,
            one: one.to_owned(),
            fields: declare::fields(&how, &record.objects, &mut Vec::new()),
            subject,
        }
    }
}

impl Proposal {
    pub fn of(entities: &[Entity], request: &Request, sample: &Sample) -> Result<Self> {
        let record = sample.record().ok_or_else(Error::internal)?;
        let mut proposal = Self {
            kinds: kinds(sample, record, &request.name),
            told_by: sample.kinds.as_ref().map(super::kinds::Kinds::path),
            tables: Vec::new(),
            notes: Vec::new(),
        };
        match request.entities {
            Entities::New => {
                let taken: BTreeSet<String> = entities.iter().map(|entity| entity.name.clone()).collect();
                let records = proposal.kinds.iter();
                let records = records.map(|kind| (kind.name.as_str(), kind.one.as_str(), kind.fields.as_slice()));
                proposal.tables = tables::propose(&request.name, records, taken);
            }
            Entities::Existing => proposal.map(entities),
        }
        if proposal.tables.is_empty() {
            return Err(Error::project("the sample fits none of the project's entities")
                .hint("`--entities new` proposes entities for it"));
        }
        proposal.leave_unread_kinds_out();
        if let Some(others) = sample
            .kinds
            .as_ref()
            .map(|kinds| kinds.others)
            .filter(|others| *others > 0)
        {
            proposal
                .notes
                .push(format!("{others} records of the sample are of no kind"));
        }
        if !sample.records.beside.is_empty() {
            proposal.notes.push(format!(
                "left out, since it stands beside the records: {}",
                one_line(&sample.records.beside.join(", "))
            ));
        }
        Ok(proposal)
    }

    /// Fills each entity of the project from the kind that fits it best.
    fn map(&mut self, entities: &[Entity]) {
        let mapped: Vec<_> = self
            .kinds
            .iter()
            .map(|kind| columns::map(entities, &kind.one, &kind.fields))
            .collect();
        for entity in entities {
            let of_kind = mapped.iter().enumerate().flat_map(|(at, mapped)| {
                let scored = mapped.tables.iter().zip(&mapped.scores);
                scored.map(move |(table, score)| (at, table, *score))
            });
            let best = of_kind
                .filter(|(_, table, _)| table.name == entity.name)
                .max_by(|(.., one), (.., other)| one.total_cmp(other));
            if let Some((at, table, _)) = best {
                let mut table = table.clone();
                self.kinds[at].name.clone_into(&mut table.of);
                self.tables.push(table);
                continue;
            }
            let why = mapped.iter().flat_map(|mapped| &mapped.unfilled);
            let why = why.filter(|why| why.starts_with(&format!("{}: ", entity.name)));
            self.notes
                .extend(why.take(1).map(|why| format!("no SQL was written for {why}")));
        }
        let mut unused = Vec::new();
        for (kind, mapped) in self.kinds.iter().zip(&mapped) {
            let reads = self.tables.iter().any(|table| table.of == kind.name);
            let prefix = if self.told_by.is_some() {
                format!("{}.", kind.name)
            } else {
                String::new()
            };
            // A kind that nothing reads is named as a whole.
            let fields = mapped.unused.iter().filter(|_| reads);
            unused.extend(fields.map(|path| format!("{prefix}{path}")));
        }
        if !unused.is_empty() {
            self.notes.push(format!(
                "no column takes {}; `--entities new` makes tables for all fields",
                unused.join(", ")
            ));
        }
    }

    /// A kind that no SQL reads can't be declared.
    fn leave_unread_kinds_out(&mut self) {
        let tables = &self.tables;
        let is_read = |kind: &Kind| tables.iter().any(|table| table.of == kind.name);
        let left: Vec<String> = self
            .kinds
            .iter()
            .filter(|kind| !is_read(kind))
            .map(|kind| kind.name.clone())
            .collect();
        self.kinds.retain(is_read);
        if !left.is_empty() {
            self.notes.push(format!(
                "no table takes records of the kinds {}, so they are not declared; `--entities new` makes tables for them",
                left.join(", ")
            ));
        }
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
        let _ = writeln!(text, "  path: {}", render::quoted(&path));
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
            let _ = writeln!(text, "  records: {}", render::quoted(&sample.records.yaml()));
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
        if let Some(field) = &self.told_by {
            text.push_str("kinds:\n");
            for kind in &self.kinds {
                let (field, value) = (render::yaml(field), render::yaml(&kind.value));
                let _ = writeln!(text, "  {}:\n    where: {{{field}: {value}}}", render::yaml(&kind.name));
                self.of_kind(kind, 4, &mut text);
            }
            text.push_str("on_unknown_kind: warn\n");
        } else if let Some(kind) = self.kinds.first() {
            self.of_kind(kind, 0, &mut text);
        }
        let _ = writeln!(text, "transforms: sql/{}", request.name);
        text
    }

    /// What is declared of a kind, or of a source without kinds.
    fn of_kind(&self, kind: &Kind, indent: usize, text: &mut String) {
        let pad = " ".repeat(indent);
        if let Some(subject) = &kind.subject {
            let _ = writeln!(text, "{pad}subject: {}", render::yaml(subject));
        }
        let _ = writeln!(text, "{pad}schema:");
        render::schema(&kind.fields, indent + 2, text);
        let _ = writeln!(text, "{pad}on_unknown_field: warn");
        let tables = self.tables.iter().filter(|table| table.of == kind.name);
        let conserved: Vec<_> = tables
            .filter_map(|table| Some((&table.name, render::conserves(&table.levels)?)))
            .collect();
        if !conserved.is_empty() {
            let _ = writeln!(text, "{pad}conserves:");
            for (name, path) in conserved {
                let path = if path == "$" { path } else { format!("\"{path}\"") };
                let _ = writeln!(text, "{pad}  {name}: {path}");
            }
        }
    }
}

/// The kinds of a sample, with names that SQL takes without quotes.
fn kinds(sample: &Sample, record: &Shape, source: &str) -> Vec<Kind> {
    let flat = sample.format == Format::Csv;
    let Some(kinds) = &sample.kinds else {
        let texts = |shape: &Shape| {
            (
                shape.texts.count,
                shape.texts.fhir.names,
                shape.texts.fhir.named.clone(),
            )
        };
        // All records are of this type.
        let of_type = record.objects.fields.iter().find(|(name, _)| name == "resourceType");
        let of_type = of_type.map(|(_, member)| texts(&member.shape));
        let resource = of_type
            .filter(|(all, known, types)| all == known && types.len() == 1)
            .and_then(|(.., types)| types.into_iter().next());
        let subject = subject(record, resource);
        let one = match resource {
            Some(resource) => snake(resource, 40),
            None => record_name(sample, subject.as_deref(), source),
        };
        return vec![Kind::of(
            SOURCE_TABLE.to_owned(),
            String::new(),
            &one,
            record,
            resource,
            flat,
        )];
    };
    let mut taken: BTreeSet<String> = [SOURCE_TABLE.to_owned()].into();
    let mut named = |value: &str| {
        let mut name = render::unquoted(&snake(value, 40));
        while !taken.insert(name.clone()) {
            name.push_str("_2");
        }
        name
    };
    let found = kinds.found.iter().map(|(value, shape)| {
        Kind::of(
            named(value),
            value.clone(),
            &snake(value, 40),
            shape,
            resource_type(value),
            flat,
        )
    });
    found.collect()
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
