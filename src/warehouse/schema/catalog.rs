//! Reads the tables as PostgreSQL's catalog describes them, in one query.

use serde::Deserialize;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::{Error, Result};
use crate::warehouse::sql::db_error;

/// A table of the schema `public`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Table {
    pub name: String,
    /// The partition key as PostgreSQL writes it, such as `LIST (source)`; `None` where the table is not partitioned.
    pub partition_key: Option<String>,
    pub columns: Vec<TableColumn>,
    pub primary_key: Option<PrimaryKey>,
    pub indexes: Vec<TableIndex>,
    /// Names of constraints that a contract can't declare: CHECK, FOREIGN KEY, UNIQUE, EXCLUDE. Staging tables lack
    /// them.
    pub other_constraints: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct TableColumn {
    pub name: String,
    /// The type as `format_type` writes it.
    pub data_type: String,
    pub nullable: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct PrimaryKey {
    pub name: String,
    pub columns: Vec<String>,
}

/// A secondary index.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TableIndex {
    pub name: String,
    pub columns: Vec<String>,
    /// Whether a contract can declare it: a btree over columns only, ascending, without a condition.
    pub plain: bool,
}

const SQL: &str = "
SELECT coalesce(json_agg(json_build_object(
    'name', c.relname,
    'partition_key', CASE c.relkind WHEN 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
    'columns', (
        SELECT coalesce(json_agg(json_build_object(
            'name', a.attname,
            'data_type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'nullable', NOT a.attnotnull) ORDER BY a.attnum), '[]')
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'primary_key', (
        SELECT json_build_object('name', k.conname, 'columns', (
            SELECT json_agg(a.attname ORDER BY x.n)
            FROM unnest(k.conkey) WITH ORDINALITY x (attnum, n)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.attnum))
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p'),
    'indexes', (
        SELECT coalesce(json_agg(json_build_object(
            'name', n.relname,
            'columns', (
                SELECT coalesce(json_agg(a.attname ORDER BY x.n), '[]')
                FROM unnest(i.indkey::int2[]) WITH ORDINALITY x (attnum, n)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.attnum
                WHERE x.n <= i.indnkeyatts),
            'plain', m.amname = 'btree' AND i.indexprs IS NULL AND i.indpred IS NULL AND NOT i.indisunique
                AND i.indnatts = i.indnkeyatts AND 0 = ALL (i.indoption::int2[])) ORDER BY n.relname), '[]')
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class n ON n.oid = i.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = n.relam
        WHERE i.indrelid = c.oid AND NOT i.indisprimary
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid)),
    'other_constraints', (
        SELECT coalesce(json_agg(k.conname ORDER BY k.conname), '[]')
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'u', 'x'))
    ) ORDER BY c.relname), '[]')::text
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition";

/// The tables of `public` with these names, or all of them where `names` is `None`. Partitions are left out.
pub(super) async fn tables(client: &Client, names: Option<&[&str]>) -> Result<Vec<Table>> {
    let row = match &names {
        None => client.query_typed_one(SQL, &[]).await,
        // A list of names uses the index on names, which matters because a warehouse may have thousands of
        // partitions.
        Some(names) => {
            let sql = format!("{SQL} AND c.relname = ANY ($1)");
            client.query_typed_one(&sql, &[(names, Type::TEXT_ARRAY)]).await
        }
    };
    let row = row.map_err(|error| db_error("the tables can't be looked up in the catalog", &error))?;
    serde_json::from_str(row.get(0))
        .map_err(|error| Error::batch("the catalog's answer is not understood").cause(error))
}
