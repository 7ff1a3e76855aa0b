//! `pipeline query`: looks, and changes nothing. What it gives is data, every value as PostgreSQL writes it in text.

use std::path::PathBuf;

use futures::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::error::{Error, Result};
use crate::warehouse::connect::Warehouse;
use crate::warehouse::sql::{Over, PATH, PROJECT_PATH, db_error, describe_over, position, rows_error, sqlstate};

/// The rows of the last statement that gave any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryResult {
    pub columns: Vec<String>,
    /// PostgreSQL's names, one per column (`int4`, `_text`); empty for several statements in one, whose types
    /// PostgreSQL does not tell.
    pub types: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there were more rows than were asked for.
    pub truncated: bool,
}

/// Runs SQL that only reads, and keeps at most `limit` rows. Several statements may stand in one text; like psql's
/// `-c` of old, the last one's rows are given. A statement that writes is refused by the server (25006).
pub async fn query(warehouse: &Warehouse, sql: &str, limit: Option<usize>) -> Result<QueryResult> {
    let connection = warehouse.acquire().await?;
    let refused = |error: tokio_postgres::Error| explain(sql, &error);
    // For the session, so that a COMMIT in the text does not end it.
    read_only(&connection, true).await?;
    let result = run(&connection, sql, limit).await.map_err(refused);
    // A BEGIN in the text may have been left open; without one, this is a warning nobody sees.
    connection
        .batch_execute("ROLLBACK")
        .await
        .map_err(|error| db_error("the query's session broke", &error))?;
    read_only(&connection, false).await?;
    result
}

async fn read_only(client: &Client, on: bool) -> Result<()> {
    let (value, path) = if on { ("on", PROJECT_PATH) } else { ("off", PATH) };
    let done = client
        .batch_execute(&format!("SET default_transaction_read_only = {value}; SET {path}"))
        .await;
    done.map_err(|error| db_error("the query can't be made read-only", &error))
}

async fn run(client: &Client, sql: &str, limit: Option<usize>) -> Result<QueryResult, tokio_postgres::Error> {
    let types = types(client, sql).await;
    let mut messages = std::pin::pin!(client.simple_query_raw(sql).await?);
    let mut result = QueryResult::default();
    while let Some(message) = messages.try_next().await? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                let columns = columns.iter().map(|column| column.name().to_owned()).collect();
                result = QueryResult {
                    columns,
                    ..QueryResult::default()
                };
            }
            SimpleQueryMessage::Row(_) if limit.is_some_and(|limit| result.rows.len() >= limit) => {
                result.truncated = true;
            }
            SimpleQueryMessage::Row(row) => {
                result.rows.push(
                    (0..row.len())
                        .map(|column| row.get(column).map(str::to_owned))
                        .collect(),
                );
            }
            _ => {}
        }
    }
    if let Some(types) = types.filter(|types| types.len() == result.columns.len()) {
        result.types = types;
    }
    Ok(result)
}

/// The simple protocol gives no types, so one statement is prepared for them; an error shows when it is run.
async fn types(client: &Client, sql: &str) -> Option<Vec<String>> {
    let statement = client.prepare_typed(sql, &[] as &[Type]).await.ok()?;
    Some(
        statement
            .columns()
            .iter()
            .map(|column| column.type_().name().to_owned())
            .collect(),
    )
}

fn explain(sql: &str, error: &tokio_postgres::Error) -> Error {
    match sqlstate(error) {
        Some("25006") => Error::project("`pipeline query` only reads")
            .cause(describe_over(error, Over::Rows))
            .hint("change the project's files and run `pipeline run`, or use psql"),
        Some(code) if code.starts_with("42") => {
            Error::project("the query is wrong").diagnostics(vec![position::diagnostic(
                &PathBuf::from("query"),
                sql,
                0,
                error,
                Over::Rows,
            )])
        }
        _ => rows_error("the query failed", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::testing::both;

    #[tokio::test]
    async fn values_come_as_text_with_their_types() {
        for warehouse in both().await {
            let sql = "SELECT 1 AS n, NULL::text AS t, ARRAY['a','b'] AS l, DATE '2023-05-02' AS d, true AS b,
                       TIMESTAMPTZ '2023-05-02 10:00+02' AS z, 0.1::float8 AS f";
            let result = query(&warehouse, sql, None).await.unwrap();
            assert_eq!(result.columns, ["n", "t", "l", "d", "b", "z", "f"]);
            assert_eq!(
                result.types,
                ["int4", "text", "_text", "date", "bool", "timestamptz", "float8"]
            );
            let row: Vec<&str> = result.rows[0]
                .iter()
                .map(|value| value.as_deref().unwrap_or("-"))
                .collect();
            assert_eq!(
                row,
                ["1", "-", "{a,b}", "2023-05-02", "t", "2023-05-02 08:00:00+00", "0.1"]
            );
        }
    }

    #[tokio::test]
    async fn a_limit_keeps_so_many_and_says_so() {
        for warehouse in both().await {
            let result = query(&warehouse, "SELECT 1; SELECT generate_series(1, 10) AS x", Some(3))
                .await
                .unwrap();
            assert_eq!((result.rows.len(), result.truncated, result.types.len()), (3, true, 0));
            let result = query(&warehouse, "SELECT 1 WHERE false", Some(3)).await.unwrap();
            assert_eq!(
                (result.rows.len(), result.truncated, result.columns.len()),
                (0, false, 1)
            );
            assert_eq!(query(&warehouse, "", None).await.unwrap(), QueryResult::default());
        }
    }

    #[tokio::test]
    async fn nothing_is_written_however_it_is_tried() {
        for warehouse in both().await {
            for sql in [
                "CREATE TABLE t (a int)",
                "COMMIT; CREATE TABLE t (a int)",
                "BEGIN; SELECT 1; CREATE TABLE t (a int)",
            ] {
                let error = query(&warehouse, sql, None).await.unwrap_err();
                assert_eq!(error.message, "`pipeline query` only reads", "{sql}");
            }
            assert_eq!(
                query(&warehouse, "BEGIN; SELECT 1 AS a", None).await.unwrap().columns,
                ["a"]
            );
            warehouse
                .acquire_as_user()
                .await
                .unwrap()
                .batch_execute("CREATE TABLE t (a int)")
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn errors_point_into_the_query_and_quote_no_value() {
        for warehouse in both().await {
            let error = query(&warehouse, "SELECT 1,\n  nope", None).await.unwrap_err();
            let problem = &error.diagnostics[0];
            assert_eq!(problem.message, "column \"nope\" does not exist (42703)");
            let place = problem.location.as_ref().unwrap();
            assert_eq!((place.line, place.column), (2, 3));
            let error = query(&warehouse, "SELECT v::int FROM (VALUES ('hunter' || 2)) t (v)", None)
                .await
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "the query failed: invalid text representation (22P02)"
            );
        }
    }
}
