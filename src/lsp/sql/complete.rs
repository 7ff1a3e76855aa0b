//! Completions in SQL: tables, columns, nested fields, functions, and the columns that a transform lacks.

use super::lexer::{Kind, Token, is_in_word};
use super::scope::{Called, Is, Named};
use super::{Enclosing, Sql};
use crate::lsp::protocol::{Item, ItemKind};
use crate::lsp::words;
use crate::transform::SqlFunction;

/// Completions, and the bytes that one of them takes the place of.
pub(in crate::lsp) struct Completions {
    pub items: Vec<Item>,
    pub replaces: (usize, usize),
}

/// What could stand at a byte of a SQL file.
pub(in crate::lsp) fn completions(sql: &Sql<'_>, text: &str, offset: usize, functions: &[SqlFunction]) -> Completions {
    let typed = text[..offset].chars().rev().take_while(|c| is_in_word(*c));
    let start = offset - typed.map(char::len_utf8).sum::<usize>();
    let mut found = Completions {
        items: Vec::new(),
        replaces: (start, offset),
    };
    if sql
        .comments
        .iter()
        .any(|comment| comment.start < offset && offset <= comment.end)
    {
        return found;
    }
    // An open text goes on at its end.
    let is_over = |token: &&Token| token.end < start || (token.end == start && !token.open);
    let before = sql.tokens.iter().take_while(is_over).count();
    let inside = sql
        .tokens
        .get(before)
        .filter(|token| token.start < offset && token.kind == Kind::Text);
    let previous = before.checked_sub(1).map(|at| &sql.tokens[at]);
    let enclosing = sql.enclosing(offset);
    if let Some(token) = inside {
        if previous.and_then(Token::sign) == Some('[') && before >= 2 {
            found.replaces.0 = token.start + 1;
            let closing = if token.open { "']" } else { "" };
            found.items = of_field(sql, &enclosing, before - 2, |name| format!("{name}{closing}"));
        }
        return found;
    }
    found.items = match previous.and_then(Token::sign) {
        Some('.') if before >= 2 => of_field(sql, &enclosing, before - 2, quoted),
        Some('[') if before >= 2 => {
            let closing = if text[offset..].starts_with(']') { "'" } else { "']" };
            of_field(sql, &enclosing, before - 2, |name| format!("'{name}{closing}"))
        }
        _ if text[start..].starts_with('$') => parameters(sql),
        _ if is_table(sql, &enclosing, before) => tables(sql, &enclosing),
        // A type comes behind the AS of a cast.
        _ if previous.is_some_and(|token| token.is("as")) && is_nested(sql, &enclosing, before) => Vec::new(),
        _ if previous.is_some_and(|token| token.is("as")) => lacking(sql, &enclosing),
        _ => expression(sql, &enclosing, functions, before),
    };
    found
}

/// A name as SQL takes it: in quotes, unless it is in lower case and plain.
fn quoted(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn parameters(sql: &Sql<'_>) -> Vec<Item> {
    if sql.source.is_none() {
        return Vec::new();
    }
    let parameter = |(name, about): (&str, &str)| Item {
        detail: about.to_owned(),
        ..Item::new(name, ItemKind::Variable)
    };
    [("$date", "the batch's date"), ("$source", "the source's name")]
        .map(parameter)
        .into()
}

/// Whether a table is to be named: behind FROM, JOIN, or a comma of a FROM.
fn is_table(sql: &Sql<'_>, enclosing: &Enclosing<'_>, before: usize) -> bool {
    let Some(previous) = before.checked_sub(1).map(|at| &sql.tokens[at]) else {
        return false;
    };
    let in_from = enclosing
        .select
        .and_then(|select| select.from.as_ref())
        .is_some_and(|from| from.start < before && before <= from.end);
    previous.is("from") || previous.is("join") || (in_from && previous.sign() == Some(','))
}

/// Whether parentheses are open within the select list, as in `cast(x as`.
fn is_nested(sql: &Sql<'_>, enclosing: &Enclosing<'_>, before: usize) -> bool {
    let start = enclosing.select.map_or(before, |select| select.list.start.min(before));
    let signs = sql.tokens[start..before].iter().filter_map(Token::sign);
    let depth = signs.fold(0_i32, |depth, sign| {
        depth + i32::from(sign == '(') - i32::from(sign == ')')
    });
    depth > 0
}

fn tables(sql: &Sql<'_>, enclosing: &Enclosing<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for part in &enclosing.parts {
        let name = &sql.tokens[part.name].value;
        items.push(Item {
            detail: "named by this query".to_owned(),
            insert: quoted(name),
            rank: 1,
            ..Item::new(name, ItemKind::Class)
        });
    }
    for base in &sql.base {
        items.push(Item {
            detail: base.about.clone(),
            insert: quoted(&base.name),
            rank: 2,
            ..Item::new(&base.name, ItemKind::Class)
        });
    }
    items
}

/// The parts of what ends at a token: fields of a struct, or columns of a table.
fn of_field(sql: &Sql<'_>, enclosing: &Enclosing<'_>, last: usize, insert: impl Fn(&str) -> String) -> Vec<Item> {
    let scope = sql.scope();
    let tables = called(sql, enclosing);
    let Some((_, steps)) = scope.steps_to(last) else {
        return Vec::new();
    };
    let table = tables.iter().find(|table| table.name == sql.tokens[last].value);
    let columns = match (&steps[..], table) {
        // A table's name comes before a column's of the same name.
        ([_], Some(table)) => table
            .columns
            .iter()
            .map(|column| (column.name.clone(), column.is.clone()))
            .collect(),
        _ => scope
            .walk(&steps, &tables)
            .map_or_else(Vec::new, |column| column.is.parts()),
    };
    columns
        .into_iter()
        .map(|(name, is)| part(sql, &name, &is, insert(&name)))
        .collect()
}

fn part(sql: &Sql<'_>, name: &str, is: &Is<'_>, insert: String) -> Item {
    let (detail, markdown) = match is {
        Is::Field { field, path } => (words::type_of(&field.field_type), words::field(sql.source, field, path)),
        Is::Column { entity, column } => (column.pg_type.to_string(), words::column(entity, column)),
        Is::Numbered { .. } => ("list of item and ordinality".to_owned(), String::new()),
        Is::Other => Default::default(),
    };
    Item {
        detail,
        markdown,
        insert,
        rank: 3,
        ..Item::new(name, ItemKind::Field)
    }
}

/// The tables around a place. Where no FROM is written yet, a transform can only mean its records.
fn called<'a>(sql: &Sql<'a>, enclosing: &Enclosing<'_>) -> Vec<Called<'a>> {
    let Some(select) = enclosing.select else {
        return Vec::new();
    };
    let tables = sql.scope().tables(select, &enclosing.parts, 0);
    if select.from.is_some() || sql.source.is_none() {
        return tables;
    }
    let whole = sql.base.iter().map(|base| Called {
        name: base.name.clone(),
        columns: base.columns.clone(),
    });
    whole.collect()
}

/// The columns of the contract that the transform does not give yet, where its own select list is being written.
fn lacking(sql: &Sql<'_>, enclosing: &Enclosing<'_>) -> Vec<Item> {
    let is_outer = enclosing.select.is_some_and(|select| sql.is_outer(select));
    let (Some(entity), true) = (sql.entity, is_outer) else {
        return Vec::new();
    };
    let given = sql.output();
    let lacking = entity.columns.iter().filter(|column| !is_given(&given, &column.name));
    let item = |column: &crate::model::Column| Item {
        detail: format!("{} of {}, not given yet", column.pg_type, entity.name),
        markdown: words::column(entity, column),
        insert: quoted(&column.name),
        rank: 1,
        ..Item::new(&column.name, ItemKind::Property)
    };
    lacking.map(item).collect()
}

pub(super) fn is_given(given: &[Named<'_>], name: &str) -> bool {
    given.iter().any(|column| column.name == name)
}

fn expression(sql: &Sql<'_>, enclosing: &Enclosing<'_>, functions: &[SqlFunction], before: usize) -> Vec<Item> {
    if enclosing.select.is_none() {
        return Vec::new();
    }
    let mut items = Vec::new();
    let scope = sql.scope();
    for at in before
        .checked_sub(1)
        .map_or_else(Vec::new, |last| scope.parameters(last))
    {
        let name = &sql.tokens[at].value;
        items.push(Item {
            detail: "the lambda's parameter".to_owned(),
            insert: quoted(name),
            rank: 1,
            ..Item::new(name, ItemKind::Variable)
        });
    }
    for table in called(sql, enclosing) {
        for Named { name, is, .. } in &table.columns {
            items.push(part(sql, name, is, quoted(name)));
        }
        items.push(Item {
            detail: "a table of this query".to_owned(),
            insert: quoted(&table.name),
            rank: 6,
            ..Item::new(table.name, ItemKind::Class)
        });
    }
    for mut item in lacking(sql, enclosing) {
        let name = item.insert;
        item.insert = format!("null as {name}");
        item.label = format!("null as {name}");
        item.filter = Some(name);
        item.kind = ItemKind::Snippet;
        item.rank = 4;
        items.push(item);
    }
    // Views run in PostgreSQL, which has functions of its own.
    for function in functions.iter().filter(|_| sql.source.is_some()) {
        items.push(Item {
            detail: function.call.clone(),
            markdown: words::function(function),
            rank: 7,
            ..Item::new(&function.name, ItemKind::Function)
        });
    }
    items
}
