//! Tests on whole projects in temporary folders. Each project has its own fault, and the messages are compared word by
//! word.

mod checks;
mod conserve;
mod contract;
mod files;
mod input;
mod json_schema;
mod kinds;
mod privacy;
mod schema;
mod shared;
mod source;
mod value_rules;

use std::fmt::Write as _;
use std::fs;

use super::load::load_with;
use crate::error::{Error, Result};
use crate::model::Project;
use crate::workspace;

pub(super) const CONTRACT: &str = "\
name: test
entities:
  patients:
    description: One row per patient
    columns:
      patient_id: {type: text, nullable: false, description: Whose}
      name: text
    key: [patient_id]
    indexes: [[name]]
  visits:
    columns:
      patient_id: text
      visit_id: {type: text, nullable: false}
      visit_date: date
    key: [visit_id]
    parent: patients
    indexes: [[patient_id, visit_date], {columns: [visit_date]}]
";

pub(super) const SOURCE: &str = "\
name: clinic
aliases: [c]
input:
  path: data/{date:%Y%m%d}/visits.json
schema:
  patient_id: {type: string, required: true}
  visits:
    list:
      visit_id: string
      date: {type: date, format: [\"%d.%m.%Y\", \"%Y-%m-%d\"]}
";

/// The files of a test project. The project is valid until a test replaces a part of it.
pub(super) struct Files(Vec<(String, Option<String>)>);

impl Files {
    pub fn good() -> Self {
        Self(Vec::new())
            .with("pipeline.yaml", CONTRACT)
            .with("pipelines/clinic.yaml", SOURCE)
            .with("sql/clinic/patients.sql", "SELECT patient_id, name FROM source")
            .with("sql/clinic/visits.sql", "SELECT 1")
    }

    pub fn with(mut self, path: &str, text: impl Into<String>) -> Self {
        self.0.retain(|(other, _)| other != path);
        self.0.push((path.to_owned(), Some(text.into())));
        self
    }

    pub fn text(&self, path: &str) -> &str {
        let found = self.0.iter().find(|(other, _)| other == path);
        found.and_then(|(_, text)| text.as_deref()).expect("a file")
    }

    pub fn without(mut self, path: &str) -> Self {
        self.0.retain(|(other, _)| other != path);
        self
    }

    pub fn with_folder(mut self, path: &str) -> Self {
        self.0.push((path.to_owned(), None));
        self
    }

    /// Replaces a part of the valid contract.
    pub fn contract(self, from: &str, to: &str) -> Self {
        self.with("pipeline.yaml", replaced(CONTRACT, from, to))
    }

    /// Replaces a part of the valid source.
    pub fn source(self, from: &str, to: &str) -> Self {
        self.with("pipelines/clinic.yaml", replaced(SOURCE, from, to))
    }

    pub fn write(&self) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in &self.0 {
            let path = root.path().join(path);
            if let Some(text) = text {
                fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
                fs::write(path, text).expect("a file");
            } else {
                fs::create_dir_all(path).expect("a folder");
            }
        }
        root
    }

    pub fn load(&self) -> Result<Project> {
        let root = self.write();
        let read = load_with(&workspace::Files::saved(root.path()), &|name| match name {
            "DATA" => Some("data".to_owned()),
            "FORMAT" => Some("ndjson".to_owned()),
            "TRUE" => Some("true".to_owned()),
            "BAD" => Some("hunter2 value".to_owned()),
            "URL" => Some("https://me:hunter2@host".to_owned()),
            _ => None,
        });
        assert_eq!(json_schema::differences(self, &read), Vec::<String>::new());
        read
    }

    pub fn error(&self) -> Error {
        self.load().expect_err("the project should be refused")
    }

    /// Every problem as `file:line:column+length: message` and `    hint`.
    pub fn problems(&self) -> String {
        let error = self.error();
        let mut text = String::new();
        for problem in &error.diagnostics {
            let place = problem.location.as_ref().expect("a place");
            let file = place.file.display();
            let (line, column, length) = (place.line, place.column, place.length);
            writeln!(text, "{file}:{line}:{column}+{length}: {}", problem.message).expect("text");
            writeln!(text, "    {}", problem.hint.as_deref().unwrap_or("-")).expect("text");
            assert!(
                place.text.is_empty() || place.column + place.length <= place.text.chars().count() + 2,
                "{problem:?}"
            );
        }
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        text
    }
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is not in the good file");
    text.replacen(from, to, 1)
}
