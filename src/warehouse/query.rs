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
    /// PostgreSQL's names, one per column (`int4`, `_text`).
    pub types: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there were more rows than were asked for.
    pub truncated: bool,
}

/// Runs SQL that only reads, and keeps at most `limit` rows. Several statements may stand in one text; like psql's
/// `-c` of old, the last one's rows are given. A statement that writes is refused by the server (25006): each has a
/// transaction of its own that only reads, whatever the ones before it have set.
pub async fn query(warehouse: &Warehouse, sql: &str, limit: Option<usize>) -> Result<QueryResult> {
    let connection = warehouse.acquire().await?;
    let refused = |error: tokio_postgres::Error| explain(sql, &error);
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
    let mut result = QueryResult::default();
    for statement in statements(sql) {
        // After its first snapshot, a transaction that only reads stays one.
        client.batch_execute("COMMIT; BEGIN READ ONLY; SELECT").await?;
        // The simple protocol gives no types. To prepare also refuses two statements that were taken for one.
        let prepared = client.prepare_typed(&statement, &[] as &[Type]).await?;
        let types = prepared.columns().iter().map(|column| column.type_().name().to_owned());
        let rows = read(client, &statement, limit).await?;
        if !rows.columns.is_empty() || !rows.rows.is_empty() {
            result = QueryResult {
                types: types.collect(),
                ..rows
            };
        }
    }
    Ok(result)
}

/// Runs one statement.
async fn read(client: &Client, statement: &str, limit: Option<usize>) -> Result<QueryResult, tokio_postgres::Error> {
    let mut messages = std::pin::pin!(client.simple_query_raw(statement).await?);
    let mut result = QueryResult::default();
    while let Some(message) = messages.try_next().await? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                result.columns = columns.iter().map(|column| column.name().to_owned()).collect();
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
    Ok(result)
}

/// The statements of a text. Each keeps its place: what stands before it is blank, so that positions are those in the text.
fn statements(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut start = 0;
    for end in ends(sql).into_iter().chain([sql.len()]) {
        let statement = &sql[start..end];
        if !statement.trim().is_empty() {
            let before = sql[..start].chars().map(|c| if c == '\n' { c } else { ' ' });
            found.push(before.chain(statement.chars()).collect());
        }
        start = (end + 1).min(sql.len());
    }
    found
}

/// Where the semicolons are that end statements. Those in texts, names and comments do not count.
fn ends(sql: &str) -> Vec<usize> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
    let bytes = sql.as_bytes();
    let word_before = |at: usize| at > 0 && is_word(bytes[at - 1]);
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let rest = &sql[at..];
        at = match byte {
            b';' => {
                found.push(at);
                at + 1
            }
            b'\'' => {
                let escapes =
                    word_before(at) && bytes[at - 1].eq_ignore_ascii_case(&b'e') && !(at > 1 && word_before(at - 1));
                after_quote(bytes, at, escapes)
            }
            b'"' => after_quote(bytes, at, false),
            b'-' if rest.starts_with("--") => at + rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => after_comment(bytes, at),
            b'$' if !word_before(at) => after_dollars(sql, at),
            _ => at + 1,
        };
        while at < sql.len() && !sql.is_char_boundary(at) {
            at += 1;
        }
    }
    found
}

/// The end of a text or a name that begins at `at`. A doubled quote ends one part and begins the next.
fn after_quote(bytes: &[u8], at: usize, escapes: bool) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'\\' if escapes => end += 2,
            byte if *byte == bytes[at] => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// The end of a comment, which may hold others.
fn after_comment(bytes: &[u8], at: usize) -> usize {
    let (mut end, mut depth) = (at, 0);
    while end < bytes.len() {
        match &bytes[end..] {
            [b'/', b'*', ..] => (end, depth) = (end + 2, depth + 1),
            [b'*', b'/', ..] => (end, depth) = (end + 2, depth - 1),
            _ => end += 1,
        }
        if depth == 0 {
            return end;
        }
    }
    bytes.len()
}

/// The end of a text between `$tag$` and `$tag$`; the next character where there is none.
fn after_dollars(sql: &str, at: usize) -> usize {
    let Some(length) = sql[at + 1..].find('$') else {
        return at + 1;
    };
    let quote = &sql[at..=at + 1 + length];
    let tag = &quote[1..=length];
    if tag.starts_with(|c: char| c.is_ascii_digit()) || !tag.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return at + 1;
    }
    let start = at + quote.len();
    sql[start..]
        .find(quote)
        .map_or(sql.len(), |end| start + end + quote.len())
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
            assert_eq!((result.rows.len(), result.truncated, result.types.len()), (3, true, 1));
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
            for sql in [
                "BEGIN READ WRITE; CREATE TABLE t (a int); COMMIT",
                "COMMIT; BEGIN READ WRITE; CREATE TABLE t (a int); COMMIT",
                "SET TRANSACTION READ WRITE; CREATE TABLE t (a int)",
                "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; COMMIT; CREATE TABLE t (a int)",
                "SET default_transaction_read_only = off; COMMIT; CREATE TABLE t (a int)",
                "SELECT set_config('default_transaction_read_only', 'off', false); ROLLBACK; CREATE TABLE t (a int)",
                "SELECT set_config('transaction_read_only', 'off', true); CREATE TABLE t (a int)",
                "SET standard_conforming_strings = off; SELECT '\\'; COMMIT; CREATE TABLE t (a int); --'",
                "DO $$ BEGIN COMMIT; CREATE TABLE t (a int); END $$",
            ] {
                assert!(query(&warehouse, sql, None).await.is_err(), "{sql}");
                let found = query(&warehouse, "SELECT to_regclass('public.t')::text", None)
                    .await
                    .unwrap();
                assert_eq!(found.rows, [[None]], "{sql}");
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

    #[test]
    fn semicolons_in_texts_names_and_comments_end_nothing() {
        let count = |sql: &str| statements(sql).len();
        for one in [
            "SELECT ';'",
            "SELECT 'it''s;'",
            "SELECT E'\\';'",
            "SELECT \"a;b\"",
            "SELECT $$;$$",
            "SELECT $é1$;$$;$é1$",
            "SELECT 1 -- ;",
            "SELECT /* ; /* ; */ ; */ 1;",
            ";;SELECT 1; ;",
            "SELECT 'é;' || a$b;",
        ] {
            assert_eq!(count(one), 1, "{one}");
        }
        for two in [
            "SELECT '\\'; SELECT 1",
            "SELECT re'\\'; SELECT 1",
            "SELECT $1$;SELECT 2",
            "SELECT 'a;",
        ] {
            assert_eq!(count(two), if two.ends_with("a;") { 1 } else { 2 }, "{two}");
        }
        assert_eq!(
            statements("SELECT 1;\nSELECT 'é'"),
            ["SELECT 1", "         \nSELECT 'é'"]
        );
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
