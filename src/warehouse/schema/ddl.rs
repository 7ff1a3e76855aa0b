//! Writes the DDL of the entity tables from the contract. Staging tables, migrations and the comparison with the
//! catalog share it. It only makes text: it asks no database, and no statement of it drops anything.

use std::fmt::Write as _;

use crate::model::{Column, Entity, Index, PgType};
use crate::warehouse::sql::{ENTITIES, ident, idents, literal};

/// The columns by which every entity table is partitioned, with their types. They come after the contract's columns,
/// and both are NOT NULL.
pub const PARTITION_COLUMNS: &[(&str, &str)] = &[("source", "text"), ("batch_date", "date")];

/// A type as PostgreSQL's `format_type` writes it.
pub fn type_name(pg_type: PgType) -> String {
    let name = match pg_type {
        PgType::Text => "text",
        PgType::Varchar(None) => "character varying",
        PgType::Varchar(Some(length)) => return format!("character varying({length})"),
        PgType::Bool => "boolean",
        PgType::Int2 => "smallint",
        PgType::Int4 => "integer",
        PgType::Int8 => "bigint",
        PgType::Float4 => "real",
        PgType::Float8 => "double precision",
        PgType::Numeric(None) => "numeric",
        PgType::Numeric(Some((precision, scale))) => return format!("numeric({precision},{scale})"),
        PgType::Date => "date",
        PgType::Timestamp => "timestamp without time zone",
        PgType::TimestampTz => "timestamp with time zone",
        PgType::Jsonb => "jsonb",
        PgType::Uuid => "uuid",
        PgType::TextArray => "text[]",
    };
    name.to_owned()
}

/// `"name" type [NOT NULL]` for each column of an entity's table, the partition columns last.
fn all_columns(entity: &Entity) -> Vec<String> {
    let declared = entity.columns.iter().map(column_definition);
    declared
        .chain(
            PARTITION_COLUMNS
                .iter()
                .map(|(name, kind)| format!("{} {kind} NOT NULL", ident(name))),
        )
        .collect()
}

/// The columns of the primary key: the contract's, then the partition columns. `None` where there is no key.
pub fn key_columns(entity: &Entity) -> Option<Vec<String>> {
    let own = PARTITION_COLUMNS.iter().map(|(name, _)| (*name).to_owned());
    (!entity.key.is_empty()).then(|| entity.key.iter().cloned().chain(own).collect())
}

/// `CREATE INDEX` for one secondary index of an entity. `table` is a quoted name.
pub fn create_index(table: &str, index: &Index) -> String {
    format!("CREATE INDEX ON {table} ({});", idents(&index.columns))
}

/// The statements that make an entity's table, without partitions.
pub fn create_table(entity: &Entity) -> String {
    let table = public(&entity.name);
    let mut lines = all_columns(entity);
    if let Some(key) = key_columns(entity) {
        lines.push(format!("PRIMARY KEY ({})", idents(&key)));
    }
    let mut sql = format!(
        "CREATE TABLE {table} (\n    {}\n) PARTITION BY LIST (\"source\");\n",
        lines.join(",\n    ")
    );
    for index in &entity.indexes {
        sql.push_str(&create_index(&table, index));
        sql.push('\n');
    }
    if let Some(description) = &entity.description {
        let _ = writeln!(sql, "COMMENT ON TABLE {table} IS {};", literal(description.trim()));
    }
    for column in &entity.columns {
        sql.push_str(&column_comment(&table, column));
    }
    sql
}

/// `"name" type [NOT NULL]` for one declared column.
pub fn column_definition(column: &Column) -> String {
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{not_null}", ident(&column.name), type_name(column.pg_type))
}

pub(super) fn column_comment(table: &str, column: &Column) -> String {
    column.description.as_ref().map_or_else(String::new, |description| {
        format!(
            "COMMENT ON COLUMN {table}.{} IS {};\n",
            ident(&column.name),
            literal(description.trim())
        )
    })
}

/// `public."name"`
pub(super) fn public(name: &str) -> String {
    format!("{ENTITIES}.{}", ident(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::schema::catalog;
    use crate::warehouse::schema::drift::differences;
    use crate::warehouse::testing::{both, column, entity};

    #[tokio::test]
    async fn every_type_is_named_as_the_catalog_names_it() {
        let types = [
            PgType::Text,
            PgType::Varchar(None),
            PgType::Varchar(Some(10)),
            PgType::Bool,
            PgType::Int2,
            PgType::Int4,
            PgType::Int8,
            PgType::Float4,
            PgType::Float8,
            PgType::Numeric(None),
            PgType::Numeric(Some((10, 2))),
            PgType::Date,
            PgType::Timestamp,
            PgType::TimestampTz,
            PgType::Jsonb,
            PgType::Uuid,
            PgType::TextArray,
        ];
        let columns = types
            .iter()
            .enumerate()
            .map(|(n, t)| column(&format!("c{n}"), *t, n % 2 == 0))
            .collect();
        let mut entity = entity("things", columns);
        entity.key = vec!["c1".to_owned(), "c3".to_owned()];
        entity.indexes = vec![Index {
            columns: vec!["c0".to_owned(), "c2".to_owned()],
        }];
        for warehouse in both().await {
            let connection = warehouse.acquire().await.unwrap();
            connection.batch_execute(&create_table(&entity)).await.unwrap();
            let tables = catalog::tables(&connection, None).await.unwrap();
            let found = differences(&entity, tables.first());
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
