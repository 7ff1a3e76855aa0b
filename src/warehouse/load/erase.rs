//! Erases the rows of a person from all tables in one transaction, while nobody loads the batches that hold them.

use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::batch_locks::{BatchLock, BatchLocks, lock_key};
use super::recovery;
use super::suppression::{self, Entry};
use crate::error::Result;
use crate::model::Batch;
use crate::warehouse::connect::Connection;
use crate::warehouse::sql::{db_error, literal, rows_error};

/// Batches that nobody else loads as long as this lives.
pub struct HeldBatches {
    locks: BatchLocks,
    held: Vec<(Batch, BatchLock)>,
}

/// A statement that deletes what is of a person in one batch.
#[derive(Debug, Clone)]
pub struct Delete {
    pub batch: Batch,
    /// `None`: entries of the quarantine.
    pub entity: Option<String>,
    pub sql: String,
}

/// What an erasure notes of itself, without a word on whom it was about.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub domains: Vec<String>,
    pub key_id: String,
    pub batches: Value,
    /// Rows of others that name the person.
    pub named: Value,
    pub unsearched: Value,
}

impl HeldBatches {
    pub fn new(locks: BatchLocks) -> Self {
        Self {
            locks,
            held: Vec::new(),
        }
    }

    /// Locks those of the batches that are not held yet; returns how many these were. Where another run holds one, this
    /// waits with `wait`; else the error says which run holds it.
    ///
    /// On the embedded database this needs its one connection for a moment: hold none while calling.
    pub async fn add(&mut self, batches: &[Batch], wait: bool) -> Result<usize> {
        let is_held = |batch: &Batch| self.held.iter().any(|(held, _)| held == batch);
        let mut missing: Vec<Batch> = batches.iter().filter(|batch| !is_held(batch)).cloned().collect();
        // Always in one order, so that no two wait for each other.
        missing.sort();
        missing.dedup();
        for batch in &missing {
            let lock = self.locks.lock(batch, wait).await?;
            recovery::end_dead(&self.locks, batch).await?;
            self.held.push((batch.clone(), lock));
        }
        Ok(missing.len())
    }

    /// The batches of these sources of which a run is going on.
    pub async fn running(&self, sources: &[String]) -> Result<Vec<Batch>> {
        let sql =
            "SELECT DISTINCT source, batch_date FROM pipeline.runs WHERE status = 'running' AND source = ANY ($1)";
        let session = self.locks.session().await?;
        let failed = |error| db_error("the runs that are going on can't be looked for", &error);
        let rows = session.query_typed(sql, &[(&sources, Type::TEXT_ARRAY)]).await;
        let read = |row: &tokio_postgres::Row| {
            Ok(Batch {
                source: row.try_get(0)?,
                date: row.try_get(1)?,
            })
        };
        rows.map_err(failed)?
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    /// Gives the batches free again.
    pub async fn release(self) {
        for (_, lock) in self.held {
            lock.release().await;
        }
    }
}

/// The statements that mark the materialized views as stale and note the receipt. They follow the deletions in the same
/// transaction.
const CLOSING: &str = "WITH noted AS (INSERT INTO pipeline.erasures (domains, key_id, batches, unsearched, program_version, named) \
     SELECT d, k, b, u, v, o FROM (SELECT $1 d, $2 k, $3 b, $4 u, $5 v, $7 o) x RETURNING erasure_id), \
     marked AS (INSERT INTO pipeline.stale_views (name, entity, run_id) \
     SELECT w.name, e.entity, - n.erasure_id FROM noted n, pipeline.views w, pg_catalog.unnest($6) e (entity) \
     WHERE w.kind = 'materialized') SELECT erasure_id FROM noted";

/// Runs the statements, in their order, and notes the receipt; all in one transaction. Returns the erasure's id and how
/// many rows each statement deleted. `receipt` is made of these.
///
/// # Errors
/// Nothing has changed.
pub async fn erase(
    connection: &mut Connection,
    deletes: &[Delete],
    receipt: impl FnOnce(&[u64]) -> Receipt,
) -> Result<(i64, Vec<u64>)> {
    let failed = |error: tokio_postgres::Error| rows_error("nothing was erased", &error);
    let transaction = connection.transaction().await.map_err(failed)?;
    let mut rows = Vec::with_capacity(deletes.len());
    for delete in deletes {
        rows.push(transaction.execute_typed(&delete.sql, &[]).await.map_err(failed)?);
    }
    let receipt = receipt(&rows);
    let entities = entities(deletes);
    let version = env!("CARGO_PKG_VERSION");
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 7] = [
        (&receipt.domains, Type::TEXT_ARRAY),
        (&receipt.key_id, Type::TEXT),
        (&receipt.batches, Type::JSONB),
        (&receipt.unsearched, Type::JSONB),
        (&version, Type::TEXT),
        (&entities, Type::TEXT_ARRAY),
        (&receipt.named, Type::JSONB),
    ];
    let noted = transaction
        .query_typed_one(CLOSING, &parameters)
        .await
        .map_err(failed)?;
    let id = noted.try_get(0).map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok((id, rows))
}

/// The same as a script for psql. `entries` are those of the suppression list, each as domain, key id and hash; `read_as`
/// is how their subjects are read.
pub fn script(deletes: &[Delete], receipt: &Receipt, entries: &[Entry], read_as: &[String]) -> String {
    let texts = |texts: &[String]| {
        let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
        format!("ARRAY[{}]::text[]", texts.join(", "))
    };
    let mut sql = vec![
        "-- Written by `pipeline privacy erase`, which does all of this with --yes. Run it by psql as the loader."
            .to_owned(),
        "\\set ON_ERROR_STOP on".to_owned(),
        "SET search_path = pg_catalog, pg_temp;".to_owned(),
        "-- Loads that begin after this leave the person out.".to_owned(),
    ];
    sql.extend(entries.iter().map(|entry| {
        let one = |text: &String| texts(std::slice::from_ref(text));
        let added = suppression::ADD
            .replace("$1", &one(&entry.domain))
            .replace("$2", &one(&entry.key_id))
            .replace("$3", &one(&entry.hash))
            .replace("$4", &texts(read_as));
        format!("{added};")
    }));
    sql.push("BEGIN;\n-- The locks of the batches: a run that holds one is waited for.".to_owned());
    let mut batches: Vec<&Batch> = deletes.iter().map(|delete| &delete.batch).collect();
    batches.sort();
    batches.dedup();
    sql.extend(batches.into_iter().map(|batch| {
        format!(
            "SELECT pg_catalog.pg_advisory_xact_lock({}); -- {batch}",
            lock_key(batch)
        )
    }));
    sql.extend(deletes.iter().map(|delete| format!("{};", delete.sql)));
    let closing = CLOSING
        .replace("$1", &texts(&receipt.domains))
        .replace("$2", &format!("{}::text", literal(&receipt.key_id)))
        .replace("$3", &format!("{}::jsonb", literal(&receipt.batches.to_string())))
        .replace("$4", &format!("{}::jsonb", literal(&receipt.unsearched.to_string())))
        .replace("$5", &format!("{}::text", literal(env!("CARGO_PKG_VERSION"))))
        .replace("$6", &texts(&entities(deletes)))
        .replace("$7", &format!("{}::jsonb", literal(&receipt.named.to_string())));
    sql.push(format!("{closing};\nCOMMIT;"));
    sql.push("-- Then: pipeline views --refresh".to_owned());
    sql.join("\n")
}

fn entities(deletes: &[Delete]) -> Vec<String> {
    let mut entities: Vec<String> = deletes.iter().filter_map(|delete| delete.entity.clone()).collect();
    entities.sort();
    entities.dedup();
    entities
}

/// The statement that deletes entries of the quarantine by their places. `None`: there are none.
pub fn delete_entries(run_id: i64, places: &[(String, u64)]) -> Option<String> {
    let places: Vec<String> = places
        .iter()
        .map(|(file, record)| format!("({}, {record})", literal(file)))
        .collect();
    (!places.is_empty()).then(|| {
        format!(
            "DELETE FROM pipeline.quarantine WHERE run_id = {run_id} AND (file, record) IN ({})",
            places.join(", ")
        )
    })
}

/// The entries of the quarantine that name a record, of all runs of these sources' batches.
pub async fn entries(client: &Client, sources: &[String]) -> Result<Vec<(i64, Batch, String, u64)>> {
    let sql = "SELECT DISTINCT run_id, source, batch_date, file, record FROM pipeline.quarantine \
               WHERE source = ANY ($1) AND file IS NOT NULL AND record IS NOT NULL ORDER BY 1, 4, 5";
    let failed = |error| db_error("the quarantine can't be read", &error);
    let rows = client.query_typed(sql, &[(&sources, Type::TEXT_ARRAY)]).await;
    let read = |row: &tokio_postgres::Row| {
        let batch = Batch {
            source: row.try_get(1)?,
            date: row.try_get(2)?,
        };
        let record: i64 = row.try_get(4)?;
        Ok((row.try_get(0)?, batch, row.try_get(3)?, record.unsigned_abs()))
    };
    rows.map_err(failed)?
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(failed)
}
