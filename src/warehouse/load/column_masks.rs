//! Which batches are live, and under which masks each of their columns was loaded: the table `pipeline.masks`. It holds
//! names only, no value from the data.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_postgres::{Client, Row};

use crate::error::Result;
use crate::model::{Batch, ColumnMasks, MaskedField, TellsDate};
use crate::warehouse::sql::{db_error, sqlstate};

/// A batch that has been loaded and not dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBatch {
    pub batch: Batch,
    pub run_id: i64,
    /// Indexes into [`Live::columns`]. Empty where nothing is recorded: an older version loaded the batch.
    pub columns: Vec<usize>,
    /// A hash of the SQL by which it was loaded. `None` where that is not known.
    pub sql: Option<String>,
}

/// All live batches. Batches that were loaded alike share their columns.
#[derive(Debug, Default)]
pub struct Live {
    /// Sorted by date and then by source.
    pub batches: Vec<LiveBatch>,
    pub columns: Vec<ColumnMasks>,
}

impl Live {
    /// How the columns of a batch were loaded.
    pub fn columns_of(&self, batch: &LiveBatch) -> impl Iterator<Item = &ColumnMasks> {
        batch.columns.iter().map(|at| &self.columns[*at])
    }
}

/// The rows of `pipeline.masks` for one run.
pub(super) fn as_json(masks: &[ColumnMasks]) -> Value {
    let one = |masks: &ColumnMasks| {
        json!({
            "entity": masks.entity,
            "column_name": masks.column,
            "fingerprint": masks.fingerprint(),
            "fields": masks.fields,
            "batch_date_in": masks.batch_date.map(TellsDate::name),
        })
    };
    masks.iter().map(one).collect()
}

/// The live batches and the masks of their columns. None where the database has no run history yet.
pub async fn live(client: &Client) -> Result<Live> {
    let failed = |error: tokio_postgres::Error| db_error("the masks of the loaded batches can't be read", &error);
    let batches = "SELECT source, batch_date, run_id FROM \
                   (SELECT DISTINCT ON (source, batch_date) source, batch_date, run_id, action FROM pipeline.runs \
                   WHERE status = 'committed' ORDER BY source, batch_date, run_id DESC) last \
                   WHERE action = 'load' ORDER BY batch_date, source";
    let rows = match client.query_typed(batches, &[]).await {
        Err(error) if is_missing(&error) => return Ok(Live::default()),
        rows => rows.map_err(failed)?,
    };
    let batch = |row: &Row| {
        let (source, date) = (row.try_get(0)?, row.try_get(1)?);
        Ok(LiveBatch {
            batch: Batch { source, date },
            run_id: row.try_get(2)?,
            columns: Vec::new(),
            sql: None,
        })
    };
    let mut live = Live {
        batches: rows.iter().map(batch).collect::<Result<_, _>>().map_err(failed)?,
        columns: Vec::new(),
    };
    let Some(rows) = columns(client).await.map_err(failed)? else {
        return Ok(live);
    };
    let mut of_runs: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for row in &rows {
        let (entity, column, fields) = (row.try_get(0), row.try_get(1), row.try_get::<_, Value>(2));
        let fields: Value = fields.map_err(failed)?;
        // What a newer version recorded differently is not known here: no field is then like a present one.
        let fields: Vec<MaskedField> = serde_json::from_value(fields).unwrap_or_default();
        for run_id in row.try_get::<_, Vec<i64>>(3).map_err(failed)? {
            of_runs.entry(run_id).or_default().push(live.columns.len());
        }
        let date: Option<String> = row.try_get(4).map_err(failed)?;
        live.columns.push(ColumnMasks {
            entity: entity.map_err(failed)?,
            column: column.map_err(failed)?,
            fields,
            batch_date: date.and_then(|name| TellsDate::of_name(&name)),
        });
    }
    let mut sql = sql_of_runs(client).await.map_err(failed)?;
    for batch in &mut live.batches {
        batch.columns = of_runs.remove(&batch.run_id).unwrap_or_default();
        batch.sql = sql.remove(&batch.run_id);
    }
    Ok(live)
}

/// The masks of all columns: entity, column, fields, the runs that loaded it so, and whether it tells the batch's date.
/// Many batches were loaded alike, so few rows come back. `None`: nothing is recorded, since the database awaits a migration
/// of this version.
async fn columns(client: &Client) -> Result<Option<Vec<Row>>, tokio_postgres::Error> {
    // The second is for a database that awaits only the migration by which dates are recorded.
    for date in ["batch_date_in", "NULL::text"] {
        let sql = format!(
            "SELECT entity, column_name, fields, array_agg(run_id), {date} FROM pipeline.masks \
             GROUP BY entity, column_name, fields, {date} ORDER BY 1, 2"
        );
        match client.query_typed(&sql, &[]).await {
            Err(error) if is_missing(&error) => {}
            rows => return rows.map(Some),
        }
    }
    Ok(None)
}

/// The hashes of the SQL by which batches were loaded, by run. None where the database awaits the migration by which they
/// are recorded.
async fn sql_of_runs(client: &Client) -> Result<BTreeMap<i64, String>, tokio_postgres::Error> {
    let sql = "SELECT r.run_id, r.sql_fingerprint FROM pipeline.runs r WHERE r.sql_fingerprint IS NOT NULL \
               AND EXISTS (SELECT FROM pipeline.masks m WHERE m.run_id = r.run_id)";
    match client.query_typed(sql, &[]).await {
        Err(error) if is_missing(&error) => Ok(BTreeMap::new()),
        rows => rows?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect(),
    }
}

/// The id of the mask key of the newest committed run that used one.
pub async fn newest_key_id(client: &Client) -> Result<Option<String>> {
    let failed = |error: tokio_postgres::Error| db_error("the history of runs can't be read", &error);
    let sql = "SELECT mask_key_id FROM pipeline.runs WHERE status = 'committed' AND mask_key_id IS NOT NULL \
               ORDER BY run_id DESC LIMIT 1";
    match client.query_typed_opt(sql, &[]).await {
        Err(error) if is_missing(&error) => Ok(None),
        row => row
            .map_err(failed)?
            .map(|row| row.try_get(0))
            .transpose()
            .map_err(failed),
    }
}

/// Undefined table, schema, or column of an older version.
fn is_missing(error: &tokio_postgres::Error) -> bool {
    matches!(sqlstate(error), Some("42P01" | "3F000" | "42703"))
}
