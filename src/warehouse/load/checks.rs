//! Runs the checks of `sql/checks`, which are written in PostgreSQL's SQL. Each selects the rows that must not be in
//! a batch. In a check, the batch's staging tables replace the entity tables. Only the count of the selected rows is
//! read.
//!
//! Where `pipeline roles` has made roles, a check has the rights of a role of its own, over the staging tables, the live rows
//! but those of batches that are kept from readers ([`super::live_rows`]), and views. It can't leave that role
//! (`src/warehouse/access/sandbox.rs`). Without roles it has the rights of the session.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::live_rows::LiveRows;
use super::staging::Staged;
use crate::error::{Code, Diagnostic, Error, Result};
use crate::model::blanked::{self, Blanked};
use crate::model::{Entity, SqlCheck, did_you_mean};
use crate::warehouse::schema::ddl;
use crate::warehouse::sql::{
    CHECKER, Over, PARTITIONS, PROJECT_PATH, db_error, ident, position, qualified, rows_error, sqlstate,
};

/// Plans every check over empty tables.
///
/// # Errors
/// All checks that PostgreSQL does not plan, with their places.
pub async fn plan(client: &mut Client, entities: &[Entity], checks: &[SqlCheck]) -> Result<()> {
    let mut problems = Vec::new();
    let (mut failed, mut count) = (None, 0);
    for check in checks {
        if let Err(error) = plan_one(client, entities, check).await {
            problems.extend(error.diagnostics.iter().cloned());
            failed.get_or_insert(error);
            count += 1;
        }
    }
    match failed {
        None => Ok(()),
        Some(first) if count > 1 => {
            let what = format!("{count} checks of sql/checks can't be made");
            Err(Error { message: what, ..first }.diagnostics(problems))
        }
        Some(first) => Err(first),
    }
}

async fn plan_one(client: &mut Client, entities: &[Entity], check: &SqlCheck) -> Result<()> {
    let checker = checker(client).await?;
    let start = start(entities, &[]);
    let Err(first) = explained(client, entities, check, &start, checker.as_deref()).await else {
        return Ok(());
    };
    let mut problems = vec![place(check, entities, &start, &first)];
    // The server reports the first column that there is not. Each that is found is made NULL to find the next one.
    let mut blanked = Blanked::of(&check.sql);
    let mut error = first;
    while sqlstate(&error) == Some(UNKNOWN_COLUMN) && problems.len() < blanked::MOST {
        let found = problems.last().and_then(|problem| problem.location.as_ref());
        if !found.is_some_and(|found| blanked.blank(found)) {
            break;
        }
        let tried = SqlCheck {
            sql: blanked.sql(),
            ..check.clone()
        };
        let Err(next) = explained(client, entities, &tried, &start, checker.as_deref()).await else {
            break;
        };
        error = next;
        if sqlstate(&error) == Some(UNKNOWN_COLUMN) {
            problems.extend(blanked.original(place(&tried, entities, &start, &error)));
        }
    }
    problems.sort_by(|one, other| one.location.cmp(&other.location));
    Err(Error::project(cannot(check)).diagnostics(problems).hint(HINT))
}

/// The SQLSTATE of a column that there is not.
const UNKNOWN_COLUMN: &str = "42703";

async fn explained(
    client: &mut Client,
    entities: &[Entity],
    check: &SqlCheck,
    start: &str,
    checker: Option<&str>,
) -> Result<(), tokio_postgres::Error> {
    // The extended protocol takes one statement only, so a file can't contain a second one. To prepare runs nothing:
    // it tells what is wrong with the text, and where.
    let (transaction, sql) = begin(client, entities, &[], check, checker).await?;
    let sql = counting(&sql, start, 0);
    transaction.prepare_typed(&sql, &[]).await?;
    answers(&transaction, &format!("EXPLAIN {sql}"), checker).await?;
    transaction.rollback().await
}

/// How many rows a check selects from a batch. Beyond `most`, it is not counted further.
pub async fn violations(
    client: &mut Client,
    entities: &[Entity],
    staged: &[&Staged],
    check: &SqlCheck,
    most: u64,
) -> Result<u64> {
    let start = start(entities, staged);
    let failed = |error| {
        let built = rows_error(cannot(check), &error);
        match position::of(&error) {
            Some(_) => Error { cause: None, ..built }.diagnostics(vec![place(check, entities, &start, &error)]),
            None => built,
        }
    };
    let checker = checker(client).await?;
    let begun = begin(client, entities, staged, check, checker.as_deref()).await;
    let (transaction, sql) = begun.map_err(failed)?;
    let sql = counting(&sql, &start, most);
    let count = answers(&transaction, &sql, checker.as_deref()).await.map_err(failed)?;
    transaction.rollback().await.map_err(failed)?;
    let count = count.and_then(|count| count.parse::<u64>().ok());
    count.ok_or_else(|| Error::batch(format!("{}: it gives no count", cannot(check))))
}

/// Begins a transaction that only reads, in which the checker may read the batch and the live rows. Returns the check's
/// text as well, as it is to be sent. What is made and granted ends with the transaction, and nobody else sees it.
async fn begin<'a>(
    client: &'a mut Client,
    entities: &[Entity],
    staged: &[&Staged],
    check: &SqlCheck,
    checker: Option<&str>,
) -> Result<(Transaction<'a>, String), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let mut sql = check.sql.clone();
    if let Some(checker) = checker {
        let live = LiveRows::of(entities, &check.sql, checker);
        let mut made = live.statements;
        for staged in staged {
            let table = qualified(PARTITIONS, &staged.name);
            made.extend(["GRANT SELECT ON ", &table, " TO ", &ident(checker), "; "]);
        }
        transaction.batch_execute(&made).await?;
        sql = live.sql;
    }
    let only_reads = format!("SET TRANSACTION READ ONLY; SET LOCAL {PROJECT_PATH}");
    transaction.batch_execute(&only_reads).await?;
    Ok((transaction, sql))
}

/// The role with whose rights checks run; `None` where there are no roles.
///
/// # Errors
/// There are roles, and none for checks: an older version has made them.
async fn checker(client: &Client) -> Result<Option<String>> {
    let sql = format!(
        "SELECT pg_catalog.to_regclass('pipeline.readers') IS NOT NULL OR pg_catalog.to_regnamespace('pipeline_check') IS \
         NOT NULL, (SELECT k.rolname::text FROM {CHECKER} k)"
    );
    let row = client.query_typed_one(&sql, &[]).await;
    let row = row.map_err(|error| db_error("the role of the checks can't be looked up", &error))?;
    match (row.get(0), row.get(1)) {
        (false, _) => Ok(None),
        (true, Some(checker)) => Ok(Some(checker)),
        (true, None) => Err(Error::project(
            "the checks of sql/checks need a role of their own, which this database lacks",
        )
        .code(Code::RolesMissing)
        .hint("let a superuser repeat `pipeline roles`: it makes the role")),
    }
}

/// The first cell of the first row.
async fn answers(
    client: &Transaction<'_>,
    sql: &str,
    checker: Option<&str>,
) -> Result<Option<String>, tokio_postgres::Error> {
    let row = if checker.is_some() {
        let call = "SELECT answer FROM pipeline_check.rows_of($1) WITH ORDINALITY a (answer, n) ORDER BY n LIMIT 1";
        client.query_typed(call, &[(&sql, Type::TEXT)]).await?
    } else if sql.starts_with("EXPLAIN") {
        client.query_typed(sql, &[]).await?
    } else {
        client
            .query_typed(&format!("SELECT n::text FROM ({sql}) a (n)"), &[])
            .await?
    };
    row.first().map(|row| row.try_get(0)).transpose()
}

const HINT: &str = "a check is one SELECT over the entity tables; source and batch_date are those of the batch";

fn cannot(check: &SqlCheck) -> String {
    format!("the check {} can't be made", check.path.display())
}

/// The place in the check's file, where the server names one, and for an unknown table the entity that may be meant.
fn place(check: &SqlCheck, entities: &[Entity], start: &str, error: &tokio_postgres::Error) -> Diagnostic {
    let added = start.chars().count();
    let mut problem = position::diagnostic(&check.path, &check.sql, added, error, Over::Rows);
    if sqlstate(error) == Some("42P01") {
        let name = position::name(&check.sql, added, error);
        let names = entities.iter().map(|entity| entity.name.as_str());
        problem.hint = name.last().and_then(|name| did_you_mean(name, names));
    }
    problem
}

/// What is sent before the check's own text. Each entity's name stands for the batch's rows of that entity, or for no
/// rows where the batch has none.
fn start(entities: &[Entity], staged: &[&Staged]) -> String {
    let tables = entities.iter().map(|entity| {
        let name = ident(&entity.name);
        match staged.iter().find(|staged| staged.entity() == entity.name) {
            Some(staged) => format!("{name} AS (SELECT * FROM {})", qualified(PARTITIONS, &staged.name)),
            // The checker has no right on the table itself.
            None => format!("{name} AS (SELECT {} WHERE false)", nulls(entity)),
        }
    });
    let tables = tables.collect::<Vec<_>>().join(", ");
    format!("WITH {tables} SELECT pg_catalog.count(*) FROM (SELECT FROM (")
}

/// A null of each column of an entity's table.
fn nulls(entity: &Entity) -> String {
    let columns = entity
        .columns
        .iter()
        .map(|column| (column.name.as_str(), ddl::type_name(column.pg_type)));
    let partition = ddl::PARTITION_COLUMNS
        .iter()
        .map(|(name, pg_type)| (*name, (*pg_type).to_owned()));
    let nulls = columns
        .chain(partition)
        .map(|(name, pg_type)| format!("CAST(NULL AS {pg_type}) AS {}", ident(name)));
    nulls.collect::<Vec<_>>().join(", ")
}

/// The check as a count that ends beyond `most`.
fn counting(sql: &str, start: &str, most: u64) -> String {
    let sql = sql.trim_end().trim_end_matches(';');
    let enough = most.saturating_add(1);
    // The file may end in a `--` comment, so the parenthesis goes on a new line.
    format!("{start}{sql}\n) AS violating LIMIT {enough}) AS counted")
}
