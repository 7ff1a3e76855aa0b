//! What the server knows of a SQL file: its names, from its tokens and the project. It plans nothing.

mod actions;
mod complete;
mod lambda;
mod mentions;
mod names;
mod query;
mod scope;

use std::path::Path;

use crate::error::Location;
use crate::model::sql_tokens as lexer;
use crate::model::{Column, Entity, Project, Source, ViewKind};

use lexer::{Kind, Token};
use query::{Query, Select};
use scope::{Base, Is, Named, Scope, columns_of_fields};

pub(super) use actions::add_missing_columns;
pub(super) use complete::completions;
pub(super) use mentions::{Symbol, mentions, mentions_in_statements, symbols};
pub(super) use names::{Target, definitions, hover, readings};
pub(super) use scope::Is as Meaning;

/// A SQL file of the project.
pub(super) struct Sql<'a> {
    pub project: &'a Project,
    /// Without comments.
    tokens: Vec<Token>,
    comments: Vec<Token>,
    query: Query,
    base: Vec<Base<'a>>,
    /// The source whose records it reads, for a transform.
    pub source: Option<&'a Source>,
    /// The entity whose rows it gives, for a transform.
    pub entity: Option<&'a Entity>,
}

/// A select list, and the parts of WITH that it may name.
struct Enclosing<'q> {
    select: Option<&'q Select>,
    parts: scope::Parts<'q>,
}

impl<'a> Sql<'a> {
    /// Reads a text as the file at a path, which is relative to the project. `None` where the project runs no such file.
    pub fn read(project: &'a Project, path: &Path, text: &str) -> Option<Self> {
        let source = source_of(project, path);
        let base = match source {
            Some(source) => records(source),
            None if is_for_postgres(path) => tables(project),
            None => return None,
        };
        let stem = path.file_stem()?.to_string_lossy();
        let entity = source.and_then(|_| project.entities.iter().find(|entity| entity.name == *stem));
        let (comments, tokens) = lexer::tokens(text)
            .into_iter()
            .partition(|token| token.kind == Kind::Comment);
        Some(Self::of(project, tokens, comments, text.len(), base, source, entity))
    }

    fn of(
        project: &'a Project,
        tokens: Vec<Token>,
        comments: Vec<Token>,
        length: usize,
        base: Vec<Base<'a>>,
        source: Option<&'a Source>,
        entity: Option<&'a Entity>,
    ) -> Self {
        let query = query::read(&tokens, length);
        Self {
            project,
            tokens,
            comments,
            query,
            base,
            source,
            entity,
        }
    }

    fn scope(&self) -> Scope<'a, '_> {
        Scope {
            tokens: &self.tokens,
            base: &self.base,
        }
    }

    /// The innermost select list around a byte.
    fn enclosing(&self, offset: usize) -> Enclosing<'_> {
        let mut parts = Vec::new();
        let select = look(&self.query, offset, &mut parts);
        Enclosing { select, parts }
    }

    /// Whether a select list gives the rows of the file.
    fn is_outer(&self, select: &Select) -> bool {
        self.query.selects.iter().any(|own| std::ptr::eq(own, select))
    }

    /// The columns that the file gives.
    fn output(&self) -> Vec<Named<'a>> {
        self.scope().columns_of(&self.query, &[], 0)
    }

    /// The columns of this name that the file gives.
    pub fn gives(&self, name: &str) -> Vec<Named<'a>> {
        self.output().into_iter().filter(|column| column.name == name).collect()
    }

    /// The columns of the contract that take their value from the field that is declared at a place.
    pub fn fills_from(&self, declared: &Location) -> impl Iterator<Item = &'a Column> {
        let is_it = |is: &Is<'_>| matches!(is, Is::Field { field, .. } if field.location == *declared);
        let output = self.output();
        let columns = self.entity.map_or(&[][..], |entity| &entity.columns);
        let filled = columns
            .iter()
            .filter(move |column| output.iter().any(|given| given.name == column.name && is_it(&given.is)));
        filled.collect::<Vec<_>>().into_iter()
    }
}

fn look<'q>(query: &'q Query, offset: usize, parts: &mut scope::Parts<'q>) -> Option<&'q Select> {
    let holds = |query: &Query| query.start <= offset && offset <= query.end;
    for (number, part) in query.with.iter().enumerate() {
        if holds(&part.body) {
            parts.extend(&query.with[..number]);
            return look(&part.body, offset, parts);
        }
    }
    parts.extend(&query.with);
    let last = query.selects.len().saturating_sub(1);
    let (_, select) = query.selects.iter().enumerate().rfind(|(number, select)| {
        let end = if *number == last {
            query.end.max(select.end)
        } else {
            select.end
        };
        select.start <= offset && offset <= end
    })?;
    match select.inner.iter().find(|inner| holds(inner)) {
        Some(inner) => look(inner, offset, parts),
        None => Some(select),
    }
}

/// The source that a file belongs to, by its folder.
fn source_of<'a>(project: &'a Project, path: &Path) -> Option<&'a Source> {
    let folder = path.parent()?;
    project.sources.iter().find(|source| {
        let known = source
            .transforms
            .iter()
            .any(|transform| transform.given.is_none() && transform.path.parent() == Some(folder));
        known || (source.transforms.is_empty() && folder == Path::new("sql").join(&source.name))
    })
}

fn is_for_postgres(path: &Path) -> bool {
    let folders = [
        "sql/views",
        "sql/materialized",
        "sql/functions",
        "sql/checks",
        "migrations",
    ];
    folders.iter().any(|folder| path.parent() == Some(Path::new(folder)))
}

/// What a transform of a source reads: a table for each kind of its records.
fn records(source: &Source) -> Vec<Base<'_>> {
    let about = source.description.clone().unwrap_or_default();
    let tables = source.kinds.iter().map(|kind| Base {
        name: kind.name.clone(),
        columns: columns_of_fields(&kind.schema),
        declared: Some(&kind.location),
        about: format!("the records of {}. {about}", kind.label),
    });
    tables.collect()
}

/// What a view reads: the entities' tables and other views.
fn tables<'a>(project: &'a Project) -> Vec<Base<'a>> {
    let entity = |entity: &'a Entity| Base {
        name: entity.name.clone(),
        columns: columns_of_entity(entity),
        declared: Some(&entity.location),
        about: entity.description.clone().unwrap_or_default(),
    };
    let mut tables: Vec<Base<'_>> = project.entities.iter().map(entity).collect();
    // A view may read one that comes later, so that its columns are known in the second round.
    for _ in 0..2 {
        for view in project.views.iter().filter(|view| view.kind != ViewKind::Function) {
            let (_, tokens) = lexer::tokens(&view.sql)
                .into_iter()
                .partition::<Vec<_>, _>(|token| token.kind == Kind::Comment);
            let sql = Sql::of(project, tokens, Vec::new(), view.sql.len(), tables.clone(), None, None);
            let mut columns = sql.output();
            for column in &mut columns {
                column.written = None;
            }
            tables.retain(|table| table.name != view.name);
            tables.push(Base {
                name: view.name.clone(),
                columns,
                declared: None,
                about: format!("the view of {}", view.path.display()),
            });
        }
    }
    tables
}

fn columns_of_entity(entity: &Entity) -> Vec<Named<'_>> {
    let declared = entity.columns.iter().map(|column| Named {
        name: column.name.clone(),
        is: Is::Column { entity, column },
        written: None,
    });
    let added = ["source", "batch_date"].map(|name| Named {
        name: name.to_owned(),
        is: Is::Other,
        written: None,
    });
    declared.chain(added).collect()
}
