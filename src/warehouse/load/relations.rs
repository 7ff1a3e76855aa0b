//! Compares tables before readers see them: which rows of a staging table have no partner in another. It reads keys,
//! which are values of the data, and returns them only to its caller.

use std::fmt::Write as _;

use chrono::NaiveDate;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::staging::Staged;
use crate::error::{Error, Result};
use crate::model::{Batch, Entity, PgType};
use crate::warehouse::sql::{ENTITIES, PARTITIONS, db_error, ident, qualified, rows_error};

/// The most keys that one check may hold in memory.
pub(super) const MOST: usize = 1_000_000;

/// Where the partners of a batch's rows may be.
pub struct Partners<'a> {
    pub entity: &'a str,
    /// The batch's own rows. `None` where the source brings none to this entity.
    pub staged: Option<&'a Staged>,
    /// The batch whose source's other batches count, too, as they are in the tables now.
    pub beside: Option<&'a Batch>,
    /// What is deleted, and does not count. `None`: nothing.
    pub gone: Option<Gone<'a>>,
}

/// What says that a key of an entity is deleted: a key in a table of its own, or a flag in the newest row.
pub struct Gone<'a> {
    pub of: &'a Entity,
    /// The batch's own rows of the entity, some of which may have the flag.
    pub rows: Option<&'a Staged>,
    /// The table of the deleted keys.
    pub table: Option<&'a Entity>,
    /// Those that the batch itself deletes.
    pub staged: Option<&'a Staged>,
}

impl Gone<'_> {
    /// What a row `p` of the batch, or else of another batch, must fulfil to be there on the batch's day. Deletions of
    /// later days do not count, so that a batch that is loaded again gets the same rows.
    fn spares(&self, of_batch: bool) -> String {
        let key = self.of.key.iter().map(|name| format!("d.{0} = p.{0}", ident(name)));
        let same = key.collect::<Vec<_>>().join(" AND ");
        let mut spares = String::new();
        let mut not_in = |table: &str, when: &str| {
            let _ = write!(spares, "NOT EXISTS (SELECT 1 FROM {table} d WHERE {when}{same}) AND ");
        };
        let older = if of_batch { "" } else { "p.batch_date < $2 AND " };
        if let Some(staged) = self.staged {
            not_in(&qualified(PARTITIONS, &staged.name), older);
        }
        if let Some(table) = self.table.filter(|_| !of_batch) {
            let when = "d.source = $1 AND d.batch_date < $2 AND d.batch_date >= p.batch_date AND ";
            not_in(&qualified(ENTITIES, &table.name), when);
        }
        if let Some(flag) = self.of.deleted_flag.as_deref().map(ident) {
            if !of_batch {
                if let Some(staged) = self.rows {
                    not_in(&qualified(PARTITIONS, &staged.name), &format!("{older}d.{flag} AND "));
                }
                let when = "d.source = $1 AND d.batch_date < $2 AND d.batch_date > p.batch_date AND ";
                not_in(&qualified(ENTITIES, &self.of.name), &format!("{when}d.{flag} AND "));
            }
            let _ = write!(spares, "p.{flag} IS NOT TRUE AND ");
        }
        spares
    }
}

impl Partners<'_> {
    /// The tables, and what their rows `p` must fulfil.
    fn tables(&self) -> Vec<String> {
        let spares = |of_batch| {
            self.gone
                .as_ref()
                .map_or_else(String::new, |gone| gone.spares(of_batch))
        };
        let staged = self.staged.map(|staged| {
            let table = qualified(PARTITIONS, &staged.name);
            format!("{table} p WHERE {}", spares(true))
        });
        let live = self.beside.map(|_| {
            let table = qualified(ENTITIES, self.entity);
            format!(
                "{table} p WHERE p.source = $1 AND p.batch_date <> $2 AND {}",
                spares(false)
            )
        });
        staged.into_iter().chain(live).collect()
    }

    async fn ask(&self, client: &Client, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
        match self.beside {
            Some(Batch { source, date }) => {
                client
                    .query_typed(sql, &[(source, Type::TEXT), (date, Type::DATE)])
                    .await
            }
            None => client.query_typed(sql, &[]).await,
        }
    }
}

/// `FROM` and `WHERE` of the rows `c` in `child` that have no partner.
fn without_partner(child: &Staged, partners: &Partners<'_>, columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|name| ident(name)).collect();
    let each = |form: &dyn Fn(&String) -> String, by: &str| names.iter().map(form).collect::<Vec<_>>().join(by);
    let same = each(&|name| format!("p.{name} = c.{name}"), " AND ");
    let lacks = partners.tables().into_iter();
    let lacks = lacks.map(|table| format!(" AND NOT EXISTS (SELECT 1 FROM {table}{same})"));
    format!(
        "FROM {} c WHERE {}{}",
        qualified(PARTITIONS, &child.name),
        each(&|name| format!("c.{name} IS NOT NULL"), " AND "),
        lacks.collect::<String>(),
    )
}

/// The distinct keys, as text, of the rows in `child` that have no partner. A row with a null among these columns needs
/// none. `entity` is the child's.
///
/// The texts are those that `quality::Key` is made of, so that the rows are found again before they are copied.
pub async fn missing(
    client: &Client,
    entity: &Entity,
    child: &Staged,
    partners: &Partners<'_>,
    columns: &[String],
) -> Result<Vec<Vec<String>>> {
    let failed = |error| rows_error(format!("the rows of {} can't be checked", child.entity), &error);
    let texts = key_texts(entity, columns);
    let sql = format!(
        "SELECT DISTINCT {} {} LIMIT {}",
        texts.join(", "),
        without_partner(child, partners, columns),
        MOST + 1,
    );
    let rows = partners.ask(client, &sql).await.map_err(failed)?;
    if rows.len() > MOST {
        return Err(Error::batch(format!(
            "more than {MOST} rows of {} belong to no row of {}",
            child.entity, partners.entity
        )));
    }
    texts_of(&rows).map_err(failed)
}

/// The number of rows in `child` that have no partner. A row with a null among these columns needs none.
pub async fn count_missing(
    client: &Client,
    child: &Staged,
    partners: &Partners<'_>,
    columns: &[String],
) -> Result<u64> {
    let failed = |error| rows_error(format!("the rows of {} can't be checked", child.entity), &error);
    let sql = format!("SELECT count(*) {}", without_partner(child, partners, columns));
    let rows = partners.ask(client, &sql).await.map_err(failed)?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0)).map_err(failed)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// The texts of each row.
pub(super) fn texts_of(rows: &[Row]) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
    let texts = |row: &Row| (0..row.len()).map(|at| row.try_get(at)).collect();
    rows.iter().map(texts).collect()
}

/// Expressions for the texts of columns of `c`.
pub(super) fn key_texts(entity: &Entity, columns: &[String]) -> Vec<String> {
    columns.iter().map(|name| key_text(entity, name)).collect()
}

/// An expression that gives equal values of a column of `c` the same text: for numbers with a point without trailing
/// zeros, for types that have a text for people in hexadecimal.
fn key_text(entity: &Entity, name: &str) -> String {
    let column = format!("c.{}", ident(name));
    let declared = entity.columns.iter().find(|column| column.name == *name);
    match declared.map(|column| column.pg_type) {
        Some(PgType::Float4 | PgType::Float8) => format!("encode(float8send({column}::float8 + 0), 'hex')"),
        Some(PgType::Numeric(_)) => format!("trim_scale({column})::text"),
        Some(PgType::Timestamp) => format!("encode(timestamp_send({column}), 'hex')"),
        Some(PgType::TimestampTz) => format!("encode(timestamptz_send({column}), 'hex')"),
        Some(PgType::Date) => format!("encode(date_send({column}), 'hex')"),
        _ => format!("{column}::text"),
    }
}

/// The newest day in a column of a staging table; `None` where all values are null.
pub async fn newest(client: &Client, staged: &Staged, column: &str) -> Result<Option<NaiveDate>> {
    let failed = |error| rows_error(format!("the rows of {} can't be checked", staged.entity), &error);
    let (column, table) = (ident(column), qualified(PARTITIONS, &staged.name));
    let sql = format!("SELECT max({column})::date FROM {table} WHERE isfinite({column})");
    let row = client.query_typed_one(&sql, &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

/// Removes a staging table that is to be filled again.
pub async fn unstage(client: &mut Client, staged: Staged) -> Result<()> {
    let sql = format!("DROP TABLE IF EXISTS {}", qualified(PARTITIONS, &staged.name));
    let failed = |error| db_error(format!("{} can't be staged again", staged.entity), &error);
    client.batch_execute(&sql).await.map_err(failed)
}
