//! Names, bounds and DDL of partitions, as text. Pure: it asks no database, and whoever wants to know which leaf a batch
//! has asks the catalog for its bound, never for its name.

use chrono::{Days, NaiveDate};
use sha2::{Digest, Sha256};

use super::ddl;
use super::sql::{at_most, ident, idents, literal};
use crate::model::{Batch, Entity};

/// The schema of source-level partitions and leaves.
pub const SCHEMA: &str = "pipeline_leaves";
/// The schema of the entity tables.
pub const ROOTS: &str = "public";

/// PostgreSQL cuts names at 63 bytes; a leaf's must leave room for `_bound` and the like.
const MAX_NAME: usize = 52;

/// The name of a run's staging table, which is the later leaf: the entity, cut, and the run.
pub fn staging_name(entity: &str, run_id: i64) -> String {
    let tail = format!("_r{run_id}");
    if entity.len() + tail.len() <= MAX_NAME {
        return format!("{entity}{tail}");
    }
    // Two long names may share their beginning.
    let hash = short_hash(&[entity]);
    let head = cut(entity, MAX_NAME - tail.len() - hash.len() - 1);
    format!("{head}_{hash}{tail}")
}

/// The run that a staging table or leaf belongs to, from its name.
pub fn run_of(name: &str) -> Option<i64> {
    let digits = &name[name.rfind("_r")? + 2..];
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

/// The name of an entity's partition for a source. The hash keeps `a_b` + `c` and `a` + `b_c` apart, and a source
/// called `x_r7` from a leaf.
pub fn source_name(entity: &str, source: &str) -> String {
    let hash = short_hash(&[entity, source]);
    let plain = format!("{entity}_{source}");
    format!("{}_{hash}", cut(&plain, MAX_NAME - hash.len() - 1))
}

/// The key of a batch's advisory lock: the same in every process and version.
pub fn lock_key(batch: &Batch) -> i64 {
    let digest = Sha256::digest(format!("pipeline batch\0{}\0{}", batch.source, batch.date));
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(key)
}

/// A source-level partition's bound as `pg_get_expr(relpartbound)` writes it.
pub fn source_bound(source: &str) -> String {
    format!("FOR VALUES IN ('{}')", source.replace('\'', "''"))
}

/// `CREATE TABLE` of a staging table: the contract's columns. Those of the partition are the same in each row, so they
/// come after the COPY, as [`finish_staging`] tells.
///
/// Its commit need not wait for the disk: what a crash takes then is a table that nobody has seen, and the swap's commit,
/// which waits, makes all that was written before it durable (PostgreSQL's manual, asynchronous commit).
pub fn create_staging(entity: &Entity, name: &str) -> String {
    let columns: Vec<String> = entity.columns.iter().map(ddl::column_definition).collect();
    format!(
        "SET LOCAL synchronous_commit = off; CREATE TABLE {} ({})",
        qualified(SCHEMA, name),
        columns.join(", ")
    )
}

/// The COPY that fills it. FREEZE, because a reader whose snapshot is older than a plain COPY would find the new leaf
/// and none of its rows.
pub fn copy_into(entity: &Entity, name: &str) -> String {
    let columns: Vec<&str> = entity.columns.iter().map(|column| column.name.as_str()).collect();
    let columns = idents(&columns);
    format!(
        "COPY {} ({columns}) FROM STDIN (FORMAT binary, FREEZE)",
        qualified(SCHEMA, name)
    )
}

/// The partition columns, key and indexes as the entity's table has them (else ATTACH builds them under its lock), a
/// constraint that implies the bounds (else ATTACH reads the table), statistics; in this order.
///
/// A column added with a constant default is kept once in the catalog and not in the rows (PostgreSQL's manual,
/// ALTER TABLE, notes): the rows are neither sent nor stored with it, and it stays when the default goes.
pub fn finish_staging(entity: &Entity, name: &str, batch: &Batch, rows: u64) -> Vec<String> {
    let table = qualified(SCHEMA, name);
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

/// Statistics, from a tenth of the rows or 7500 where the server would look at more: by default it takes 30,000, which
/// for a table of some ten thousand rows costs as much as its indexes. 300 rows are looked at for each unit of the
/// target (PostgreSQL's manual, ANALYZE).
fn analyze(table: &str, rows: u64) -> String {
    const ROWS_PER_UNIT: u64 = 300;
    const LEAST: u64 = 25;
    // All rows are looked at whatever the target is.
    if rows <= LEAST * ROWS_PER_UNIT {
        return format!("ANALYZE {table}");
    }
    // The server's most.
    let target = (rows / 10 / ROWS_PER_UNIT).clamp(LEAST, 10_000);
    format!("{}; ANALYZE {table}", at_most("default_statistics_target", target))
}

/// The missing level between an entity's table and its leaves.
pub fn create_source(entity: &str, source: &str) -> String {
    format!(
        "CREATE TABLE {} PARTITION OF {} FOR VALUES IN ({}) PARTITION BY RANGE (batch_date);\n",
        qualified(SCHEMA, &source_name(entity, source)),
        qualified(ROOTS, entity),
        literal(source),
    )
}

/// Makes a staging table a leaf; the helper constraint has served then.
pub fn attach(partition: &str, name: &str, date: NaiveDate) -> String {
    let leaf = qualified(SCHEMA, name);
    format!(
        "ALTER TABLE {partition} ATTACH PARTITION {leaf} FOR VALUES FROM ({}) TO ({});\n\
         ALTER TABLE {leaf} DROP CONSTRAINT {};\n",
        literal_date(date),
        literal_date(next(date)),
        bound_constraint(name),
    )
}

fn bound_constraint(name: &str) -> String {
    ident(&format!("{name}_bound"))
}

/// `"schema"."name"`
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// ISO, which every DateStyle reads.
fn literal_date(date: NaiveDate) -> String {
    format!("'{}'", date.format("%Y-%m-%d"))
}

/// The day after: where a batch's bound ends.
pub fn next(date: NaiveDate) -> NaiveDate {
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
    use super::super::encode::testing::{entity, may_second};
    use super::*;
    use crate::model::{Index, PgType};

    #[test]
    fn names_stay_short_distinct_and_tell_their_run() {
        assert_eq!(staging_name("visits", 42), "visits_r42");
        let (a, b) = ("é".repeat(40) + "a", "é".repeat(40) + "b");
        let (a, b) = (staging_name(&a, i64::MAX), staging_name(&b, i64::MAX));
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
    fn the_lock_key_never_changes() {
        let other = Batch {
            source: "c".to_owned(),
            ..may_second()
        };
        assert_ne!(lock_key(&may_second()), lock_key(&other));
        // SHA-256 of "pipeline batch\0b\02023-05-02", its first 8 bytes: another version's lease must be the same.
        assert_eq!(lock_key(&may_second()), -6_565_832_027_783_974_570);
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
        let name = staging_name(&visits.name, 7);
        assert_eq!(
            create_staging(&visits, &name),
            "SET LOCAL synchronous_commit = off; \
             CREATE TABLE \"pipeline_leaves\".\"visits_r7\" (\"visit id\" text NOT NULL, \"dose\" numeric(10,2))"
        );
        assert_eq!(
            finish_staging(&visits, &name, &may_second(), 2),
            [
                "ALTER TABLE \"pipeline_leaves\".\"visits_r7\" ADD COLUMN \"source\" text NOT NULL DEFAULT 'b', \
                 ADD COLUMN \"batch_date\" date NOT NULL DEFAULT '2023-05-02', ADD CONSTRAINT \"visits_r7_bound\" \
                 CHECK (source IS NOT NULL AND source = 'b' AND batch_date IS NOT NULL \
                 AND batch_date >= date '2023-05-02' AND batch_date < date '2023-05-03'); \
                 ALTER TABLE \"pipeline_leaves\".\"visits_r7\" ALTER COLUMN \"source\" DROP DEFAULT, \
                 ALTER COLUMN \"batch_date\" DROP DEFAULT",
                "ALTER TABLE \"pipeline_leaves\".\"visits_r7\" ADD CONSTRAINT \"visits_r7_pkey\" \
                 PRIMARY KEY (\"visit id\", \"source\", \"batch_date\")",
                "CREATE INDEX \"visits_r7_i1\" ON \"pipeline_leaves\".\"visits_r7\" (\"dose\", \"visit id\")",
                "ANALYZE \"pipeline_leaves\".\"visits_r7\"",
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
        // More than a server looks at unless it is told to: its own setting is the most.
        assert_eq!(target(1_350_000).as_deref(), Some("450"));
        assert_eq!(target(u64::MAX).as_deref(), Some("10000"));
    }
}
