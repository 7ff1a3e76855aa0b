//! The table `pipeline.quarantine`: what runs did not load, where it was, and which check refused it. The table never
//! holds a value.

use chrono::NaiveDate;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::active_run::ActiveRun;
use crate::error::Result;
use crate::model::Refusal;
use crate::warehouse::sql::db_error;

/// Entries per INSERT statement.
const CHUNK: usize = 10_000;

/// An entry and its run.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Found {
    pub run_id: i64,
    /// The status of the run.
    pub status: String,
    pub source: String,
    pub batch_date: NaiveDate,
    #[serde(flatten)]
    pub refusal: Refusal,
}

/// The number of entries of one kind.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Counted {
    pub run_id: i64,
    pub status: String,
    pub source: String,
    pub batch_date: NaiveDate,
    pub entity: Option<String>,
    pub check: String,
    pub reason: String,
    pub entries: i64,
}

/// Which entries to show. Without a run, those of the last finished run of each batch.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub source: Option<String>,
    pub date: Option<NaiveDate>,
    pub check: Option<String>,
    pub entity: Option<String>,
    pub run: Option<i64>,
    pub limit: Option<u32>,
}

const CHOSEN: &str = "FROM pipeline.quarantine q JOIN pipeline.runs r USING (run_id) \
                      WHERE ($1 IS NULL OR q.source = $1) AND ($2 IS NULL OR q.batch_date = $2) \
                      AND ($3 IS NULL OR q.check_name = $3) AND ($4 IS NULL OR coalesce(q.entity, 'record') = $4) \
                      AND CASE WHEN $5 IS NULL THEN q.run_id = (SELECT max(l.run_id) FROM pipeline.runs l \
                      WHERE l.source = q.source AND l.batch_date = q.batch_date AND l.status IN ('committed', 'failed')) \
                      ELSE q.run_id = $5 END";

/// The entries, ordered by batch, entity and place.
pub async fn show(client: &Client, filter: &Filter) -> Result<Vec<Found>> {
    let sql = format!(
        "SELECT q.run_id, r.status, q.source, q.batch_date, q.entity, q.check_name, q.file, q.record, q.byte_offset, \
         q.path, q.reason {CHOSEN} ORDER BY q.source, q.batch_date, q.run_id, q.entity NULLS FIRST, q.file, q.record, \
         q.byte_offset, q.check_name LIMIT $6"
    );
    let number = |stored: Option<i64>| stored.and_then(|number| u64::try_from(number).ok());
    let read = |row: &Row| {
        Ok(Found {
            run_id: row.try_get(0)?,
            status: row.try_get(1)?,
            source: row.try_get(2)?,
            batch_date: row.try_get(3)?,
            refusal: Refusal {
                entity: row.try_get(4)?,
                check: row.try_get(5)?,
                file: row.try_get(6)?,
                record: number(row.try_get(7)?),
                byte_offset: number(row.try_get(8)?),
                path: row.try_get(9)?,
                reason: row.try_get::<_, String>(10)?.into(),
                fault_offset: None,
            },
        })
    };
    query(client, &sql, filter, read).await
}

/// The entries counted per batch, entity, check and reason.
pub async fn list(client: &Client, filter: &Filter) -> Result<Vec<Counted>> {
    let sql = format!(
        "SELECT q.run_id, r.status, q.source, q.batch_date, q.entity, q.check_name, q.reason, count(*) {CHOSEN} \
         GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 3, 4, 1, 5 NULLS FIRST, 8 DESC, 6, 7 LIMIT $6"
    );
    let read = |row: &Row| {
        Ok(Counted {
            run_id: row.try_get(0)?,
            status: row.try_get(1)?,
            source: row.try_get(2)?,
            batch_date: row.try_get(3)?,
            entity: row.try_get(4)?,
            check: row.try_get(5)?,
            reason: row.try_get(6)?,
            entries: row.try_get(7)?,
        })
    };
    query(client, &sql, filter, read).await
}

async fn query<T>(
    client: &Client,
    sql: &str,
    filter: &Filter,
    read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
) -> Result<Vec<T>> {
    let failed = |error| db_error("the quarantine can't be read", &error);
    let limit = filter.limit.map_or(i64::MAX, i64::from);
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 6] = [
        (&filter.source, Type::TEXT),
        (&filter.date, Type::DATE),
        (&filter.check, Type::TEXT),
        (&filter.entity, Type::TEXT),
        (&filter.run, Type::INT8),
        (&limit, Type::INT8),
    ];
    let rows = client.query_typed(sql, &parameters).await.map_err(failed)?;
    rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
}

impl ActiveRun {
    /// Records what this run does not load. The entries are kept whether the run commits or fails.
    pub async fn quarantine(&self, client: &Client, refused: &[Refusal]) -> Result<()> {
        let failed = |error| db_error(format!("what {} refused can't be noted", self.batch()), &error);
        let sql = "INSERT INTO pipeline.quarantine (run_id, source, batch_date, entity, check_name, file, record, \
                   byte_offset, path, reason) SELECT $1, $2, $3, * FROM unnest($4, $5, $6, $7, $8, $9, $10)";
        let number = |number: u64| i64::try_from(number).ok();
        for chunk in refused.chunks(CHUNK) {
            let entities: Vec<_> = chunk.iter().map(|one| one.entity.as_deref()).collect();
            let checks: Vec<_> = chunk.iter().map(|one| one.check.as_str()).collect();
            let files: Vec<_> = chunk.iter().map(|one| one.file.as_deref()).collect();
            let records: Vec<_> = chunk.iter().map(|one| one.record.and_then(number)).collect();
            let offsets: Vec<_> = chunk.iter().map(|one| one.byte_offset.and_then(number)).collect();
            let paths: Vec<_> = chunk.iter().map(|one| one.path.as_deref()).collect();
            let reasons: Vec<_> = chunk.iter().map(|one| &*one.reason).collect();
            let (run_id, batch) = (self.run_id(), self.batch());
            let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 10] = [
                (&run_id, Type::INT8),
                (&batch.source, Type::TEXT),
                (&batch.date, Type::DATE),
                (&entities, Type::TEXT_ARRAY),
                (&checks, Type::TEXT_ARRAY),
                (&files, Type::TEXT_ARRAY),
                (&records, Type::INT8_ARRAY),
                (&offsets, Type::INT8_ARRAY),
                (&paths, Type::TEXT_ARRAY),
                (&reasons, Type::TEXT_ARRAY),
            ];
            client.query_typed(sql, &parameters).await.map_err(failed)?;
        }
        Ok(())
    }
}
