//! Finds the partitions that hold a batch's rows in the catalog. Partitions are looked up by their bounds, never by
//! their names.

use tokio_postgres::types::Type;

use super::partition;
use crate::model::{Batch, Entity};
use crate::warehouse::sql::ENTITIES;

/// The partitions of one entity and one batch in the catalog. Names are quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchPartitions {
    pub entity: String,
    /// Whether the entity has a partitioned table.
    pub has_root: bool,
    /// The source's partition, the parent of the batch partitions.
    pub of_source: Option<String>,
    /// The batch's own partition, which holds its present rows.
    pub current: Option<String>,
}

/// The partitions of a batch in the catalog, in the entities' order, found by their bounds.
pub(super) async fn find(
    client: &impl tokio_postgres::GenericClient,
    entities: &[Entity],
    batch: &Batch,
) -> Result<Vec<BatchPartitions>, tokio_postgres::Error> {
    // The catalog writes the dates of a bound in the session's DateStyle. `format` uses the same style.
    let sql = "SELECT e.name, root.oid IS NOT NULL, quote_ident(pn.nspname) || '.' || quote_ident(p.relname), \
               quote_ident(ln.nspname) || '.' || quote_ident(l.relname) \
               FROM unnest($1::text[]) WITH ORDINALITY e (name, place) \
               LEFT JOIN pg_class root ON root.relname = e.name AND root.relkind = 'p' \
               AND root.relnamespace = $5::text::regnamespace \
               LEFT JOIN LATERAL (SELECT c.* FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
               WHERE i.inhparent = root.oid AND pg_get_expr(c.relpartbound, c.oid) = $2) p ON true \
               LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace \
               LEFT JOIN LATERAL (SELECT c.* FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
               WHERE i.inhparent = p.oid AND pg_get_expr(c.relpartbound, c.oid) = \
               format('FOR VALUES FROM (%L) TO (%L)', $3::date, $4::date)) l ON true \
               LEFT JOIN pg_namespace ln ON ln.oid = l.relnamespace ORDER BY e.place";
    let names: Vec<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
    let bound = partition::source_bound(&batch.source);
    let next = partition::next(batch.date);
    let rows = client
        .query_typed(
            sql,
            &[
                (&names, Type::TEXT_ARRAY),
                (&bound, Type::TEXT),
                (&batch.date, Type::DATE),
                (&next, Type::DATE),
                (&ENTITIES, Type::TEXT),
            ],
        )
        .await?;
    let read = |row: &tokio_postgres::Row| {
        Ok(BatchPartitions {
            entity: row.try_get(0)?,
            has_root: row.try_get(1)?,
            of_source: row.try_get(2)?,
            current: row.try_get(3)?,
        })
    };
    rows.iter().map(read).collect()
}
