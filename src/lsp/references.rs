//! Finds all places of a project that speak of a field or of a column.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::answers::OpenDocument;
use super::protocol::Position;
use super::sql::{self, Sql, Symbol};
use super::text::Text;
use super::yaml::{self, Declared, Wanted};
use crate::model::ViewKind;
use crate::project::{YamlKind, tests_folder};

impl OpenDocument<'_> {
    /// The places in SQL and YAML that speak of what the name at a position stands for, with its declaration or without.
    pub fn references(&self, at: Position, declaration: bool) -> Value {
        let mut places = Vec::new();
        for symbol in &self.symbols(at) {
            if declaration {
                places.extend(self.declared_place(symbol.location()));
            }
            self.in_sql(symbol, &mut places);
            self.in_yaml(symbol, &mut places);
        }
        let mut once: Vec<Value> = Vec::new();
        for place in places {
            if !once.contains(&place) {
                once.push(place);
            }
        }
        json!(once)
    }

    fn symbols(&self, at: Position) -> Vec<Symbol<'_>> {
        if self.file.extension().is_some_and(|ending| ending == "sql") {
            let sql = Sql::read(self.project, self.file, self.text.as_str());
            return sql.map_or_else(Vec::new, |sql| sql::symbols(&sql, self.text.offset(at)));
        }
        let declared = self.declared(at).into_iter().take(1);
        let symbols = declared.map(|declared| match declared {
            Declared::Field { field, .. } => Symbol::Field(&field.location),
            Declared::Column { entity, column } => Symbol::Column { entity, column },
        });
        symbols.collect()
    }

    fn in_sql(&self, symbol: &Symbol<'_>, places: &mut Vec<Value>) {
        for (path, text, sql) in self.transforms() {
            let found = sql.map_or_else(Vec::new, |sql| sql::mentions(&sql, symbol));
            self.add(&path, &text, found, places);
        }
        let Symbol::Column { entity, column } = symbol else {
            return;
        };
        let views = self
            .project
            .views
            .iter()
            .map(|view| (&view.path, &view.sql, view.kind == ViewKind::Function));
        let checks = self.project.checks.iter().map(|check| (&check.path, &check.sql, false));
        for (path, saved, is_function) in views.chain(checks) {
            let text = self.text_of(path).unwrap_or_else(|| Text::new(saved.clone()));
            let found = if is_function {
                sql::mentions_in_statements(text.as_str(), &entity.name, &column.name)
            } else {
                let sql = Sql::read(self.project, path, text.as_str());
                sql.map_or_else(Vec::new, |sql| sql::mentions(&sql, symbol))
            };
            self.add(path, &text, found, places);
        }
        for path in self.files("migrations", "sql") {
            if let Some(text) = self.read(&path) {
                let found = sql::mentions_in_statements(text.as_str(), &entity.name, &column.name);
                self.add(&path, &text, found, places);
            }
        }
    }

    fn in_yaml(&self, symbol: &Symbol<'_>, places: &mut Vec<Value>) {
        match symbol {
            Symbol::Field(location) => {
                for (source, kind, path) in yaml::fields_at(self.project, location) {
                    let wanted = Wanted::Field {
                        path: &path,
                        kind: Some(kind.prefix()).filter(|prefix| !prefix.is_empty()),
                    };
                    self.in_file(&source.location.file, YamlKind::Source, wanted, places);
                    for file in self.cases(tests_folder(source)) {
                        self.in_file(&file, YamlKind::Tests, wanted, places);
                    }
                }
            }
            Symbol::Column { entity, column } => {
                let wanted = Wanted::Column {
                    entity: &entity.name,
                    column: &column.name,
                };
                self.in_file(&entity.location.file, YamlKind::Project, wanted, places);
                for source in &self.project.sources {
                    self.in_file(&source.location.file, YamlKind::Source, wanted, places);
                    for file in self.cases(tests_folder(source)) {
                        self.in_file(&file, YamlKind::Tests, wanted, places);
                    }
                }
            }
        }
    }

    fn in_file(&self, path: &Path, kind: YamlKind, wanted: Wanted<'_>, places: &mut Vec<Value>) {
        if let Some(text) = self.read(path) {
            let found = yaml::mentions(self.project, kind, text.as_str(), wanted);
            self.add(path, &text, found, places);
        }
    }

    fn add(&self, path: &Path, text: &Text, found: Vec<(usize, usize)>, places: &mut Vec<Value>) {
        let found = found.into_iter();
        places.extend(found.filter_map(|(start, end)| self.location(path, text.range(start, end))));
    }

    fn cases(&self, folder: Option<PathBuf>) -> Vec<PathBuf> {
        folder.map_or_else(Vec::new, |folder| self.files(folder, "yaml"))
    }

    /// The files of a folder with this ending, in the order of their names; open ones that are not saved yet, too.
    fn files(&self, folder: impl AsRef<Path>, ending: &str) -> Vec<PathBuf> {
        let folder = folder.as_ref();
        let saved = std::fs::read_dir(self.root.join(folder))
            .into_iter()
            .flatten()
            .flatten();
        let saved = saved.map(|entry| folder.join(entry.file_name()));
        let open = self.documents.below(self.root).into_keys();
        let open = open.filter(|path| path.parent() == Some(folder));
        let all: BTreeSet<PathBuf> = saved
            .chain(open)
            .filter(|path| path.extension().is_some_and(|own| own == ending))
            .collect();
        all.into_iter().collect()
    }

    fn read(&self, path: &Path) -> Option<Text> {
        let saved = || Some(Text::new(std::fs::read_to_string(self.root.join(path)).ok()?));
        self.text_of(path).or_else(saved)
    }
}
