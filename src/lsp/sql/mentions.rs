//! Finds all places where SQL speaks of a field or of a column.

use super::Sql;
use super::lexer::{self, Kind, Token};
use super::names::{self, Found};
use super::scope::Is;
use crate::error::Location;
use crate::model::{Column, Entity};

/// What a name stands for, wherever it is written.
#[derive(Debug, Clone)]
pub(in crate::lsp) enum Symbol<'a> {
    /// A field, by the place where it is declared.
    Field(&'a Location),
    Column {
        entity: &'a Entity,
        column: &'a Column,
    },
}

impl<'a> Symbol<'a> {
    pub fn location(&self) -> &'a Location {
        match self {
            Self::Field(location) => location,
            Self::Column { column, .. } => &column.location,
        }
    }

    fn is(&self, is: &Is<'_>) -> bool {
        match (self, is) {
            (Self::Field(own), Is::Field { field, .. } | Is::Numbered { list: field, .. }) => field.location == **own,
            (
                Self::Column { entity, column },
                Is::Column {
                    entity: of,
                    column: other,
                },
            ) => entity.name == of.name && column.name == other.name,
            _ => false,
        }
    }
}

/// What the name at a byte stands for. A column that is given as it is read stands for both.
pub(in crate::lsp) fn symbols<'a>(sql: &Sql<'a>, offset: usize) -> Vec<Symbol<'a>> {
    let Some(at) = sql.token_at(offset) else {
        return Vec::new();
    };
    let Some(Found::Value { is, fills, .. }) = sql.found(at) else {
        return Vec::new();
    };
    let own = match is {
        _ if names::is_alias(sql, at) && fills.is_some() => None,
        Is::Field { field, .. } | Is::Numbered { list: field, .. } => Some(Symbol::Field(&field.location)),
        Is::Column { entity, column } => Some(Symbol::Column { entity, column }),
        Is::Other => None,
    };
    let filled = sql.entity.zip(fills);
    let filled = filled.map(|(entity, column)| Symbol::Column { entity, column });
    own.into_iter().chain(filled).collect()
}

/// The bytes of all names in a query that stand for this. A name that the query itself has given is not among them: it
/// may stay where the field or column is renamed.
pub(in crate::lsp) fn mentions(sql: &Sql<'_>, wanted: &Symbol<'_>) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    if let Symbol::Field(_) = wanted {
        let readings = names::readings(sql).into_iter();
        let readings = readings.filter(|reading| Symbol::Field(reading.declared).is_same(wanted));
        found.extend(readings.map(|reading| (reading.start, reading.end)));
    }
    if let Symbol::Column { entity, column } = wanted {
        let is_named = |token: &Token| token.is_name() && token.value == column.name;
        for (at, token) in sql.tokens.iter().enumerate().filter(|(_, token)| is_named(token)) {
            let stands = |is: &Is<'_>| wanted.is(is) && !names::is_alias(sql, at);
            if matches!(sql.found(at), Some(Found::Value { is, .. }) if stands(&is)) {
                found.push((token.start, token.end));
            }
        }
        if sql.entity.is_some_and(|own| own.name == entity.name) {
            found.extend(sql.gives(&column.name).into_iter().filter_map(|given| given.written));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

impl Symbol<'_> {
    fn is_same(&self, other: &Symbol<'_>) -> bool {
        matches!((self, other), (Self::Field(one), Symbol::Field(two)) if one == two)
    }
}

/// The bytes of a column's name in statements that name its table, too: for migrations and functions, which are no query.
pub(in crate::lsp) fn mentions_in_statements(text: &str, entity: &str, column: &str) -> Vec<(usize, usize)> {
    let mut tokens = lexer::tokens(text);
    tokens.retain(|token| token.kind != Kind::Comment);
    let statements = tokens.split(|token| token.sign() == Some(';'));
    let is = |token: &Token, name: &str| token.is_name() && token.value == name;
    let of_table = statements.filter(|statement| statement.iter().any(|token| is(token, entity)));
    let mentions = of_table.flatten().filter(|token| is(token, column));
    mentions.map(|token| (token.start, token.end)).collect()
}
