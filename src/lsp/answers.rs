//! Answers the requests about a place in a document.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::documents::{Documents, uri_of};
use super::protocol::{self, Position, Range};
use super::sql::{self, Meaning, Sql, Target};
use super::text::Text;
use super::yaml::{self, Declared};
use crate::error::Location;
use crate::model::Project;
use crate::transform::SqlFunction;

/// An open document, and what is needed to answer what is at a position in it.
pub(super) struct OpenDocument<'a> {
    pub documents: &'a Documents,
    pub project: &'a Project,
    pub functions: &'a [SqlFunction],
    pub root: &'a Path,
    /// The document's file, relative to the project.
    pub file: &'a Path,
    pub text: &'a Text,
}

impl OpenDocument<'_> {
    pub(super) fn sql(&self) -> Option<Sql<'_>> {
        let is_sql = self.file.extension().is_some_and(|ending| ending == "sql");
        is_sql.then(|| Sql::read(self.project, self.file, self.text.as_str()))?
    }

    fn is_yaml(&self) -> bool {
        self.file.extension().is_some_and(|ending| ending == "yaml")
    }

    /// `trigger` is the character that made the editor ask, if it was not the user.
    pub fn completions(&self, at: Position, trigger: Option<&str>) -> Value {
        let offset = self.text.offset(at);
        let (items, start, end) = if self.is_yaml() {
            let Some(kind) = yaml::kind_of(self.project, self.file) else {
                return Value::Null;
            };
            let (items, start) = yaml::completions(self.project, self.file, self.text.as_str(), offset, &kind.schema());
            (items, start, offset)
        } else if matches!(trigger, Some(" " | ":")) {
            // In SQL, each space would open a list.
            return Value::Null;
        } else if let Some(sql) = self.sql() {
            let found = sql::completions(&sql, self.text.as_str(), offset, self.functions);
            (found.items, found.replaces.0, found.replaces.1)
        } else {
            return Value::Null;
        };
        let range = self.text.range(start, end);
        let items: Vec<Value> = items.iter().map(|item| item.json(range)).collect();
        json!({"isIncomplete": false, "items": items})
    }

    pub fn hover(&self, at: Position) -> Value {
        if let Some(sql) = self.sql() {
            let found = sql::hover(&sql, self.text.offset(at), self.functions);
            return found.map_or(Value::Null, |(text, start, end)| {
                protocol::hover(&text, self.text.range(start, end))
            });
        }
        let declared = self.declared(at);
        let Some(first) = declared.first() else {
            return Value::Null;
        };
        let texts: Vec<String> = declared
            .iter()
            .map(|one| yaml::described(one, &self.filled(one)))
            .collect();
        protocol::hover(&texts.join("\n\n---\n\n"), self.text.located(first.location()))
    }

    pub fn definitions(&self, at: Position) -> Value {
        let Some(sql) = self.sql() else {
            let mut places: Vec<Value> = Vec::new();
            for place in self.declared(at).iter().flat_map(|declared| self.uses(declared)) {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            return json!(places);
        };
        let targets = sql::definitions(&sql, self.text.offset(at));
        let places = targets.into_iter().filter_map(|target| match target {
            Target::Here(start, end) => self.location(self.file, self.text.range(start, end)),
            Target::Declared(location) => self.declared_place(&location),
        });
        json!(places.collect::<Vec<Value>>())
    }

    /// The changes that fit a range: those of the select lists on whose lines it lies.
    pub fn actions(&self, range: Range) -> Value {
        let Some(sql) = self.sql() else { return json!([]) };
        let Some(document) = self.documents.get(&self.root.join(self.file)) else {
            return json!([]);
        };
        let touches = |(start, end): (usize, usize)| {
            let list = self.text.range(start, end);
            list.start.line <= range.end.line && range.start.line <= list.end.line
        };
        let changes = sql::add_missing_columns(&sql, self.text.as_str()).into_iter();
        let actions = changes.filter(|change| touches(change.list)).map(|change| {
            let edits: Vec<Value> = change
                .texts
                .iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(at, text)| json!({"range": self.text.range(*at, *at), "newText": text}))
                .collect();
            json!({
                "title": change.title,
                "kind": "quickfix",
                "edit": {"changes": {&document.uri: edits}},
            })
        });
        json!(actions.collect::<Vec<Value>>())
    }

    /// The fields or the column declared at a position of a YAML file.
    pub(super) fn declared(&self, at: Position) -> Vec<Declared<'_>> {
        let start = self.text.offset(Position { character: 0, ..at });
        let before = self.text.as_str().get(start..self.text.offset(at));
        let (Ok(number), Some(before)) = (usize::try_from(at.line), before) else {
            return Vec::new();
        };
        yaml::declared_at(self.project, self.file, number + 1, before.chars().count() + 1)
    }

    /// The transforms, as they are in the editor or on the disk.
    pub(super) fn transforms(&self) -> impl Iterator<Item = (PathBuf, Text, Option<Sql<'_>>)> {
        let transforms = self.project.sources.iter().flat_map(|source| &source.transforms);
        transforms
            .filter(|transform| transform.given.is_none())
            .map(|transform| {
                let text = self
                    .text_of(&transform.path)
                    .unwrap_or_else(|| Text::new(transform.sql.clone()));
                let sql = Sql::read(self.project, &transform.path, text.as_str());
                (transform.path.clone(), text, sql)
            })
    }

    /// What fills a column, in words.
    fn filled(&self, declared: &Declared<'_>) -> Vec<String> {
        let Declared::Column { entity, column } = declared else {
            return Vec::new();
        };
        let mut filled = Vec::new();
        for (_, _, sql) in self.transforms() {
            let Some(sql) = sql.filter(|sql| sql.entity.is_some_and(|own| own.name == entity.name)) else {
                continue;
            };
            let source = sql.source.map_or("", |source| &source.name);
            for given in sql.gives(&column.name) {
                filled.push(match given.is {
                    Meaning::Field { path, .. } => format!("{source}: from `{path}`"),
                    _ => format!("{source}: computed"),
                });
            }
        }
        filled
    }

    /// The places that use what YAML declares: where SQL takes a field and which column it fills, or where SQL gives a
    /// column.
    fn uses(&self, declared: &Declared<'_>) -> Vec<Value> {
        let mut places = Vec::new();
        for (path, text, sql) in self.transforms() {
            let Some(sql) = sql else { continue };
            match declared {
                Declared::Field { source, field, .. } if sql.source.is_some_and(|own| own.name == source.name) => {
                    let readings = sql::readings(&sql).into_iter();
                    let readings = readings.filter(|reading| *reading.declared == field.location);
                    places.extend(
                        readings.filter_map(|reading| self.location(&path, text.range(reading.start, reading.end))),
                    );
                    places.extend(
                        sql.fills_from(&field.location)
                            .filter_map(|column| self.declared_place(&column.location)),
                    );
                }
                Declared::Column { entity, column } if sql.entity.is_some_and(|own| own.name == entity.name) => {
                    let written = sql.gives(&column.name).into_iter().filter_map(|given| given.written);
                    places.extend(written.filter_map(|(start, end)| self.location(&path, text.range(start, end))));
                }
                _ => {}
            }
        }
        places
    }

    pub(super) fn text_of(&self, file: &Path) -> Option<Text> {
        self.documents
            .get(&self.root.join(file))
            .map(|document| document.text.clone())
    }

    /// A place that a declaration in a file has, in the protocol's terms.
    pub(super) fn declared_place(&self, location: &Location) -> Option<Value> {
        let text = self.text_of(&location.file).or_else(|| {
            let text = std::fs::read_to_string(self.root.join(&location.file)).ok()?;
            Some(Text::new(text))
        })?;
        self.location(&location.file, text.located(location))
    }

    pub(super) fn location(&self, file: &Path, range: Range) -> Option<Value> {
        let path = self.root.join(file);
        let uri = match self.documents.get(&path) {
            Some(document) => document.uri.clone(),
            None => uri_of(&path)?,
        };
        Some(json!({"uri": uri, "range": range}))
    }
}
