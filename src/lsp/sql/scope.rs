//! Tells what the names in a query mean: which declared field of a source, or which column of an entity.

use super::lexer::{Kind, Token};
use super::query::{Cte, Query, Select, Span, Table};
use crate::error::Location;
use crate::model::{Column, Entity, Field, FieldType};

/// What a column or a part of one is.
#[derive(Debug, Clone)]
pub(in crate::lsp) enum Is<'a> {
    /// A declared field of the records, or part of one, with its path: `visits[].date`.
    Field {
        field: &'a Field,
        path: String,
    },
    /// What `with_ordinality` makes of this list, and each element of it.
    Numbered {
        list: &'a Field,
        path: String,
    },
    Column {
        entity: &'a Entity,
        column: &'a Column,
    },
    /// Something computed, or not understood.
    Other,
}

impl<'a> Is<'a> {
    /// What can be taken of it by name: the fields of a struct, or of each struct in a list.
    pub fn parts(&self) -> Vec<(String, Is<'a>)> {
        match self {
            Self::Field { field, path } => match &field.field_type {
                FieldType::Struct(children) => children
                    .iter()
                    .map(|child| (child.name.clone(), under(path, child)))
                    .collect(),
                FieldType::List(item) => Self::Field {
                    field: item,
                    path: format!("{path}[]"),
                }
                .parts(),
                FieldType::Partial(_) => ["value", "precision"].map(|name| (name.to_owned(), Is::Other)).into(),
                _ => Vec::new(),
            },
            Self::Numbered { .. } => vec![
                ("item".to_owned(), self.element()),
                ("ordinality".to_owned(), Is::Other),
            ],
            Self::Column { .. } | Self::Other => Vec::new(),
        }
    }

    pub fn part(&self, name: &str) -> Option<Is<'a>> {
        self.parts()
            .into_iter()
            .find(|(part, _)| part == name)
            .map(|(_, is)| is)
    }

    /// One element of a list.
    pub fn element(&self) -> Is<'a> {
        match self {
            Self::Field { field, path } | Self::Numbered { list: field, path } => match &field.field_type {
                FieldType::List(item) => Is::Field {
                    field: item,
                    path: format!("{path}[]"),
                },
                _ => Is::Other,
            },
            Self::Column { .. } | Self::Other => Is::Other,
        }
    }
}

fn under<'a>(path: &str, field: &'a Field) -> Is<'a> {
    let path = if path.is_empty() {
        field.name.clone()
    } else {
        format!("{path}.{}", field.name)
    };
    Is::Field { field, path }
}

/// The columns that a source's records give to SQL.
pub(in crate::lsp) fn columns_of_fields(fields: &[Field]) -> Vec<Named<'_>> {
    let named = |field| Named {
        is: under("", field),
        name: field.name.clone(),
        written: None,
    };
    fields.iter().map(named).collect()
}

/// A column of a table.
#[derive(Debug, Clone)]
pub(in crate::lsp) struct Named<'a> {
    pub name: String,
    pub is: Is<'a>,
    /// The bytes in this text where a WITH part or a select list gives it its name.
    pub written: Option<(usize, usize)>,
}

/// A table that is not made by the query itself.
#[derive(Debug, Clone)]
pub(in crate::lsp) struct Base<'a> {
    pub name: String,
    pub columns: Vec<Named<'a>>,
    pub declared: Option<&'a Location>,
    pub about: String,
}

/// A table of a FROM: the name by which it is called, and its columns.
#[derive(Debug, Clone)]
pub(in crate::lsp) struct Called<'a> {
    pub name: String,
    pub columns: Vec<Named<'a>>,
}

/// A step from a column into its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lsp) enum Step {
    /// A name, by its token.
    Name(usize),
    /// An element, by a number in brackets.
    Element,
}

/// WITH parts that can be named at a place. Each sees those before it.
pub(in crate::lsp) type Parts<'q> = Vec<&'q Cte>;

/// WITH parts that name one another in a circle are followed so far.
const DEEPEST: usize = 40;

pub(in crate::lsp) struct Scope<'a, 't> {
    pub tokens: &'t [Token],
    pub base: &'t [Base<'a>],
}

impl<'a> Scope<'a, '_> {
    fn name(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.value)
    }

    /// The columns of a table that is named at a place. `None`: there is none of that name.
    pub fn table(&self, name: &str, parts: &[&Cte], depth: usize) -> Option<Vec<Named<'a>>> {
        if depth > DEEPEST {
            return None;
        }
        let Some(at) = parts.iter().rposition(|part| self.name(part.name) == name) else {
            return self
                .base
                .iter()
                .find(|base| base.name == name)
                .map(|base| base.columns.clone());
        };
        let mut columns = self.columns_of(&parts[at].body, &parts[..at], depth + 1);
        for (column, name) in columns.iter_mut().zip(&parts[at].columns) {
            self.name(*name).clone_into(&mut column.name);
            column.written = self.tokens.get(*name).map(|token| (token.start, token.end));
        }
        columns.retain(|column| !column.name.is_empty());
        Some(columns)
    }

    /// The columns that a query gives. One that has no name has an empty one.
    pub fn columns_of(&self, query: &Query, parts: &[&Cte], depth: usize) -> Vec<Named<'a>> {
        let mut visible = parts.to_vec();
        visible.extend(&query.with);
        query
            .selects
            .first()
            .map_or_else(Vec::new, |select| self.given(select, &visible, depth))
    }

    /// The columns of a select list.
    pub fn given(&self, select: &Select, parts: &[&Cte], depth: usize) -> Vec<Named<'a>> {
        let tables = self.tables(select, parts, depth);
        let mut columns = Vec::new();
        for item in &select.items {
            let span = item.expression.clone();
            if self.tokens[span.clone()].last().and_then(Token::sign) == Some('*') && span.len() != 2 {
                let of = (span.len() == 3).then(|| self.name(span.start));
                let starred = tables.iter().filter(|table| of.is_none_or(|of| of == table.name));
                columns.extend(starred.flat_map(|table| table.columns.clone()));
                continue;
            }
            let own = span.end.checked_sub(1).filter(|_| self.is_dotted(&span));
            let name = item.alias.or(own);
            // A column without a name can still get one from `WITH part(names)`.
            columns.push(Named {
                name: name.map_or_else(String::new, |name| self.name(name).to_owned()),
                is: self.value(span, &tables),
                written: name
                    .and_then(|name| self.tokens.get(name))
                    .map(|token| (token.start, token.end)),
            });
        }
        columns
    }

    /// Whether an expression is a name or a name behind a table: then its last word is the column's name.
    fn is_dotted(&self, span: &Span) -> bool {
        let names = self.tokens[span.clone()].iter().step_by(2).all(Token::is_name);
        let dots = self.tokens[span.clone()]
            .iter()
            .skip(1)
            .step_by(2)
            .all(|token| token.sign() == Some('.'));
        span.len() % 2 == 1 && names && dots
    }

    /// The tables of a FROM. Without a FROM, those that there would be if it were written: the records.
    pub fn tables(&self, select: &Select, parts: &[&Cte], depth: usize) -> Vec<Called<'a>> {
        let mut called = Vec::new();
        for Table { name, alias, query } in &select.tables {
            let columns = match (name, query) {
                (Some(name), _) => self.table(self.name(*name), parts, depth),
                (None, Some(query)) if depth < DEEPEST => select
                    .inner
                    .get(*query)
                    .map(|query| self.columns_of(query, parts, depth + 1)),
                _ => None,
            };
            let mut columns = columns.unwrap_or_default();
            columns.retain(|column| !column.name.is_empty());
            called.push(Called {
                name: alias.or(*name).map_or_else(String::new, |at| self.name(at).to_owned()),
                columns,
            });
        }
        called
    }

    /// What an expression is, if it is a column, a part of one, or the elements of such.
    pub fn value(&self, span: Span, tables: &[Called<'a>]) -> Is<'a> {
        let last = span.end.saturating_sub(1);
        let called = |word: &str| {
            let opens = self.tokens.get(span.start + 1).and_then(Token::sign) == Some('(');
            let closes = self.tokens.get(last).and_then(Token::sign) == Some(')');
            span.len() > 3 && self.tokens[span.start].is(word) && opens && closes
        };
        if called("unnest") {
            return match self.value(span.start + 2..last, tables) {
                numbered @ Is::Numbered { .. } => numbered,
                other => other.element(),
            };
        }
        if called("with_ordinality") {
            return match self.value(span.start + 2..last, tables) {
                Is::Field { field, path } => Is::Numbered { list: field, path },
                _ => Is::Other,
            };
        }
        if span.is_empty() {
            return Is::Other;
        }
        if let Some(list) = self.kept(&span) {
            return self.value(list, tables);
        }
        match self.steps_to(last) {
            Some((start, steps)) if start == span.start => {
                self.walk(&steps, tables).map_or(Is::Other, |column| column.is)
            }
            _ => Is::Other,
        }
    }

    /// The steps of `a.b['c'][1]` that end at a token, and where they begin. `None`: they do not begin with a name.
    pub fn steps_to(&self, last: usize) -> Option<(usize, Vec<Step>)> {
        let mut steps = Vec::new();
        let mut at = last;
        let sign = |at: usize| self.tokens.get(at).and_then(Token::sign);
        loop {
            let token = self.tokens.get(at)?;
            if token.sign() == Some(']') && at >= 3 && sign(at - 2) == Some('[') {
                match self.tokens[at - 1].kind {
                    Kind::Text => steps.push(Step::Name(at - 1)),
                    Kind::Number => steps.push(Step::Element),
                    _ => return None,
                }
                at -= 3;
            } else if token.kind == Kind::Text && at >= 2 && sign(at - 1) == Some('[') {
                steps.push(Step::Name(at));
                at -= 2;
            } else if token.is_name() {
                steps.push(Step::Name(at));
                if at < 2 || sign(at - 1) != Some('.') {
                    break;
                }
                at -= 2;
            } else {
                return None;
            }
        }
        steps.reverse();
        Some((at, steps))
    }

    /// Goes from a column, with or without its table, into its value.
    pub fn walk(&self, steps: &[Step], tables: &[Called<'a>]) -> Option<Named<'a>> {
        let (Step::Name(first), mut rest) = (*steps.first()?, &steps[1..]) else {
            return None;
        };
        let column = |tables: &[Called<'a>], name: &str| {
            let mut columns = tables.iter().flat_map(|table| &table.columns);
            columns.find(|column| column.name == name).cloned()
        };
        // A lambda's parameter hides a column of its name.
        let parameter = self.parameter(first, tables);
        let mut found = parameter.or_else(|| column(tables, self.name(first)));
        if found.is_none()
            && let Some(Step::Name(second)) = rest.first()
        {
            let named = tables.iter().position(|table| table.name == self.name(first))?;
            found = column(&tables[named..=named], self.name(*second));
            rest = &rest[1..];
        }
        let mut found = found?;
        for step in rest {
            found.is = match step {
                Step::Name(at) => found.is.part(self.name(*at))?,
                Step::Element => found.is.element(),
            };
            found.written = None;
        }
        Some(found)
    }
}
