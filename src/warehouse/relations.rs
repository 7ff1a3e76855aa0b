//! Looks at staging tables before anyone else can: which rows of one belong to no row of another. What it reads are
//! keys, so values; they are given to the caller and to nothing else.

use chrono::NaiveDate;
use tokio_postgres::Client;

use super::error::db_error;
use super::leaf::{SCHEMA, qualified};
use super::sql::ident;
use super::stage::Staged;
use crate::error::{Error, Result};

/// Keys that one check may bring into memory.
const MOST: usize = 1_000_000;

/// The distinct keys, as text, of the rows in `child` whose columns are in no row of `parent`. A row with a null in
/// them belongs to none and is not missing one.
pub async fn missing(client: &Client, child: &Staged, parent: &Staged, columns: &[String]) -> Result<Vec<Vec<String>>> {
    let failed = |error| db_error(format!("the rows of {} can't be checked", child.entity), &error);
    let names: Vec<String> = columns.iter().map(|name| ident(name)).collect();
    let each = |form: &dyn Fn(&String) -> String, by: &str| names.iter().map(form).collect::<Vec<_>>().join(by);
    let sql = format!(
        "SELECT DISTINCT {} FROM {} c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {}) LIMIT {}",
        each(&|name| format!("c.{name}::text"), ", "),
        qualified(SCHEMA, &child.name),
        each(&|name| format!("c.{name} IS NOT NULL"), " AND "),
        qualified(SCHEMA, &parent.name),
        each(&|name| format!("p.{name} = c.{name}"), " AND "),
        MOST + 1,
    );
    let rows = client.query_typed(&sql, &[]).await.map_err(failed)?;
    if rows.len() > MOST {
        return Err(Error::batch(format!(
            "more than {MOST} rows of {} belong to no row of {}",
            child.entity, parent.entity
        )));
    }
    let key = |row: &tokio_postgres::Row| (0..columns.len()).map(|at| row.try_get(at)).collect();
    rows.iter().map(key).collect::<Result<_, _>>().map_err(failed)
}

/// The newest day in a column of a staging table; `None` where it has none.
pub async fn newest(client: &Client, staged: &Staged, column: &str) -> Result<Option<NaiveDate>> {
    let failed = |error| db_error(format!("the rows of {} can't be checked", staged.entity), &error);
    let (column, table) = (ident(column), qualified(SCHEMA, &staged.name));
    let sql = format!("SELECT max({column})::date FROM {table} WHERE isfinite({column})");
    let row = client.query_typed_one(&sql, &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

/// Removes a staging table that is to be filled anew.
pub async fn unstage(client: &mut Client, staged: Staged) -> Result<()> {
    let sql = format!("DROP TABLE IF EXISTS {}", qualified(SCHEMA, &staged.name));
    let failed = |error| db_error(format!("{} can't be staged again", staged.entity), &error);
    client.batch_execute(&sql).await.map_err(failed)
}
