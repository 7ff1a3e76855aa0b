//! Counts combinations of quasi-identifiers that too few persons share, over an entity's rows as they will be after a
//! swap. Only numbers leave the database.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

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
    let (quasi, key) = (idents(&gate.quasi), idents(&entity.key));
    let of_staged = staged.map_or_else(String::new, |staged| {
        format!(
            " UNION ALL SELECT {quasi}, ROW({key}) FROM {}",
            qualified(PARTITIONS, &staged.name)
        )
    });
    let sql = format!(
        "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(persons), 0)::int8 FROM ( \
         SELECT pg_catalog.count(DISTINCT person) AS persons FROM ( \
         SELECT {quasi}, ROW({key}) FROM {} WHERE NOT (source = $1 AND batch_date = $2){of_staged}) r ({quasi}, person) \
         WHERE pg_catalog.num_nonnulls({quasi}) > 0 GROUP BY {quasi} \
         HAVING pg_catalog.count(DISTINCT person) < $3) rare",
        qualified(ENTITIES, &entity.name),
    );
    let k = i64::try_from(gate.k).unwrap_or(i64::MAX);
    let parameters = [
        (&batch.source as _, Type::TEXT),
        (&batch.date as _, Type::DATE),
        (&k as _, Type::INT8),
    ];
    let row = client.query_typed_one(&sql, &parameters).await.map_err(failed)?;
    let number = |at| row.try_get::<_, i64>(at).map(i64::unsigned_abs).map_err(failed);
    Ok::<_, Error>(Rare {
        combinations: number(0)?,
        persons: number(1)?,
    })
}
