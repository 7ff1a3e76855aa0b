//! Names, bounds and DDL of staging tables and partitions, as text. It asks no database. A batch's partition is found
//! in the catalog by its bound, never by its name.

use chrono::{Days, NaiveDate};
use sha2::{Digest, Sha256};

use crate::model::{Batch, Entity};
use crate::warehouse::schema::ddl;
use crate::warehouse::sql::{ENTITIES, PARTITIONS, at_most, ident, idents, literal, qualified};

/// The longest name in bytes. PostgreSQL cuts names at 63; a partition's name must leave room for `_bound` and the
/// like.
const MAX_NAME: usize = 52;

/// The name of a run's staging table, which the partition keeps: the entity's name, shortened where it is long, the
/// attempt, where several processes may work for the run, and the run.
pub(super) fn staging_name(entity: &str, attempt: Option<&str>, run_id: i64) -> String {
    let tail = match attempt {
        Some(attempt) => format!("_a{attempt}_r{run_id}"),
        None => format!("_r{run_id}"),
    };
    if entity.len() + tail.len() <= MAX_NAME {
        return format!("{entity}{tail}");
    }
    // Two long names may start alike, so a hash tells them apart.
    let hash = short_hash(&[entity]);
    let head = cut(entity, MAX_NAME - tail.len() - hash.len() - 1);
    format!("{head}_{hash}{tail}")
}

/// The name of an entity's partition for a source. The hash prevents two collisions: `a_b` + `c` with `a` + `b_c`,
/// and a source called `x_r7` with a batch's partition.
pub(super) fn source_name(entity: &str, source: &str) -> String {
    let hash = short_hash(&[entity, source]);
    let plain = format!("{entity}_{source}");
    format!("{}_{hash}", cut(&plain, MAX_NAME - hash.len() - 1))
}

/// A source partition's bound, as `pg_get_expr(relpartbound)` writes it.
pub(super) fn source_bound(source: &str) -> String {
    format!("FOR VALUES IN ('{}')", source.replace('\'', "''"))
}

/// `CREATE TABLE` of a staging table with the contract's columns. [`finish_staging`] adds the partition columns after
/// the COPY, since they are the same in each row.
///
/// Its commit does not wait for the disk. A crash may then lose the table, which nobody has seen yet. The swap's
/// commit does wait, and makes everything durable that was written before it (PostgreSQL's manual, "Asynchronous
/// Commit").
pub(super) fn create_staging(entity: &Entity, name: &str) -> String {
    let columns: Vec<String> = entity.columns.iter().map(ddl::column_definition).collect();
    format!(
        "SET LOCAL synchronous_commit = off; CREATE TABLE {} ({})",
        qualified(PARTITIONS, name),
        columns.join(", ")
    )
}

/// The COPY that fills the staging table. It uses FREEZE: after a plain COPY, a reader with an older snapshot would
/// find the new partition but none of its rows.
pub(super) fn copy_into(entity: &Entity, name: &str) -> String {
    let columns: Vec<&str> = entity.columns.iter().map(|column| column.name.as_str()).collect();
    let columns = idents(&columns);
    format!(
        "COPY {} ({columns}) FROM STDIN (FORMAT binary, FREEZE)",
        qualified(PARTITIONS, name)
    )
}

/// The statements that prepare a filled staging table, so that attaching it needs no work under a lock. In order: the
/// partition columns, a constraint that implies the bounds (else ATTACH reads the table), the key and the indexes of
/// the entity's table (else ATTACH builds them), statistics.
///
/// Adding a column with a constant default stores the value once in the catalog (PostgreSQL's manual, ALTER TABLE,
/// notes). So no row is sent or stored with it, and dropping the default changes no row.
pub(super) fn finish_staging(entity: &Entity, name: &str, batch: &Batch, rows: u64) -> Vec<String> {
    let table = qualified(PARTITIONS, name);
    let (source, from, to) = (
        literal(&batch.source),
        literal_date(batch.date),
        literal_date(next(batch.date)),
    );
    let (mut added, mut dropped) = (Vec::new(), Vec::new());
    for ((column, kind), value) in ddl::PARTITION_COLUMNS.iter().zip([&source, &from]) {
        let column = ident(column);
        added.push(format!("ADD COLUMN {column} {kind} NOT NULL DEFAULT {value}"));
        dropped.push(format!("ALTER COLUMN {column} DROP DEFAULT"));
    }
    let mut statements = vec![format!(
        "ALTER TABLE {table} {}, ADD CONSTRAINT {} CHECK (source IS NOT NULL AND source = {source} \
         AND batch_date IS NOT NULL AND batch_date >= date {from} AND batch_date < date {to}); \
         ALTER TABLE {table} {}",
        added.join(", "),
        bound_constraint(name),
        dropped.join(", "),
    )];
    if let Some(columns) = ddl::key_columns(entity) {
        let (key, columns) = (ident(&format!("{name}_pkey")), idents(&columns));
        statements.push(format!(
            "ALTER TABLE {table} ADD CONSTRAINT {key} PRIMARY KEY ({columns})"
        ));
    }
    statements.extend(entity.indexes.iter().enumerate().map(|(at, index)| {
        let index_name = ident(&format!("{name}_i{}", at + 1));
        format!("CREATE INDEX {index_name} ON {table} ({})", idents(&index.columns))
    }));
    statements.push(analyze(&table, rows));
    statements
}

/// Collects statistics from a tenth of the rows, and from 7500 at least. By default the server samples 30,000 rows;
/// for a table of some ten thousand rows that takes as long as its indexes. The server samples 300 rows per unit of
/// the target (PostgreSQL's manual, ANALYZE).
fn analyze(table: &str, rows: u64) -> String {
    const ROWS_PER_UNIT: u64 = 300;
    const LEAST: u64 = 25;
    // For so small a table the server reads all rows, whatever the target is.
    if rows <= LEAST * ROWS_PER_UNIT {
        return format!("ANALYZE {table}");
    }
    // 10,000 is the largest target that the server takes.
    let target = (rows / 10 / ROWS_PER_UNIT).clamp(LEAST, 10_000);
    format!("{}; ANALYZE {table}", at_most("default_statistics_target", target))
}

/// Makes the partition of a source, the level between an entity's table and the partitions of batches.
pub(super) fn create_source(entity: &str, source: &str) -> String {
    format!(
        "CREATE TABLE {} PARTITION OF {} FOR VALUES IN ({}) PARTITION BY RANGE (batch_date);\n",
        qualified(PARTITIONS, &source_name(entity, source)),
        qualified(ENTITIES, entity),
        literal(source),
    )
}

/// Attaches a staging table as a partition, and drops the constraint that only served the attaching.
pub(super) fn attach(of_source: &str, name: &str, date: NaiveDate) -> String {
    let table = qualified(PARTITIONS, name);
    format!(
        "ALTER TABLE {of_source} ATTACH PARTITION {table} FOR VALUES FROM ({}) TO ({});\n\
         ALTER TABLE {table} DROP CONSTRAINT {};\n",
        literal_date(date),
        literal_date(next(date)),
        bound_constraint(name),
    )
}

fn bound_constraint(name: &str) -> String {
    ident(&format!("{name}_bound"))
}

/// A date literal in ISO form, which PostgreSQL reads under every DateStyle.
fn literal_date(date: NaiveDate) -> String {
    format!("'{}'", date.format("%Y-%m-%d"))
}

/// The next day, the exclusive end of a batch's bound.
pub(super) fn next(date: NaiveDate) -> NaiveDate {
    date.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX)
}

fn cut(name: &str, most: usize) -> &str {
    &name[..name.floor_char_boundary(most)]
}

fn short_hash(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\0"));
    format!("{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Index, PgType};
    use crate::warehouse::copy::testing::{entity, may_second};

    /// The run that a staging table or partition belongs to, read from its name as recovery does in SQL.
    fn run_of(name: &str) -> Option<i64> {
        let digits = &name[name.rfind("_r")? + 2..];
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            digits.parse().ok()
        } else {
            None
        }
    }

    #[test]
    fn names_stay_short_distinct_and_tell_their_run() {
        assert_eq!(staging_name("visits", None, 42), "visits_r42");
        assert_eq!(staging_name("visits", Some("0f3c"), 42), "visits_a0f3c_r42");
        let (a, b) = ("é".repeat(40) + "a", "é".repeat(40) + "b");
        let (a, b) = (staging_name(&a, None, i64::MAX), staging_name(&b, None, i64::MAX));
        assert_ne!(a, b);
        assert!(a.len() <= MAX_NAME && format!("{a}_bound").len() < 64);
        assert_eq!(run_of(&a), Some(i64::MAX));
        assert_eq!(run_of("visits_r42"), Some(42));
        for other in [
            "visits",
            "visits_r",
            "visits_r4x",
            "visits_r-4",
            &source_name("visits", "x_r7"),
        ] {
            assert_eq!(run_of(other), None, "{other}");
        }
        assert_ne!(source_name("a_b", "c"), source_name("a", "b_c"));
        assert!(source_name(&"e".repeat(60), &"s".repeat(60)).len() <= MAX_NAME);
    }

    #[test]
    fn a_bound_reads_as_the_catalog_writes_it() {
        assert_eq!(source_bound("O'Hara"), "FOR VALUES IN ('O''Hara')");
    }

    #[test]
    fn ddl() {
        let mut visits = entity(&[
            ("visit id", PgType::Text, false),
            ("dose", PgType::Numeric(Some((10, 2))), true),
        ]);
        visits.key = vec!["visit id".to_owned()];
        visits.indexes = vec![Index {
            columns: vec!["dose".to_owned(), "visit id".to_owned()],
        }];
        let name = staging_name(&visits.name, None, 7);
        assert_eq!(
            create_staging(&visits, &name),
            "SET LOCAL synchronous_commit = off; \
             CREATE TABLE \"pipeline_partitions\".\"visits_r7\" (\"visit id\" text NOT NULL, \"dose\" numeric(10,2))"
        );
        assert_eq!(
            finish_staging(&visits, &name, &may_second(), 2),
            [
                "ALTER TABLE \"pipeline_partitions\".\"visits_r7\" ADD COLUMN \"source\" text NOT NULL DEFAULT 'b', \
                 ADD COLUMN \"batch_date\" date NOT NULL DEFAULT '2023-05-02', ADD CONSTRAINT \"visits_r7_bound\" \
                 CHECK (source IS NOT NULL AND source = 'b' AND batch_date IS NOT NULL \
                 AND batch_date >= date '2023-05-02' AND batch_date < date '2023-05-03'); \
                 ALTER TABLE \"pipeline_partitions\".\"visits_r7\" ALTER COLUMN \"source\" DROP DEFAULT, \
                 ALTER COLUMN \"batch_date\" DROP DEFAULT",
                "ALTER TABLE \"pipeline_partitions\".\"visits_r7\" ADD CONSTRAINT \"visits_r7_pkey\" \
                 PRIMARY KEY (\"visit id\", \"source\", \"batch_date\")",
                "CREATE INDEX \"visits_r7_i1\" ON \"pipeline_partitions\".\"visits_r7\" (\"dose\", \"visit id\")",
                "ANALYZE \"pipeline_partitions\".\"visits_r7\"",
            ]
        );
    }

    #[test]
    fn statistics_look_at_a_part_of_a_middling_table() {
        let target = |rows| {
            let statement = analyze("t", rows);
            let reduced = statement.strip_suffix("::text, true); ANALYZE t")?;
            Some(reduced.rsplit_once(", ")?.1.trim_end_matches(')').to_owned())
        };
        assert_eq!((target(7_500), analyze("t", 7_500)), (None, "ANALYZE t".to_owned()));
        assert_eq!(target(7_501).as_deref(), Some("25"));
        assert_eq!(target(90_000).as_deref(), Some("30"));
        // The result never exceeds the server's own default setting.
        assert_eq!(target(1_350_000).as_deref(), Some("450"));
        assert_eq!(target(u64::MAX).as_deref(), Some("10000"));
    }
}
