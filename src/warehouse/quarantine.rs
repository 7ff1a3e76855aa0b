//! The table `pipeline.quarantine` and the column `account` of `pipeline.runs`: what a run refused and how its numbers
//! add up. Written under the run's id before the run ends, so that an entry counts exactly when its run does.

use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use chrono::NaiveDate;

use super::claim::Claim;
use super::error::db_error;
use super::sql::literal;
use crate::error::Result;

/// Entries per statement.
const AT_ONCE: usize = 5_000;

/// A refused record or row as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `None` for a record of the source.
    pub entity: Option<String>,
    pub check: String,
    pub file: Option<String>,
    /// Within its file, from 1.
    pub record: Option<i64>,
    pub byte_offset: Option<i64>,
    pub path: Option<String>,
    pub reason: String,
}

/// Which entries to show.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub source: Option<String>,
    pub date: Option<NaiveDate>,
    pub check: Option<String>,
}

impl Claim {
    /// Keeps what the run refused, and its account. The run need not have ended; it does not end by this.
    ///
    /// On the embedded database this needs its one connection for a moment: hold none while calling.
    pub async fn keep(&self, entries: &[Entry], account: &Value) -> Result<()> {
        let session = self.lease.session().await?;
        let failed = |error| db_error(format!("what {} refused can't be kept", self.batch), &error);
        for entries in entries.chunks(AT_ONCE) {
            self.insert(&session, entries).await.map_err(failed)?;
        }
        let sql = "UPDATE pipeline.runs SET account = $2 WHERE run_id = $1";
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&self.run_id, Type::INT8), (account, Type::JSONB)];
        session.query_typed(sql, &parameters).await.map(drop).map_err(failed)
    }

    async fn insert(&self, session: &Client, entries: &[Entry]) -> Result<(), tokio_postgres::Error> {
        let sql = "INSERT INTO pipeline.quarantine (run_id, source, batch_date, entity, check_name, file, record, \
                   byte_offset, path, reason) SELECT $1, $2, $3, e.* \
                   FROM unnest($4, $5, $6, $7, $8, $9, $10) AS e";
        let texts = |of: fn(&Entry) -> Option<&str>| entries.iter().map(of).collect::<Vec<_>>();
        let numbers = |of: fn(&Entry) -> Option<i64>| entries.iter().map(of).collect::<Vec<_>>();
        let (entity, check) = (texts(|e| e.entity.as_deref()), texts(|e| Some(&e.check)));
        let (file, path) = (texts(|e| e.file.as_deref()), texts(|e| e.path.as_deref()));
        let (record, offset) = (numbers(|e| e.record), numbers(|e| e.byte_offset));
        let reason = texts(|e| Some(&e.reason));
        let parameters: [(&(dyn ToSql + Sync), Type); 10] = [
            (&self.run_id, Type::INT8),
            (&self.batch.source, Type::TEXT),
            (&self.batch.date, Type::DATE),
            (&entity, Type::TEXT_ARRAY),
            (&check, Type::TEXT_ARRAY),
            (&file, Type::TEXT_ARRAY),
            (&record, Type::INT8_ARRAY),
            (&offset, Type::INT8_ARRAY),
            (&path, Type::TEXT_ARRAY),
            (&reason, Type::TEXT_ARRAY),
        ];
        session.query_typed(sql, &parameters).await.map(drop)
    }
}

impl Filter {
    /// Entries of each batch's last committed run, and of the failed runs since.
    fn current(&self) -> String {
        let mut sql = "FROM pipeline.quarantine q JOIN pipeline.runs r USING (run_id) \
                       WHERE r.status <> 'running' AND q.run_id >= coalesce((SELECT max(c.run_id) FROM pipeline.runs c \
                       WHERE c.source = q.source AND c.batch_date = q.batch_date AND c.status = 'committed'), 0)"
            .to_owned();
        let mut and = |column: &str, value: Option<String>| {
            if let Some(value) = value {
                sql = format!("{sql} AND {column} = {}", literal(&value));
            }
        };
        and("q.source", self.source.clone());
        and("q.batch_date", self.date.map(|date| date.to_string()));
        and("q.check_name", self.check.clone());
        sql
    }

    /// SQL that counts the entries per batch, entity, check and path.
    pub fn list_sql(&self) -> String {
        format!(
            "SELECT q.run_id AS run, q.source, q.batch_date, r.status, coalesce(q.entity, 'record') AS entity, \
             q.check_name AS \"check\", q.path, count(*) AS refused {} GROUP BY 1, 2, 3, 4, 5, 6, 7 \
             ORDER BY q.source, q.batch_date, run, entity, \"check\", q.path",
            self.current()
        )
    }

    /// SQL that gives the entries one by one.
    pub fn show_sql(&self) -> String {
        format!(
            "SELECT q.run_id AS run, q.source, q.batch_date, r.status, coalesce(q.entity, 'record') AS entity, \
             q.check_name AS \"check\", q.file, q.record, q.byte_offset, q.path, q.reason {} \
             ORDER BY q.source, q.batch_date, q.run_id, q.entity NULLS FIRST, q.file, q.record, q.check_name",
            self.current()
        )
    }
}
