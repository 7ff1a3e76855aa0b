//! Tests of lineage on handmade projects, with SQL as analysts write it.

mod constants;
mod plans;
mod privacy;
mod property;
mod random_sql;
mod records;
mod shipped;
mod views;

use std::path::PathBuf;

use super::*;
use crate::error::Location;
use crate::model::{Column, Entity, Field, FieldType, PgType, Privacy, Profile, Transform, View, ViewKind};

fn here() -> Location {
    Location {
        file: PathBuf::from("x"),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
    }
}

/// Parses a schema such as `id, born:date, visits[date:date, tags[:string], note{text, author}]`. A field without a
/// type is a string.
fn schema(text: &str) -> Vec<Field> {
    let mut rest = text;
    let fields = fields(&mut rest);
    assert_eq!(rest, "", "all of {text} is read");
    fields
}

fn fields(rest: &mut &str) -> Vec<Field> {
    let mut fields = Vec::new();
    loop {
        let end = rest.find([',', '[', '{', ']', '}', ':']).unwrap_or(rest.len());
        let name = rest[..end].trim().to_owned();
        *rest = &rest[end..];
        let field_type = if let Some(inner) = rest.strip_prefix("[:") {
            let end = inner.find(']').unwrap();
            *rest = &inner[end + 1..];
            FieldType::List(Box::new(field("item", scalar(&inner[..end]))))
        } else if let Some(inner) = rest.strip_prefix('[') {
            *rest = inner;
            let inner = fields_until(rest, ']');
            FieldType::List(Box::new(field("item", FieldType::Struct(inner))))
        } else if let Some(inner) = rest.strip_prefix('{') {
            *rest = inner;
            FieldType::Struct(fields_until(rest, '}'))
        } else if let Some(inner) = rest.strip_prefix(':') {
            let end = inner.find([',', ']', '}']).unwrap_or(inner.len());
            *rest = &inner[end..];
            scalar(&inner[..end])
        } else {
            FieldType::String
        };
        fields.push(field(&name, field_type));
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return fields,
        }
    }
}

fn fields_until(rest: &mut &str, end: char) -> Vec<Field> {
    let inner = fields(rest);
    *rest = rest.strip_prefix(end).unwrap();
    inner
}

fn scalar(name: &str) -> FieldType {
    match name {
        "string" => FieldType::String,
        "int" => FieldType::Int,
        "bigint" => FieldType::Bigint,
        "date" => FieldType::Date(vec![]),
        "json" => FieldType::Json,
        other => panic!("no type {other}"),
    }
}

fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        name: name.into(),
        field_type,
        required: false,
        from: None,
        description: None,
        one_or_many: false,
        privacy: Privacy::default(),
        rules: crate::model::ValueRules::default(),
        location: here(),
    }
}

fn entity(name: &str, columns: &str) -> Entity {
    let column = |text: &str| {
        let (name, pg_type) = match text.trim().split_once(':') {
            None => (text.trim(), PgType::Text),
            Some((name, "date")) => (name, PgType::Date),
            Some((name, "int")) => (name, PgType::Int8),
            Some((_, other)) => panic!("no type {other}"),
        };
        Column {
            name: name.into(),
            pg_type,
            nullable: true,
            description: None,
            location: here(),
        }
    };
    Entity {
        name: name.into(),
        description: None,
        columns: columns.split(',').map(column).collect(),
        key: vec![],
        parent: None,
        deletes_from: None,
        deleted_flag: None,
        indexes: vec![],
        checks: vec![],
        location: here(),
    }
}

fn source(name: &str, fields: &str, transforms: &[(&str, &str)]) -> Source {
    let transform = |(entity, sql): &(&str, &str)| Transform {
        entity: (*entity).into(),
        path: format!("sql/{name}/{entity}.sql").into(),
        sql: (*sql).into(),
        given: None,
    };
    Source {
        transforms: transforms.iter().map(transform).collect(),
        ..crate::model::testing::source(name, schema(fields))
    }
}

fn project(entities: Vec<Entity>, sources: Vec<Source>, views: Vec<View>) -> Project {
    Project {
        exposed: Vec::new(),
        root: PathBuf::new(),
        entities,
        sources,
        views,
        checks: vec![],
        text: String::new(),
        profile: Profile::Custom,
        gate: None,
    }
}

fn view(kind: ViewKind, name: &str, sql: &str) -> View {
    let folder = match kind {
        ViewKind::Function => "functions",
        ViewKind::View => "views",
        ViewKind::Materialized => "materialized",
    };
    View {
        name: name.into(),
        kind,
        path: format!("sql/{folder}/{name}.sql").into(),
        sql: sql.into(),
    }
}

async fn lineage(project: &Project) -> ProjectLineage {
    of_project(&engine().unwrap(), project, Outlines::new()).await.unwrap()
}

/// The lineage as `direct | indirect`. Each side is a sorted list of paths separated by spaces.
fn shown(lineage: &Lineage) -> String {
    let of = |dependence| {
        let paths = lineage.origins.iter().filter(|origin| origin.dependence == dependence);
        let mut paths: Vec<&str> = paths.map(|origin| origin.path.as_str()).collect();
        if lineage.batch_date == Some(dependence) {
            paths.push("$date");
        }
        paths.join(" ")
    };
    format!("{} | {}", of(Dependence::Direct), of(Dependence::Indirect))
        .trim()
        .to_owned()
}

/// Like `shown`, for a column of a view. Origins are columns of entities.
fn shown_view(lineage: &ProjectLineage, name: &str) -> String {
    let (table, column) = name.split_once('.').unwrap();
    let view = lineage
        .views
        .iter()
        .find(|v| v.view == table && v.column == column)
        .expect(name);
    let of = |dependence| {
        let origins = view.origins.iter().filter(|origin| origin.dependence == dependence);
        let column = |o: &TableOrigin| format!("{}.{}", o.entity, o.column.as_deref().unwrap_or("(rows)"));
        origins.map(column).collect::<Vec<_>>().join(" ")
    };
    let approximate = if view.approximate { " approximate" } else { "" };
    format!("{} | {}{approximate}", of(Dependence::Direct), of(Dependence::Indirect))
        .trim()
        .to_owned()
}
