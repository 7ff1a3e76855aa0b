//! What a name in SQL means: for hovers, and for going to where it is declared.

use super::lexer::{Kind, Token};
use super::query::Cte;
use super::scope::{Base, Is};
use super::{Enclosing, Sql};
use crate::error::Location;
use crate::lsp::words;
use crate::model::Column;
use crate::transform::SqlFunction;

/// What the name at a place is.
pub(super) enum Found<'a, 's> {
    Value {
        is: Is<'a>,
        /// Where this file gives it its name.
        written: Option<(usize, usize)>,
        /// The column of the contract that it fills.
        fills: Option<&'a Column>,
    },
    Part(&'s Cte),
    Table(&'s Base<'a>),
    Function(String),
}

/// A place to go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lsp) enum Target {
    /// Bytes of the same file.
    Here(usize, usize),
    /// A place in another file of the project.
    Declared(Location),
}

/// A place where SQL takes a field of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lsp) struct Reading<'a> {
    /// The field's path: `visits[].date`.
    pub path: String,
    /// Where the field is declared.
    pub declared: &'a Location,
    pub start: usize,
    pub end: usize,
}

impl<'a> Sql<'a> {
    pub(super) fn token_at(&self, offset: usize) -> Option<usize> {
        let touches = |token: &Token| token.start <= offset && offset <= token.end;
        let is_named = |token: &Token| token.is_name() || token.kind == Kind::Text;
        self.tokens.iter().position(|token| touches(token) && is_named(token))
    }

    pub(super) fn found(&self, at: usize) -> Option<Found<'a, '_>> {
        let token = &self.tokens[at];
        let enclosing = self.enclosing(token.start);
        if let Some(part) = self.named_part(at, &enclosing) {
            return Some(Found::Part(part));
        }
        let scope = self.scope();
        let select = enclosing.select?;
        let fills = |name: &str| {
            let columns = self.entity.filter(|_| self.is_outer(select))?;
            columns.columns.iter().find(|column| column.name == name)
        };
        let tables = scope.tables(select, &enclosing.parts, 0);
        if let Some(item) = select.items.iter().find(|item| item.alias == Some(at)) {
            return Some(Found::Value {
                is: scope.value(item.expression.clone(), &tables),
                written: None,
                fills: fills(&token.value),
            });
        }
        let opens = self.tokens.get(at + 1).and_then(Token::sign) == Some('(');
        if token.kind == Kind::Word && opens {
            return Some(Found::Function(token.value.clone()));
        }
        let (_, steps) = scope.steps_to(at)?;
        if let Some(column) = scope.walk(&steps, &tables) {
            let whole = select
                .items
                .iter()
                .any(|item| item.alias.is_none() && item.expression.end == at + 1);
            return Some(Found::Value {
                is: column.is,
                written: column.written,
                fills: fills(&token.value).filter(|_| whole),
            });
        }
        let base = self.base.iter().find(|base| base.name == token.value)?;
        let is_named = tables.iter().any(|table| table.name == base.name)
            || select.tables.iter().any(|table| table.name == Some(at));
        is_named.then_some(Found::Table(base))
    }

    /// The part of a WITH that this token names.
    fn named_part<'s>(&'s self, at: usize, enclosing: &Enclosing<'s>) -> Option<&'s Cte> {
        let name = &self.tokens[at].value;
        let select = enclosing.select;
        let in_from = select.is_some_and(|select| select.tables.iter().any(|table| table.name == Some(at)));
        let before_dot = self.tokens.get(at + 1).and_then(Token::sign) == Some('.');
        let is_read = select.is_some_and(|select| {
            let mut names = select.tables.iter().filter_map(|table| table.name);
            names.any(|table| self.tokens[table].value == *name)
        });
        let mut parts = enclosing.parts.iter().rev().copied();
        let declared = declared_part(&self.query, at);
        declared.or_else(|| {
            let part = parts.find(|part| self.tokens[part.name].value == *name)?;
            (in_from || (before_dot && is_read)).then_some(part)
        })
    }

    fn field_or_column(&self, is: &Is<'a>) -> Option<(String, &'a Location)> {
        match is {
            Is::Field { field, path } => Some((words::field(self.source, field, path), &field.location)),
            Is::Numbered { list, path } => Some((words::field(self.source, list, path), &list.location)),
            Is::Column { entity, column } => Some((words::column(entity, column), &column.location)),
            Is::Other => None,
        }
    }
}

/// The part of a WITH, however deep, whose name is this token.
fn declared_part(query: &super::query::Query, at: usize) -> Option<&Cte> {
    query.with.iter().find_map(|part| {
        if part.name == at {
            return Some(part);
        }
        declared_part(&part.body, at)
    })
}

/// What is shown of the name at a byte, and its bytes.
pub(in crate::lsp) fn hover(sql: &Sql<'_>, offset: usize, functions: &[SqlFunction]) -> Option<(String, usize, usize)> {
    let at = sql.token_at(offset)?;
    let text = match sql.found(at)? {
        Found::Value { is, fills, .. } => {
            let own = sql.field_or_column(&is).map(|(text, _)| text);
            let entity = sql
                .entity
                .zip(fills)
                .map(|(entity, column)| words::column(entity, column));
            let texts: Vec<String> = entity.into_iter().chain(own).collect();
            (!texts.is_empty()).then(|| texts.join("\n\n---\n\n"))?
        }
        Found::Part(part) => {
            let enclosing = sql.enclosing(part.body.start);
            let columns = sql.scope().columns_of(&part.body, &enclosing.parts, 0);
            let names: Vec<String> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
            format!(
                "`{}`, named by this query\n\ncolumns: {}",
                sql.tokens[part.name].value,
                names.join(", ")
            )
        }
        Found::Table(base) => format!("`{}`: {}", base.name, base.about),
        Found::Function(name) => words::function(functions.iter().find(|function| function.name == name)?),
    };
    let token = &sql.tokens[at];
    Some((text, token.start, token.end))
}

/// Where the name at a byte comes from: the part of the query that makes it, the source's field, the contract's column.
pub(in crate::lsp) fn definitions(sql: &Sql<'_>, offset: usize) -> Vec<Target> {
    let Some(at) = sql.token_at(offset) else {
        return Vec::new();
    };
    let declared = |location: &Location| Target::Declared(location.clone());
    match sql.found(at) {
        Some(Found::Value { is, written, fills }) => {
            let here = written.map(|(start, end)| Target::Here(start, end));
            let own = sql.field_or_column(&is).map(|(_, location)| declared(location));
            let filled = fills.map(|column| declared(&column.location));
            here.into_iter().chain(own).chain(filled).collect()
        }
        Some(Found::Part(part)) => {
            let token = &sql.tokens[part.name];
            vec![Target::Here(token.start, token.end)]
        }
        Some(Found::Table(base)) => base
            .declared
            .map(declared)
            .or_else(|| view(sql, &base.name))
            .into_iter()
            .collect(),
        Some(Found::Function(name)) => view(sql, &name).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The first line of the file that makes a view or a function, for a file that can read it.
fn view(sql: &Sql<'_>, name: &str) -> Option<Target> {
    let mut views = sql.project.views.iter().filter(|_| sql.source.is_none());
    let view = views.find(|view| view.name == name)?;
    Some(Target::Declared(Location {
        file: view.path.clone(),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
    }))
}

/// All places where the file takes a field of the records.
pub(in crate::lsp) fn readings<'a>(sql: &Sql<'a>) -> Vec<Reading<'a>> {
    let of_token = |(at, token): (usize, &Token)| {
        if !token.is_name() && token.kind != Kind::Text {
            return None;
        }
        match sql.found(at)? {
            Found::Value {
                is: Is::Field { field, path } | Is::Numbered { list: field, path },
                written: None,
                ..
            } if !is_alias(sql, at) => Some(Reading {
                path,
                declared: &field.location,
                start: token.start,
                end: token.end,
            }),
            _ => None,
        }
    };
    sql.tokens.iter().enumerate().filter_map(of_token).collect()
}

pub(super) fn is_alias(sql: &Sql<'_>, at: usize) -> bool {
    let enclosing = sql.enclosing(sql.tokens[at].start);
    enclosing
        .select
        .is_some_and(|select| select.items.iter().any(|item| item.alias == Some(at)))
}
