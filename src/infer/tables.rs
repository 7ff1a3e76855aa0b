//! Proposes entities: one for the records, and one for each list of objects in them.

use std::collections::BTreeSet;

use super::declare::{Field, Kind};
use super::scalar::{Part, Scalar};
use super::words::{plural, singular, words};
use crate::model::SYSTEM_COLUMNS;
use crate::model::wording::one_line;

/// A way into lists: from the record to a list, from its elements to the next list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    /// The names from the element, or the record, to the list.
    pub path: Vec<String>,
}

/// Where a column's value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValuePosition {
    /// 0: in the record; 1: in an element of the first level, and so on.
    pub depth: usize,
    /// The names from there. Empty: the element itself.
    pub path: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub name: String,
    pub position: ValuePosition,
    pub pg_type: String,
    pub not_null: bool,
    /// What it rests on, for the comment in the SQL.
    pub note: String,
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The table of records that its SQL reads: that of a kind, or `source`.
    pub of: String,
    pub name: String,
    pub levels: Vec<Level>,
    pub columns: Vec<Column>,
    pub key: Vec<String>,
    /// The entity that its rows belong to.
    pub parent: Option<String>,
}

/// Names that the engine keeps for columns of its own.
const TAKEN: [&str; 2] = ["source", "batch_date"];

/// A name that PostgreSQL takes without quotes, as far as letters go.
pub(super) fn snake(name: &str, most: usize) -> String {
    let mut text = words(name).join("_");
    text.retain(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let text = text.trim_matches('_');
    let text = match text.chars().next() {
        None => "field".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("n{text}"),
        Some(_) => text.to_owned(),
    };
    let text = if TAKEN.contains(&text.as_str()) || SYSTEM_COLUMNS.contains(&text.as_str()) {
        format!("{text}_value")
    } else {
        text
    };
    text.chars().take(most).collect()
}

/// The name in the set, with a number behind it where it is taken.
fn free(name: &str, most: usize, taken: &mut BTreeSet<String>) -> String {
    let mut found = name.to_owned();
    let mut number = 2;
    while !taken.insert(found.clone()) {
        let suffix = format!("_{number}");
        let stem: String = name.chars().take(most - suffix.len()).collect();
        found = format!("{stem}{suffix}");
        number += 1;
    }
    found
}

pub(super) fn pg_type(scalar: &Scalar) -> String {
    match scalar.sql_type() {
        "string" => "text".to_owned(),
        "int" => "int4".to_owned(),
        "bigint" => "int8".to_owned(),
        "double" => "float8".to_owned(),
        "json" => "jsonb".to_owned(),
        decimal if decimal.starts_with("decimal") => decimal.replacen("decimal", "numeric", 1),
        same => same.to_owned(),
    }
}

const MOST_ENTITY: usize = 40;
const MOST_COLUMN: usize = 63;

/// Proposes the entities of the records. The second name of each is the name for one record, such as `patient`; `taken` holds names of
/// entities that exist.
///
/// Each kind of records has an entity of its own: `of` names the table that SQL reads it from.
pub(super) fn propose<'f>(
    source: &str,
    records: impl Iterator<Item = (&'f str, &'f str, &'f [Field])>,
    taken: BTreeSet<String>,
) -> Vec<Table> {
    let mut proposing = Proposing {
        source: source.to_owned(),
        of: String::new(),
        tables: Vec::new(),
        known: taken.clone(),
        taken,
    };
    for (of, root, fields) in records {
        of.clone_into(&mut proposing.of);
        proposing.table(root, "", fields, &[], None);
    }
    proposing.tables
}

struct Proposing {
    source: String,
    of: String,
    tables: Vec<Table>,
    /// Names of entities that the project has already.
    known: BTreeSet<String>,
    taken: BTreeSet<String>,
}

impl Proposing {
    /// A name for a table: its own, or with the source's before it where the project has that entity, or with that of
    /// the rows above where another list is called so; at last with a number.
    fn name(&mut self, own: &str, above: &str) -> String {
        let own = plural(own);
        let mut longer = vec![own.clone(), format!("{above}_{own}"), format!("{}_{own}", self.source)];
        if above.is_empty() || self.known.contains(&own) {
            longer.remove(1);
        }
        let fits = |name: &&String| name.len() <= MOST_ENTITY && !self.taken.contains(*name);
        match longer.iter().find(fits).cloned() {
            Some(name) => {
                self.taken.insert(name.clone());
                name
            }
            None => free(&own, MOST_ENTITY, &mut self.taken),
        }
    }
}

/// The key of an entity, for the rows below it.
#[derive(Clone)]
struct Key {
    entity: String,
    column: String,
    position: ValuePosition,
    pg_type: String,
}

impl Key {
    /// The column by which a row belongs to this entity.
    fn carried(&self) -> Column {
        Column {
            name: self.column.clone(),
            position: self.position.clone(),
            pg_type: self.pg_type.clone(),
            not_null: true,
            note: format!("the key of {}", self.entity),
        }
    }
}

/// A field of an element, through its structs.
struct ScalarField<'a> {
    path: Vec<String>,
    /// A part of the struct that SQL sees of a partial date or a reference.
    part: Option<&'static Part>,
    /// It stood in each element.
    always: bool,
    scalar: &'a Scalar,
    is_list: bool,
}

/// A list in an element, which becomes a table below it.
struct List<'a> {
    path: Vec<String>,
    of: Elements<'a>,
}

enum Elements<'a> {
    Objects(&'a [Field]),
    Scalars(&'a Scalar),
}

/// The columns and the lists of an element, in the order of its fields; those of structs come last.
fn flatten(fields: &[Field]) -> (Vec<ScalarField<'_>>, Vec<List<'_>>) {
    let (mut scalar_fields, mut lists) = (Vec::new(), Vec::new());
    let mut structs = vec![(Vec::<String>::new(), fields, true)];
    while let Some((path, fields, always)) = structs.pop() {
        let mut deeper = Vec::new();
        for field in fields {
            let path: Vec<String> = path.iter().chain([&field.name]).cloned().collect();
            let always = always && field.always;
            match &field.kind {
                Kind::Struct(inner) => deeper.push((path, inner.as_slice(), always)),
                Kind::Objects(inner) => lists.push(List {
                    path,
                    of: Elements::Objects(inner),
                }),
                // Only lists of texts have a type of their own in the database.
                Kind::Scalars(scalar) if scalar.sql_type() != "string" || !scalar.parts().is_empty() => {
                    lists.push(List {
                        path,
                        of: Elements::Scalars(scalar),
                    });
                }
                Kind::Scalar(scalar) if !scalar.parts().is_empty() => {
                    scalar_fields.extend(scalar.parts().iter().map(|part| ScalarField {
                        path: path.clone(),
                        part: Some(part),
                        always,
                        scalar,
                        is_list: false,
                    }));
                }
                Kind::Scalar(scalar) | Kind::Scalars(scalar) => scalar_fields.push(ScalarField {
                    path,
                    part: None,
                    always,
                    scalar,
                    is_list: matches!(field.kind, Kind::Scalars(_)),
                }),
            }
        }
        structs.extend(deeper.into_iter().rev());
    }
    (scalar_fields, lists)
}

impl ScalarField<'_> {
    /// Whether rows could be told apart by it. The lower, the better it fits.
    fn as_key(&self, one: &str) -> Option<(bool, bool, usize)> {
        let [name] = self.path.as_slice() else { return None };
        let fits =
            !self.is_list && self.part.is_none() && self.always && self.scalar.unique && self.scalar.is_identifier();
        let words = words(name);
        fits.then(|| (words != ["id"], !words.iter().any(|word| word == one), words.len()))
    }
}

impl Proposing {
    fn table(&mut self, name: &str, above_name: &str, fields: &[Field], levels: &[Level], parent: Option<&Key>) {
        let depth = levels.len();
        let name = snake(name, MOST_ENTITY);
        let entity = self.name(&name, above_name);
        let one = singular(&name);
        let mut columns: Vec<Column> = parent.map(Key::carried).into_iter().collect();
        let mut used: BTreeSet<String> = columns.iter().map(|column| column.name.clone()).collect();
        let (scalar_fields, lists) = flatten(fields);
        let ranked = scalar_fields
            .iter()
            .enumerate()
            .filter_map(|(index, scalar_field)| Some((scalar_field.as_key(&one)?, index)));
        let key = ranked.min().map(|(_, index)| index);
        let mut own_key = None;
        for (index, scalar_field) in scalar_fields.into_iter().enumerate() {
            let column = column(scalar_field, &one, depth, &mut used, key == Some(index));
            if key == Some(index) {
                own_key = Some(Key {
                    entity: entity.clone(),
                    column: column.name.clone(),
                    position: column.position.clone(),
                    pg_type: column.pg_type.clone(),
                });
            }
            columns.push(column);
        }
        if columns.is_empty() {
            // An object that holds lists only has no row of its own.
            self.taken.remove(&entity);
        } else {
            self.tables.push(Table {
                of: self.of.clone(),
                name: entity,
                levels: levels.to_vec(),
                columns,
                key: own_key.iter().map(|key| key.column.clone()).collect(),
                parent: parent.map(|parent| parent.entity.clone()),
            });
        }
        let above = own_key.as_ref().or(parent);
        for List { path, of } in lists {
            let last = path.last().cloned().unwrap_or_default();
            let below: Vec<Level> = levels.iter().cloned().chain([Level { path }]).collect();
            match of {
                Elements::Objects(fields) => {
                    self.table(&singular(&snake(&last, MOST_ENTITY)), &one, fields, &below, above);
                }
                Elements::Scalars(scalar) => self.values([&last, &one], scalar, below, above),
            }
        }
    }

    /// A table for a list of numbers or times.
    fn values(&mut self, [name, above]: [&str; 2], scalar: &Scalar, levels: Vec<Level>, parent: Option<&Key>) {
        let mut columns: Vec<Column> = parent.map(Key::carried).into_iter().collect();
        columns.push(Column {
            name: "value".to_owned(),
            position: ValuePosition {
                depth: levels.len(),
                path: scalar.parts().iter().take(1).map(|part| part.name.to_owned()).collect(),
            },
            pg_type: pg_type(scalar),
            not_null: false,
            note: "the element".to_owned(),
        });
        let name = self.name(&snake(name, MOST_ENTITY), above);
        self.tables.push(Table {
            of: self.of.clone(),
            name,
            levels,
            columns,
            key: Vec::new(),
            parent: parent.map(|parent| parent.entity.clone()),
        });
    }
}

/// The column of a field. `one` is the entity's name in the singular.
fn column(
    scalar_field: ScalarField<'_>,
    one: &str,
    depth: usize,
    used: &mut BTreeSet<String>,
    not_null: bool,
) -> Column {
    let ScalarField {
        mut path,
        part,
        scalar,
        is_list,
        ..
    } = scalar_field;
    let mut own = match path.as_slice() {
        [only] if words(only) == ["id"] => format!("{one}_id"),
        // The id of `subject.reference` is the subject's.
        [above @ .., last] if scalar.is_reference() && last == "reference" && !above.is_empty() => above.join("_"),
        path => path.join("_"),
    };
    own.push_str(part.map_or("", |part| part.suffix));
    let mut name = snake(&own, MOST_COLUMN);
    if used.contains(&name) {
        name = snake(&format!("{one}_{own}"), MOST_COLUMN);
    }
    let note = shown(&path);
    path.extend(part.map(|part| part.name.to_owned()));
    Column {
        name: free(&name, MOST_COLUMN, used),
        note: match part {
            Some(part) => format!("{note}: {}", part.note),
            None => format!("{note}: {}", scalar.field_type),
        },
        position: ValuePosition { depth, path },
        pg_type: match part {
            Some(part) if part.is_text => "text".to_owned(),
            _ if is_list => "text[]".to_owned(),
            _ => pg_type(scalar),
        },
        not_null,
    }
}

/// A path as comments show it, on one line.
pub(super) fn shown(path: &[String]) -> String {
    one_line(&path.join("."))
}
