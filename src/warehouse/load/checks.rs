//! Runs the checks of `sql/checks`, which are written in PostgreSQL's SQL. Each selects the rows that must not be in
//! a batch. In a check, the batch's staging tables replace the entity tables. Only the count of the selected rows is
//! read.

use tokio_postgres::Client;

use super::staging::Staged;
use crate::error::{Diagnostic, Error, Result};
use crate::model::{Entity, SqlCheck};
use crate::warehouse::sql::{ENTITIES, Over, PARTITIONS, ident, position, qualified, rows_error};

/// Plans every check over empty tables.
///
/// # Errors
/// The first check that PostgreSQL does not plan, with its file.
pub async fn plan(client: &Client, entities: &[Entity], checks: &[SqlCheck]) -> Result<()> {
    for check in checks {
        let start = format!("EXPLAIN {}", start(entities, &[]));
        let sql = counting(check, &start);
        // The extended protocol takes one statement only, so a file can't contain a second one.
        client.query_typed(&sql, &[]).await.map_err(|error| {
            let built = Error::project(cannot(check));
            built.diagnostics(vec![place(check, &start, &error)]).hint(HINT)
        })?;
    }
    Ok(())
}

/// How many rows a check selects from a batch.
pub async fn violations(client: &mut Client, entities: &[Entity], staged: &[&Staged], check: &SqlCheck) -> Result<u64> {
    let start = start(entities, staged);
    let failed = |error| {
        let built = rows_error(cannot(check), &error);
        match position::of(&error) {
            Some(_) => Error { cause: None, ..built }.diagnostics(vec![place(check, &start, &error)]),
            None => built,
        }
    };
    let transaction = client
        .build_transaction()
        .read_only(true)
        .start()
        .await
        .map_err(failed)?;
    let sql = counting(check, &start);
    let row = transaction.query_typed_one(&sql, &[]).await.map_err(failed)?;
    let count: i64 = row.try_get(0).map_err(failed)?;
    transaction.rollback().await.map_err(failed)?;
    Ok(count.unsigned_abs())
}

const HINT: &str = "a check is one SELECT over the entity tables; source and batch_date are those of the batch";

fn cannot(check: &SqlCheck) -> String {
    format!("the check {} can't be made", check.path.display())
}

/// The place in the check's file, where the server names one.
fn place(check: &SqlCheck, start: &str, error: &tokio_postgres::Error) -> Diagnostic {
    position::diagnostic(&check.path, &check.sql, start.chars().count(), error, Over::Rows)
}

/// What is sent before the check's own text. Each entity's name stands for the batch's rows of that entity, or for no
/// rows where the batch has none.
fn start(entities: &[Entity], staged: &[&Staged]) -> String {
    let tables = entities.iter().map(|entity| {
        let name = ident(&entity.name);
        match staged.iter().find(|staged| staged.entity() == entity.name) {
            Some(staged) => format!("{name} AS (SELECT * FROM {})", qualified(PARTITIONS, &staged.name)),
            None => format!(
                "{name} AS (SELECT * FROM {} WHERE false)",
                qualified(ENTITIES, &entity.name)
            ),
        }
    });
    let tables = tables.collect::<Vec<_>>().join(", ");
    format!("WITH {tables} SELECT count(*) FROM (")
}

/// The check as a count.
fn counting(check: &SqlCheck, start: &str) -> String {
    let sql = check.sql.trim_end().trim_end_matches(';');
    // The file may end in a `--` comment, so the parenthesis goes on a new line.
    format!("{start}{sql}\n) AS violating")
}
