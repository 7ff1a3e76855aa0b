//! Counts combinations of quasi-identifiers that too few persons share, over an entity's rows as they will be after a
//! swap, and finds the staged rows with such a combination. Only numbers, and keys for the caller's memory, leave the
//! database.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::relations;
use super::staging::Staged;
use crate::error::{Error, Result};
use crate::model::{Batch, Entity, Gate};
use crate::warehouse::sql::{ENTITIES, PARTITIONS, idents, qualified, rows_error};

/// Combinations that fewer than k persons share, and how many persons stand in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rare {
    pub combinations: u64,
    pub persons: u64,
}

/// Counts over the live rows of other batches and the staged rows of this one. A person counts once, in however many
/// batches. A combination of nulls only tells nothing and does not count.
pub async fn rare(
    client: &Client,
    entity: &Entity,
    gate: &Gate,
    staged: Option<&Staged>,
    batch: &Batch,
) -> Result<Rare> {
    let failed = |error| rows_error(format!("the rows of {} can't be counted", entity.name), &error);
    let sql = format!(
        "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(persons), 0)::int8 FROM ({}) rare",
        rare_combinations(entity, gate, staged)
    );
    let k = least(gate);
    let row = client
        .query_typed_one(&sql, &parameters(batch, &k))
        .await
        .map_err(failed)?;
    let number = |at| row.try_get::<_, i64>(at).map(i64::unsigned_abs).map_err(failed);
    Ok::<_, Error>(Rare {
        combinations: number(0)?,
        persons: number(1)?,
    })
}

/// The keys of the staged rows whose combination fewer than k persons share, as texts (see [`relations::missing`]).
pub async fn rare_rows(
    client: &Client,
    entity: &Entity,
    gate: &Gate,
    staged: &Staged,
    batch: &Batch,
) -> Result<Vec<Vec<String>>> {
    let failed = |error| rows_error(format!("the rows of {} can't be counted", entity.name), &error);
    let quasi = idents(&gate.quasi);
    let of_row: Vec<String> = gate.quasi.iter().map(|name| format!("c.{}", idents(&[name]))).collect();
    // A comparison of whole rows holds nulls equal, and can be hashed.
    let sql = format!(
        "SELECT {} FROM (SELECT * FROM {} WHERE pg_catalog.num_nonnulls({quasi}) > 0) c JOIN ({}) rare \
         ON rare.combination OPERATOR(pg_catalog.=) ROW({}) LIMIT {}",
        relations::key_texts(entity, &entity.key).join(", "),
        qualified(PARTITIONS, &staged.name),
        rare_combinations(entity, gate, Some(staged)),
        of_row.join(", "),
        relations::MOST + 1,
    );
    let k = least(gate);
    let rows = client.query_typed(&sql, &parameters(batch, &k)).await.map_err(failed)?;
    if rows.len() > relations::MOST {
        return Err(Error::batch(format!(
            "the combinations of {} in more than {} rows of {} are shared by fewer than {} persons",
            gate.quasi.join(", "),
            relations::MOST,
            entity.name,
            gate.k
        ))
        .hint("make these columns coarser in the SQL or by their masks"));
    }
    relations::texts_of(&rows).map_err(failed)
}

/// A SELECT of the combinations that fewer than $3 persons share, with the number of these, after the batch of source $1
/// and date $2 is replaced. Where persons can be told apart within a batch only, the batch with the most counts.
fn rare_combinations(entity: &Entity, gate: &Gate, staged: Option<&Staged>) -> String {
    let (quasi, key) = (idents(&gate.quasi), idents(&entity.key));
    let select = |batch: &str| {
        let batch = if gate.per_batch { batch } else { "NULL" };
        format!("SELECT ROW({quasi}) AS combination, ROW({key}) AS person, {batch} AS batch FROM")
    };
    let some = format!("pg_catalog.num_nonnulls({quasi}) > 0");
    let of_staged = staged.map_or_else(String::new, |staged| {
        format!(
            " UNION ALL {} {} WHERE {some}",
            select("ROW($1, $2)"),
            qualified(PARTITIONS, &staged.name)
        )
    });
    format!(
        "SELECT combination, pg_catalog.max(persons) AS persons FROM (          SELECT combination, pg_catalog.count(DISTINCT person) AS persons FROM (          {} {} WHERE NOT (source = $1 AND batch_date = $2) AND {some}{of_staged}) r          GROUP BY combination, batch) b GROUP BY combination HAVING pg_catalog.max(persons) < $3",
        select("ROW(source, batch_date)"),
        qualified(ENTITIES, &entity.name),
    )
}

fn least(gate: &Gate) -> i64 {
    i64::try_from(gate.k).unwrap_or(i64::MAX)
}

fn parameters<'a>(batch: &'a Batch, k: &'a i64) -> [(&'a (dyn ToSql + Sync), Type); 3] {
    [(&batch.source, Type::TEXT), (&batch.date, Type::DATE), (k, Type::INT8)]
}
