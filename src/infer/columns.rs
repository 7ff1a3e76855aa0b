//! Maps the fields of a sample to the columns of entities that exist, by name, place and type.

use std::collections::BTreeSet;

use super::declare::{Field, Kind, Scalar};
use super::tables::{Column, Level, Place, Table, shown};
use super::words::words;
use crate::model::{Entity, PgType};
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
}

/// A scalar field, and where it stands.
struct Leaf<'a> {
    /// The lists on the way to it.
    levels: Vec<Level>,
    place: Place,
    scalar: &'a Scalar,
    /// All names from the record, for messages and for matching.
    path: Vec<String>,
    is_list: bool,
}

pub(super) fn map(entities: &[Entity], record: &str, fields: &[Field]) -> Mapped {
    let mut leaves = Vec::new();
    collect(fields, &[], &[], &[], &mut leaves);
    let mut mapped = Mapped {
        tables: Vec::new(),
        unfilled: Vec::new(),
        unused: Vec::new(),
    };
    let mut used = BTreeSet::new();
    let root = root(entities, &leaves);
    let record = root
        .as_ref()
        .map_or_else(|| record.to_owned(), |root| format!("{record} {root}"));
    for entity in entities {
        match fill(entity, &record, &leaves) {
            Ok(table) => {
                let depth = table.levels.len();
                for column in &table.columns {
                    used.extend(leaves.iter().enumerate().filter_map(|(index, leaf)| {
                        let same =
                            leaf.place == column.place && table.levels[..leaf.levels.len().min(depth)] == leaf.levels;
                        same.then_some(index)
                    }));
                }
                mapped.tables.push(table);
            }
            Err(why) => mapped.unfilled.push(format!("{}: {why}", entity.name)),
        }
    }
    let unused = leaves.iter().enumerate().filter(|(index, _)| !used.contains(index));
    mapped.unused = unused.map(|(_, leaf)| shown(&leaf.path)).collect();
    mapped
}

fn collect<'a>(fields: &'a [Field], levels: &[Level], within: &[String], path: &[String], leaves: &mut Vec<Leaf<'a>>) {
    for field in fields {
        let append = |names: &[String]| names.iter().chain([&field.name]).cloned().collect::<Vec<_>>();
        let (within, path) = (append(within), append(path));
        match &field.kind {
            Kind::Struct(inner) => collect(inner, levels, &within, &path, leaves),
            Kind::Objects(inner) => {
                let mut levels = levels.to_vec();
                levels.push(Level { path: within });
                collect(inner, &levels, &[], &path, leaves);
            }
            Kind::Scalar(scalar) | Kind::Scalars(scalar) => leaves.push(Leaf {
                levels: levels.to_vec(),
                place: Place {
                    depth: levels.len(),
                    // Of a partial date, a column takes the first moment.
                    path: within
                        .into_iter()
                        .chain(scalar.is_struct().then(|| "value".to_owned()))
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
fn root(entities: &[Entity], leaves: &[Leaf<'_>]) -> Option<String> {
    let last = |name: &str| words(name).last().map(|word| stem(word).to_owned());
    let lists: BTreeSet<_> = leaves
        .iter()
        .filter_map(|leaf| last(leaf.levels.first()?.path.last()?))
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
fn fill(entity: &Entity, record: &str, leaves: &[Leaf<'_>]) -> Result<Table, String> {
    let mut levels: Vec<Vec<Level>> = vec![Vec::new()];
    for leaf in leaves {
        if !levels.contains(&leaf.levels) {
            levels.push(leaf.levels.clone());
        }
    }
    let mut best: Option<(f64, Table, Vec<String>)> = None;
    for level in &levels {
        let (score, table, missing) = rows(entity, record, level, leaves);
        if best.as_ref().is_none_or(|(known, ..)| score > *known) {
            best = Some((score, table, missing));
        }
    }
    match best {
        Some((score, table, missing)) if score > 0.0 && missing.is_empty() => Ok(table),
        Some((score, _, missing)) if score > 0.0 => Err(format!(
            "no field was found for {}, which may not be null",
            missing.join(", ")
        )),
        _ => Err("no field was found for its columns".to_owned()),
    }
}

fn rows(entity: &Entity, record: &str, level: &[Level], leaves: &[Leaf<'_>]) -> (f64, Table, Vec<String>) {
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
        let like: Vec<_> = leaves
            .iter()
            .filter(|leaf| level.starts_with(&leaf.levels))
            .map(|leaf| (likeness(&column.name, &entity.name, record, leaf), leaf))
            .filter(|(likeness, _)| *likeness >= ENOUGH)
            .collect();
        let most = |a: &&(f64, &Leaf<'_>), b: &&(f64, &Leaf<'_>)| {
            a.0.total_cmp(&b.0).then(a.1.levels.len().cmp(&b.1.levels.len()))
        };
        let best = like.iter().filter(|(_, leaf)| fits(leaf, column.pg_type)).max_by(most);
        let Some(&(likeness, leaf)) = best else {
            if !column.nullable {
                missing.push(column.name.clone());
            }
            columns.push(Column {
                name: column.name.clone(),
                place: Place {
                    depth: usize::MAX,
                    path: Vec::new(),
                },
                pg_type: type_name(column.pg_type),
                not_null: !column.nullable,
                note: unlike(like.iter().max_by(most).map(|(_, leaf)| *leaf), column.pg_type),
            });
            continue;
        };
        let is_own = leaf.levels.len() == level.len();
        own += usize::from(is_own);
        let same_name = words(&column.name) == words(leaf.path.last().map_or("", String::as_str));
        score += likeness * if is_own { 1.0 } else { 0.25 };
        columns.push(Column {
            name: column.name.clone(),
            place: leaf.place.clone(),
            pg_type: type_name(column.pg_type),
            not_null: !column.nullable,
            note: format!(
                "{}, {}: {}",
                shown(&leaf.path),
                typed(leaf),
                if same_name { "same name" } else { "like name and place" }
            ),
        });
    }
    let table = Table {
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
fn typed(leaf: &Leaf<'_>) -> String {
    let field_type = leaf.scalar.sql_type();
    if leaf.is_list {
        format!("list of {field_type}")
    } else {
        field_type.to_owned()
    }
}

/// Why a column stays empty, with the field that is like it but of another type.
fn unlike(leaf: Option<&Leaf<'_>>, column: PgType) -> String {
    leaf.map_or_else(
        || "no field found".to_owned(),
        |leaf| {
            let (path, found) = (shown(&leaf.path), typed(leaf));
            format!(
                "no field found: {path} is like it, but {found}, not {}",
                type_name(column)
            )
        },
    )
}

fn fits(leaf: &Leaf<'_>, column: PgType) -> bool {
    let field = leaf.scalar.sql_type();
    if leaf.is_list {
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
        PgType::Uuid => field == "string",
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
fn likeness(column: &str, entity: &str, record: &str, leaf: &Leaf<'_>) -> f64 {
    let set = |text: &str| {
        words(text)
            .iter()
            .map(|word| stem(word).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let column = set(column);
    let mut own = set(leaf.path.last().map_or("", String::as_str));
    if column == own {
        return 1.0;
    }
    // Of a record, the names around it are those of the record; of an element, those of its lists.
    let mut around = if leaf.levels.is_empty() {
        set(record)
    } else {
        BTreeSet::new()
    };
    leaf.path.iter().for_each(|name| around.extend(set(name)));
    // The number of a visit is its id, and the name of a drug is the drug.
    if own.len() == 1
        && own
            .iter()
            .any(|word| ["number", "no", "identifier", "key"].contains(&word.as_str()))
    {
        own = set("id");
        around.extend(set("id"));
    }
    let list = leaf.levels.last().and_then(|level| level.path.last());
    if own == set("name") && leaf.path.len() > 1 && list.is_some_and(|list| set(list) == column) {
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
