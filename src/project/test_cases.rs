//! Reads test cases: the YAML files in the folder `tests` beside the SQL of a source. The project must have been read
//! before.

use std::io::ErrorKind;
use std::path::PathBuf;

use chrono::NaiveDate;

use super::document::Document;
use super::mapping::{Context, Mapping, entry_text, node_scalar, node_text};
use super::problems::Problems;
use super::test_keys::{CASE, FILE, REFUSAL};
use super::test_values::{cell, record};
use super::yaml::{Entry, Node, Span, Value};
use super::yaml_files::yaml_files;
use crate::error::{Error, Result, Words as _};
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{
    CasePlace, CaseRecords, Entity, ExpectedCell, ExpectedRefusal, ExpectedRow, ExpectedRows, Kind, Lines, Project,
    Source, TestCase,
};
use crate::workspace::Files;

/// The folder of a source's test cases, relative to the project. `None`: the source has no SQL.
pub fn tests_folder(source: &Source) -> Option<PathBuf> {
    let first = source.transforms.first()?;
    first.path.parent().map(|folder| folder.join("tests"))
}

/// Reads all test cases of the project, sorted by source and file.
///
/// # Errors
/// The problems of all files at once.
pub fn read_tests(project: &Project) -> Result<Vec<TestCase>> {
    read_tests_in(&Files::saved(&project.root), project)
}

/// Like [`read_tests`], over files of which some may not be saved.
///
/// # Errors
/// The problems of all files at once.
pub fn read_tests_in(tree: &Files, project: &Project) -> Result<Vec<TestCase>> {
    let (mut problems, mut cases) = (Problems::default(), Vec::new());
    for source in &project.sources {
        for path in files(tree, source, &mut problems) {
            if let Some(document) = Document::read(tree, path, &mut problems) {
                cases.extend(parse(project, source, &document, &mut problems));
            }
        }
    }
    ended(problems, cases)
}

/// Reads the test cases of one file, whose text is given.
///
/// # Errors
/// All problems of the file.
pub fn parse_tests(project: &Project, source: &Source, path: PathBuf, text: String) -> Result<Vec<TestCase>> {
    let mut problems = Problems::default();
    let cases = parse(project, source, &Document::new(path, text), &mut problems);
    ended(problems, cases)
}

fn ended(problems: Problems, cases: Vec<TestCase>) -> Result<Vec<TestCase>> {
    let diagnostics = problems.into_diagnostics();
    match diagnostics.len() {
        0 => Ok(cases),
        1 => Err(Error::project("the test cases have a problem").diagnostics(diagnostics)),
        n => Err(Error::project(format!("the test cases have {n} problems")).diagnostics(diagnostics)),
    }
}

fn files(tree: &Files, source: &Source, problems: &mut Problems) -> Vec<PathBuf> {
    let Some(folder) = tests_folder(source) else {
        return Vec::new();
    };
    let names = match tree.names(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("the folder can't be read: {}", error.words());
            problems.of_file(&folder, message, "check the path and its permissions");
            return Vec::new();
        }
    };
    yaml_files(&folder, &names, "a file of test cases", problems)
}

/// What the parts of one file need to know.
struct Reader<'a, 'p> {
    ctx: Context<'a>,
    project: &'p Project,
    source: &'p Source,
}

fn parse(project: &Project, source: &Source, document: &Document, problems: &mut Problems) -> Vec<TestCase> {
    let Some(tree) = document.parse(problems) else {
        return Vec::new();
    };
    let ctx = Context {
        document,
        lookup: &|_| None,
        held: &Vec::new,
        problems,
        variables: false,
    };
    let mut reader = Reader { ctx, project, source };
    reader.file(&tree)
}

impl<'p> Reader<'_, 'p> {
    fn file(&mut self, tree: &Node) -> Vec<TestCase> {
        let ctx = &mut self.ctx;
        let Some(options) = Mapping::of_options(ctx, "a file of test cases", Span::START, tree, &FILE) else {
            return Vec::new();
        };
        let Some(entry) = options.required(ctx, "tests", "tests:") else {
            return Vec::new();
        };
        let Some(nodes) = self.list(entry, "one case each") else {
            return Vec::new();
        };
        let starts: Vec<usize> = nodes
            .iter()
            .map(|node| first_line(node).unwrap_or(node.span.line))
            .collect();
        let last = self.ctx.document.text.lines().count() + 1;
        let mut cases = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let end = starts.get(at + 1).copied().unwrap_or(last);
            cases.extend(self.case(node, entry.key.span, end));
        }
        cases
    }

    fn list<'n>(&mut self, entry: &'n Entry, of: &str) -> Option<&'n [Node]> {
        if let Value::List(nodes) = &entry.value.value {
            return Some(nodes);
        }
        let (key, kind) = (&entry.key.text, entry.value.value.kind());
        let hint = format!("write {of}, after `- `");
        self.ctx
            .problem(entry.place(), format!("`{key}` must be a list, not {kind}"), hint);
        None
    }

    fn case(&mut self, node: &Node, list: Span, end: usize) -> Option<TestCase> {
        let at = match &node.value {
            Value::Map(entries) => entries.first().map_or(list, |entry| entry.key.span),
            _ => list,
        };
        let options = Mapping::of_options(&mut self.ctx, "a test case", at, node, &CASE)?;
        let name = options.required(&mut self.ctx, "name", "name: what the case shows");
        let name = name.and_then(|entry| entry_text(&mut self.ctx, entry));
        if let Some(entry) = options.get("description") {
            entry_text(&mut self.ctx, entry);
        }
        let date = options.required(&mut self.ctx, "date", "date: 2023-05-02");
        let date = date.and_then(|entry| self.date(entry));
        let records = options.required(&mut self.ctx, "records", "records: [{...}]")?;
        let texts = self.records(records);
        let rows = options.get("rows").map_or_else(Vec::new, |entry| self.rows(entry));
        let refused = options
            .get("refused")
            .map_or_else(Vec::new, |entry| self.refused(entry));
        let fails = options.get("fails").and_then(|entry| entry_text(&mut self.ctx, entry));
        if let (Some(fails), Some(other)) = (&fails, options.get("rows").or(options.get("refused"))) {
            let message = format!("a batch that fails has no `{}`", other.key.text);
            self.ctx
                .problem(fails.span, message, "take one of the two out".to_owned());
        }
        Some(TestCase {
            name: name?.value,
            source: self.source.name.clone(),
            date: date?,
            records: texts,
            rows,
            refused,
            fails: fails.map(|text| text.value),
            location: self.ctx.location(at),
            place: self.place(&options, at, end),
        })
    }

    /// The records of a case: a list, or a list for each kind that a path of the input tells.
    fn records(&mut self, entry: &Entry) -> Vec<CaseRecords> {
        let Value::Map(_) = entry.value.value else {
            return vec![CaseRecords {
                kind: None,
                records: self.records_of(entry, None),
            }];
        };
        let Some(kinds) = Mapping::of_names(&mut self.ctx, "`records`", entry.key.span, &entry.value) else {
            return Vec::new();
        };
        let mut files = Vec::new();
        for entry in kinds.entries() {
            let name = &entry.key.text;
            let source = self.source;
            let Some(kind) = source.kinds.iter().find(|kind| kind.name == *name) else {
                let known: Vec<&str> = source.kinds.iter().map(|kind| kind.name.as_str()).collect();
                let hint = did_you_mean(name, known.iter().copied())
                    .unwrap_or_else(|| format!("records are a list, or a list for each of {}", all_of(&known)));
                let message = format!("{} has no kind `{name}`", source.name);
                self.ctx.problem(entry.key.span, message, hint);
                continue;
            };
            files.push(CaseRecords {
                kind: Some(name.clone()),
                records: self.records_of(entry, Some(kind)),
            });
        }
        files
    }

    fn records_of(&mut self, entry: &Entry, kind: Option<&Kind>) -> Vec<String> {
        let nodes = self.list(entry, "one record each").unwrap_or_default();
        let texts = nodes
            .iter()
            .filter_map(|node| record(&mut self.ctx, self.source, kind, node, entry.key.span));
        texts.collect()
    }

    fn date(&mut self, entry: &Entry) -> Option<NaiveDate> {
        let text = node_scalar(&mut self.ctx, entry.place(), &entry.value)?;
        let parsed = ["%Y-%m-%d", "%Y%m%d"]
            .iter()
            .find_map(|format| NaiveDate::parse_from_str(&text, format).ok());
        if parsed.is_none() {
            let hint = "a date is written 2023-05-02 or 20230502".to_owned();
            self.ctx.problem(entry.place(), "`date` is no date", hint);
        }
        parsed
    }

    /// Where the case and its expectations stand. `end` is the first line after the case.
    fn place(&self, options: &Mapping<'_>, at: Span, end: usize) -> CasePlace {
        let mut starts: Vec<usize> = options.entries().iter().map(|entry| entry.key.span.line).collect();
        starts.sort_unstable();
        let lines: Vec<&str> = self.ctx.document.text.lines().collect();
        // Comments and empty lines before a key belong to that key.
        let trimmed = |mut end: usize| {
            let idle = |line: usize| lines.get(line - 1).is_none_or(|line| is_idle(line));
            while end > 1 && idle(end - 1) {
                end -= 1;
            }
            end
        };
        let block = |key: &str| {
            let first = options.get(key)?.key.span.line;
            let next = starts.iter().copied().find(|line| *line > first).unwrap_or(end);
            let end = trimmed(next);
            Some(Lines { first, end })
        };
        CasePlace {
            rows: block("rows"),
            refused: block("refused"),
            end: trimmed(end),
            indent: at.column - 1,
        }
    }

    fn rows(&mut self, entry: &Entry) -> Vec<ExpectedRows> {
        let Some(entities) = Mapping::of_names(&mut self.ctx, "`rows`", entry.key.span, &entry.value) else {
            return Vec::new();
        };
        let mut expected = Vec::new();
        for entry in entities.entries() {
            let name = &entry.key.text;
            let Some(entity) = self.entity(name, entry.key.span) else {
                continue;
            };
            let nodes = self.list(entry, "one row each").unwrap_or_default();
            let rows = nodes.iter().filter_map(|node| self.row(node, entity, entry.key.span));
            let rows: Vec<ExpectedRow> = rows.collect();
            expected.push(ExpectedRows {
                entity: name.clone(),
                rows,
                location: self.ctx.location(entry.key.span),
            });
        }
        expected
    }

    fn row(&mut self, node: &Node, entity: &Entity, at: Span) -> Option<ExpectedRow> {
        let at = match &node.value {
            Value::Map(entries) => entries.first().map_or(at, |entry| entry.key.span),
            _ => at,
        };
        let columns = Mapping::of_names(&mut self.ctx, "a row", at, node)?;
        let mut cells: Vec<(String, ExpectedCell)> = Vec::new();
        for entry in columns.entries() {
            let name = &entry.key.text;
            let Some(column) = entity.columns.iter().find(|column| column.name == *name) else {
                let known: Vec<&str> = entity.columns.iter().map(|column| column.name.as_str()).collect();
                let hint =
                    did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("it has {}", all_of(&known)));
                self.ctx
                    .problem(entry.key.span, format!("{} has no column `{name}`", entity.name), hint);
                continue;
            };
            cells.extend(cell(&mut self.ctx, entry, column.pg_type).map(|cell| (name.clone(), cell)));
        }
        Some(ExpectedRow {
            cells,
            location: self.ctx.location(at),
        })
    }

    /// The entity of this name. A problem if the source brings no rows to it.
    fn entity(&mut self, name: &str, span: Span) -> Option<&'p Entity> {
        let project = self.project;
        let served: Vec<&str> = self.source.transforms.iter().map(|one| one.entity.as_str()).collect();
        let found = project
            .entities
            .iter()
            .find(|one| one.name == name && served.contains(&name));
        if found.is_none() {
            let hint =
                did_you_mean(name, served.iter().copied()).unwrap_or_else(|| format!("it serves {}", all_of(&served)));
            let message = format!("{} brings no rows to `{name}`", self.source.name);
            self.ctx.problem(span, message, hint);
        }
        found
    }

    fn refused(&mut self, entry: &Entry) -> Vec<ExpectedRefusal> {
        let nodes = self.list(entry, "one refusal each").unwrap_or_default();
        nodes
            .iter()
            .filter_map(|node| self.refusal(node, entry.key.span))
            .collect()
    }

    fn refusal(&mut self, node: &Node, at: Span) -> Option<ExpectedRefusal> {
        let at = match &node.value {
            Value::Map(entries) => entries.first().map_or(at, |entry| entry.key.span),
            _ => at,
        };
        let options = Mapping::of_options(&mut self.ctx, "a refusal", at, node, &REFUSAL)?;
        let mut text = |key: &str| {
            let entry = options.get(key)?;
            let what = format!("`{key}`");
            node_text(&mut self.ctx, &what, entry.place(), &entry.value).map(|text| text.value)
        };
        let (entity, check, path, reason) = (text("entity"), text("check"), text("path"), text("reason"));
        if let (Some(name), Some(entry)) = (&entity, options.get("entity"))
            && name != "record"
        {
            self.entity(name, entry.place());
        }
        let record = options.get("record").and_then(|entry| {
            let number = node_scalar(&mut self.ctx, entry.place(), &entry.value)?.parse().ok();
            if number.is_none() {
                let hint = "the first record is `record: 1`".to_owned();
                self.ctx.problem(entry.place(), "`record` must be a whole number", hint);
            }
            number
        });
        Some(ExpectedRefusal {
            entity,
            check,
            record,
            path,
            reason,
            location: self.ctx.location(at),
        })
    }
}

fn first_line(node: &Node) -> Option<usize> {
    match &node.value {
        Value::Map(entries) => Some(entries.first()?.key.span.line),
        _ => None,
    }
}

fn is_idle(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}
