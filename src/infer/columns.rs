//! Maps the fields of a sample to the columns of entities that exist, by name, place and type.

use std::collections::BTreeSet;

use super::declare::{Field, Kind};
use super::scalar::Scalar;
use super::tables::{Column, Level, Table, ValuePosition, shown};
use super::words::words;
use crate::model::{Entity, PgType, SOURCE_TABLE};
use crate::warehouse::type_name;

/// A column of which at least this share of the words is found in a field's path is mapped to it.
const ENOUGH: f64 = 0.6;

/// What mapping has found.
pub(super) struct Mapped {
    pub tables: Vec<Table>,
    /// The entities that the source can't fill, and why.
    pub unfilled: Vec<String>,
    /// Fields that no column takes, as paths.
    pub unused: Vec<String>,
    /// How well each of the tables fits.
    pub scores: Vec<f64>,
}

/// A scalar field, and where it stands.
struct ScalarField<'a> {
    /// The lists on the way to it.
    levels: Vec<Level>,
    position: ValuePosition,
    scalar: &'a Scalar,
    /// All names from the record, for messages and for matching.
    path: Vec<String>,
    is_list: bool,
}

pub(super) fn map(entities: &[Entity], record: &str, fields: &[Field]) -> Mapped {
    let mut scalar_fields = Vec::new();
    collect(fields, &[], &[], &[], &mut scalar_fields);
    let mut mapped = Mapped {
        tables: Vec::new(),
        unfilled: Vec::new(),
        unused: Vec::new(),
        scores: Vec::new(),
    };
    let mut used = BTreeSet::new();
    let root = root(entities, &scalar_fields);
    let record = root
        .as_ref()
        .map_or_else(|| record.to_owned(), |root| format!("{record} {root}"));
    for entity in entities {
        match fill(entity, &record, &scalar_fields) {
            Ok((score, table)) => {
                mapped.scores.push(score);
                let depth = table.levels.len();
                for column in &table.columns {
                    used.extend(scalar_fields.iter().enumerate().filter_map(|(index, scalar_field)| {
                        let same = scalar_field.position == column.position
                            && table.levels[..scalar_field.levels.len().min(depth)] == scalar_field.levels;
                        same.then_some(index)
                    }));
                }
                mapped.tables.push(table);
            }
            Err(why) => mapped.unfilled.push(format!("{}: {why}", entity.name)),
        }
    }
    let unused = scalar_fields
        .iter()
        .enumerate()
        .filter(|(index, _)| !used.contains(index));
    mapped.unused = unused.map(|(_, scalar_field)| shown(&scalar_field.path)).collect();
    mapped
}

fn collect<'a>(
    fields: &'a [Field],
    levels: &[Level],
    within: &[String],
    path: &[String],
    scalar_fields: &mut Vec<ScalarField<'a>>,
) {
    for field in fields {
        let append = |names: &[String]| names.iter().chain([&field.name]).cloned().collect::<Vec<_>>();
        let (within, path) = (append(within), append(path));
        match &field.kind {
            Kind::Struct(inner) => collect(inner, levels, &within, &path, scalar_fields),
            Kind::Objects(inner) => {
                let mut levels = levels.to_vec();
                levels.push(Level { path: within });
                collect(inner, &levels, &[], &path, scalar_fields);
            }
            Kind::Scalar(scalar) | Kind::Scalars(scalar) => scalar_fields.push(ScalarField {
                levels: levels.to_vec(),
                position: ValuePosition {
                    depth: levels.len(),
                    // Of a partial date, a column takes the first moment, of a reference the id.
                    path: within
                        .into_iter()
                        .chain(scalar.parts().first().map(|part| part.name.to_owned()))
                        .collect(),
                },
                scalar,
                path,
                is_list: matches!(field.kind, Kind::Scalars(_)),
            }),
        }
    }
}

/// The entity whose rows the records are, where one of their lists is called like an entity below it.
fn root(entities: &[Entity], scalar_fields: &[ScalarField<'_>]) -> Option<String> {
    let last = |name: &str| words(name).last().map(|word| stem(word).to_owned());
    let lists: BTreeSet<_> = scalar_fields
        .iter()
        .filter_map(|scalar_field| last(scalar_field.levels.first()?.path.last()?))
        .collect();
    let below = |entity: &&Entity| {
        let parent = entity.parent.as_ref();
        parent.is_some() && last(&entity.name).is_some_and(|name| lists.contains(&name))
    };
    let parent = &entities.iter().find(below)?.parent.as_ref()?.entity;
    let root = entities.iter().find(|entity| entity.name == *parent)?;
    root.parent.is_none().then(|| root.name.clone())
}

/// The rows of an entity from the level of the records that fits it best.
fn fill(entity: &Entity, record: &str, scalar_fields: &[ScalarField<'_>]) -> Result<(f64, Table), String> {
    let mut levels: Vec<Vec<Level>> = vec![Vec::new()];
    for scalar_field in scalar_fields {
        if !levels.contains(&scalar_field.levels) {
            levels.push(scalar_field.levels.clone());
        }
    }
    let mut best: Option<(f64, Table, Vec<String>)> = None;
    for level in &levels {
        let (score, table, missing) = rows(entity, record, level, scalar_fields);
        if best.as_ref().is_none_or(|(known, ..)| score > *known) {
            best = Some((score, table, missing));
        }
    }
    match best {
        Some((score, table, missing)) if score > 0.0 && missing.is_empty() => Ok((score, table)),
        Some((score, _, missing)) if score > 0.0 => Err(format!(
            "no field was found for {}, which may not be null",
            missing.join(", ")
        )),
        _ => Err("no field was found for its columns".to_owned()),
    }
}

fn rows(
    entity: &Entity,
    record: &str,
    level: &[Level],
    scalar_fields: &[ScalarField<'_>],
) -> (f64, Table, Vec<String>) {
    let named = level
        .last()
        .and_then(|level| level.path.last())
        .map_or(record, String::as_str);
    let same = words(named).last().map(|word| stem(word).to_owned())
        == words(&entity.name).last().map(|word| stem(word).to_owned());
    let (mut score, mut missing, mut columns) = (if same { 2.0 } else { 0.0 }, Vec::new(), Vec::new());
    let mut own = 0;
    for column in &entity.columns {
        // Columns of the parent's key are found in a list above; the others must stand in the element itself.
        let like: Vec<_> = scalar_fields
            .iter()
            .filter(|scalar_field| level.starts_with(&scalar_field.levels))
            .map(|scalar_field| (likeness(&column.name, &entity.name, record, scalar_field), scalar_field))
            .filter(|(likeness, _)| *likeness >= ENOUGH)
            .collect();
        let most = |a: &&(f64, &ScalarField<'_>), b: &&(f64, &ScalarField<'_>)| {
            a.0.total_cmp(&b.0).then(a.1.levels.len().cmp(&b.1.levels.len()))
        };
        let best = like
            .iter()
            .filter(|(_, scalar_field)| fits(scalar_field, column.pg_type))
            .max_by(most);
        let Some(&(likeness, scalar_field)) = best else {
            if !column.nullable {
                missing.push(column.name.clone());
            }
            columns.push(Column {
                name: column.name.clone(),
                position: ValuePosition {
                    depth: usize::MAX,
                    path: Vec::new(),
                },
                pg_type: type_name(column.pg_type),
                not_null: !column.nullable,
                note: unlike(
                    like.iter().max_by(most).map(|(_, scalar_field)| *scalar_field),
                    column.pg_type,
                ),
            });
            continue;
        };
        let is_own = scalar_field.levels.len() == level.len();
        own += usize::from(is_own);
        let same_name = words(&column.name) == words(scalar_field.path.last().map_or("", String::as_str));
        score += likeness * if is_own { 1.0 } else { 0.25 };
        columns.push(Column {
            name: column.name.clone(),
            position: scalar_field.position.clone(),
            pg_type: type_name(column.pg_type),
            not_null: !column.nullable,
            note: format!(
                "{}, {}: {}",
                shown(&scalar_field.path),
                typed(scalar_field),
                if same_name { "same name" } else { "like name and place" }
            ),
        });
    }
    let table = Table {
        of: SOURCE_TABLE.to_owned(),
        name: entity.name.clone(),
        levels: level.to_vec(),
        columns,
        key: entity.key.clone(),
        parent: entity.parent.as_ref().map(|parent| parent.entity.clone()),
    };
    // Without a column of its own, a level only repeats the rows above it.
    (if own == 0 { 0.0 } else { score }, table, missing)
}

/// The type of a field, as SQL sees it.
fn typed(scalar_field: &ScalarField<'_>) -> String {
    let field_type = scalar_field.scalar.sql_type();
    if scalar_field.is_list {
        format!("list of {field_type}")
    } else {
        field_type.to_owned()
    }
}

/// Why a column stays empty, with the field that is like it but of another type.
fn unlike(scalar_field: Option<&ScalarField<'_>>, column: PgType) -> String {
    scalar_field.map_or_else(
        || "no field found".to_owned(),
        |scalar_field| {
            let (path, found) = (shown(&scalar_field.path), typed(scalar_field));
            format!(
                "no field found: {path} is like it, but {found}, not {}",
                type_name(column)
            )
        },
    )
}

fn fits(scalar_field: &ScalarField<'_>, column: PgType) -> bool {
    let field = scalar_field.scalar.sql_type();
    if scalar_field.is_list {
        return column == PgType::TextArray && field == "string";
    }
    match column.family() {
        PgType::Text => true,
        PgType::Bool => field == "bool",
        PgType::Int8 => matches!(field, "int" | "bigint"),
        PgType::Float8 | PgType::Numeric(_) => {
            matches!(field, "int" | "bigint" | "double") || field.starts_with("decimal")
        }
        PgType::Date => field == "date",
        PgType::Timestamp => matches!(field, "timestamp" | "date"),
        PgType::TimestampTz => field == "timestamptz",
        PgType::Jsonb => field == "json",
        PgType::Uuid => field == "string" || field == "reference",
        _ => false,
    }
}

/// What is left of a word without its ending, so that `diagnosis` is like `diagnoses` and `dose` like `doses`.
fn stem(word: &str) -> &str {
    let endings = ["es", "is", "s", "e"];
    let stem = endings.iter().find_map(|ending| word.strip_suffix(ending));
    stem.filter(|stem| stem.len() > 2).unwrap_or(word)
}

/// How much of a column's name is found in a field's path, from 0 to 1. Words of the field's own name that the column
/// lacks count against it.
fn likeness(column: &str, entity: &str, record: &str, scalar_field: &ScalarField<'_>) -> f64 {
    let set = |text: &str| {
        words(text)
            .iter()
            .map(|word| stem(word).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let column = set(column);
    let mut own = set(scalar_field.path.last().map_or("", String::as_str));
    if column == own {
        return 1.0;
    }
    // Of a record, the names around it are those of the record; of an element, those of its lists.
    let mut around = if scalar_field.levels.is_empty() {
        set(record)
    } else {
        BTreeSet::new()
    };
    scalar_field.path.iter().for_each(|name| around.extend(set(name)));
    // The number of a visit is its id, and the name of a drug is the drug.
    if own.len() == 1
        && own
            .iter()
            .any(|word| ["number", "no", "identifier", "key"].contains(&word.as_str()))
    {
        own = set("id");
        around.extend(set("id"));
    }
    let list = scalar_field.levels.last().and_then(|level| level.path.last());
    if own == set("name") && scalar_field.path.len() > 1 && list.is_some_and(|list| set(list) == column) {
        return 0.8;
    }
    let found = column.intersection(&around).count();
    let in_own = column.intersection(&own).count();
    if in_own == 0 {
        return 0.0;
    }
    let mut beyond = own;
    beyond.retain(|word| !column.contains(word) && !set(entity).contains(word));
    let small = |count: usize| f64::from(u8::try_from(count).unwrap_or(u8::MAX));
    let (found, all, beyond) = (small(found), small(column.len()), small(beyond.len()));
    found / all - 0.05 * beyond - 0.02
}
