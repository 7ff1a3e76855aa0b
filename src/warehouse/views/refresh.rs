//! Refreshing of materialized views: those that are marked as stale, each after the ones it reads. One that fails keeps
//! its mark and the next run tries it again; only those that read it wait with it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::types::{Oid, Type};
use tokio_util::sync::CancellationToken;

use super::file::qualified;
use super::registry;
use super::stale::{self, Mark, Stale};
use crate::error::{Error, Kind, Result};
use crate::model::{Project, ViewKind};
use crate::warehouse::connect::{Connection, Warehouse};
use crate::warehouse::sql::{PATH, PROJECT_PATH, db_error, rows_error, sqlstate};

/// A materialized view that was refreshed.
#[derive(Debug, Clone)]
pub struct Refreshed {
    pub name: String,
    pub took: Duration,
    /// Whether readers could use it during the refresh.
    pub concurrently: bool,
}

/// A materialized view that this program made, and what it reads through views and functions.
struct Reader {
    name: String,
    oid: Oid,
    /// Tables, views, materialized views and functions.
    reads: HashSet<Oid>,
    tables: HashSet<String>,
    /// Whether it calls a function whose body PostgreSQL keeps as text, or one that runs the SQL of a text, or reads the
    /// planner's statistics. What such a view reads is not known.
    opaque: bool,
    concurrently: bool,
}

/// What a refresh came to.
#[derive(Debug, Default)]
pub struct Refresh {
    pub refreshed: Vec<Refreshed>,
    /// Of each view that failed.
    pub errors: Vec<Error>,
    /// What is still to be refreshed: those that failed, those that read them, and those that a signal came before.
    pub stale: Vec<Stale>,
}

/// The materialized views whose rows are older than what they read. Changes nothing.
pub async fn stale(warehouse: &Warehouse) -> Result<Vec<Stale>> {
    let owed = Owed::read(&*warehouse.acquire().await?).await?;
    Ok(owed.in_order().into_iter().map(|reader| owed.stale(reader)).collect())
}

/// Refreshes the materialized views that are stale, each by itself; in the order in which they read each other, and
/// without locking readers out where a unique index allows it.
///
/// # Errors
/// What is stale can't be found out. That a view can't be refreshed is part of the outcome.
pub async fn refresh(warehouse: &Warehouse, project: &Project, stop: &CancellationToken) -> Result<Refresh> {
    let mut refresh = Refresh::default();
    if !project.views.iter().any(|view| view.kind == ViewKind::Materialized) {
        return Ok(refresh);
    }
    let mut connection = warehouse.acquire().await?;
    let owed = Owed::read(&connection).await?;
    for (name, runs) in owed.idle() {
        stale::forget(&connection, &name, &runs).await?;
    }
    let (mut failed, mut over): (HashSet<Oid>, bool) = (HashSet::new(), false);
    for reader in owed.in_order() {
        over = over || stop.is_cancelled();
        if over || failed.iter().any(|oid| reader.reads.contains(oid)) {
            failed.insert(reader.oid);
            refresh.stale.push(owed.stale(reader));
            continue;
        }
        // On the embedded database nobody reads meanwhile.
        let concurrently = reader.concurrently && !warehouse.is_embedded();
        let started = Instant::now();
        let done = tokio::select! {
            done = refresh_one(&mut connection, reader, concurrently, project) => done,
            () = stop.cancelled() => Err(Error::interrupted()),
        };
        let Err(error) = done else {
            refresh.refreshed.push(Refreshed {
                name: reader.name.clone(),
                took: started.elapsed(),
                concurrently,
            });
            continue;
        };
        failed.insert(reader.oid);
        refresh.stale.push(owed.stale(reader));
        over = matches!(error.kind, Kind::Unreachable | Kind::Interrupted(_));
        if !matches!(error.kind, Kind::Interrupted(_)) {
            refresh.errors.push(error);
        }
    }
    if over {
        // The server may still be at the statement that was given up.
        connection.discard();
    }
    Ok(refresh)
}

/// What the marks come to.
struct Owed {
    marks: Vec<Mark>,
    readers: Vec<Reader>,
    /// Those that a mark concerns, and those that read one of them.
    due: HashSet<Oid>,
}

impl Owed {
    async fn read(client: &Client) -> Result<Self> {
        let marks = stale::marks(client).await?;
        let readers = if marks.is_empty() {
            Vec::new()
        } else {
            readers(client).await?
        };
        let marked: HashSet<Oid> = readers
            .iter()
            .filter(|reader| marks.iter().any(|mark| reader.is_concerned(mark)))
            .map(|reader| reader.oid)
            .collect();
        let due = readers
            .iter()
            .filter(|reader| marked.contains(&reader.oid) || !reader.reads.is_disjoint(&marked))
            .map(|reader| reader.oid)
            .collect();
        Ok(Self { marks, readers, due })
    }

    fn in_order(&self) -> Vec<&Reader> {
        ordered(
            self.readers
                .iter()
                .filter(|reader| self.due.contains(&reader.oid))
                .collect(),
        )
    }

    fn stale(&self, reader: &Reader) -> Stale {
        let marks = self.marks.iter().filter(|mark| reader.is_concerned(mark));
        let runs: BTreeSet<i64> = marks.map(|mark| mark.run_id).collect();
        Stale {
            name: reader.name.clone(),
            runs: runs.into_iter().collect(),
        }
    }

    /// The marks of views that do not read what was changed, or are gone: the runs of each.
    fn idle(&self) -> BTreeMap<String, Vec<i64>> {
        let is_due = |name: &str| {
            let mut due = self.readers.iter().filter(|reader| self.due.contains(&reader.oid));
            due.any(|reader| reader.name == name)
        };
        let mut idle: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for mark in self.marks.iter().filter(|mark| !is_due(&mark.name)) {
            idle.entry(mark.name.clone()).or_default().push(mark.run_id);
        }
        idle
    }
}

impl Reader {
    fn is_concerned(&self, mark: &Mark) -> bool {
        mark.name == self.name && (self.opaque || self.tables.contains(&mark.entity))
    }
}

/// Names of the materialized views that read one of these objects, in the order to refresh them. `any_function` says
/// whether a function is among the objects: a function whose body is kept as text may call it without a recorded
/// dependency.
pub(super) async fn readers_of(client: &Client, objects: &[Oid], any_function: bool) -> Result<Vec<String>> {
    let readers = readers(client).await?;
    let stale = readers
        .iter()
        .filter(|reader| (any_function && reader.opaque) || objects.iter().any(|object| reader.reads.contains(object)));
    Ok(ordered(stale.collect())
        .into_iter()
        .map(|reader| reader.name.clone())
        .collect())
}

async fn refresh_one(
    connection: &mut Connection,
    reader: &Reader,
    concurrently: bool,
    project: &Project,
) -> Result<()> {
    let failed = |error: tokio_postgres::Error| explain(&reader.name, project, &error);
    let runs = stale::runs_of(connection, &reader.name).await?;
    let transaction = connection.transaction().await.map_err(failed)?;
    if concurrently {
        // Without a limit: waiting for another refresh of the same view is right, and this lock blocks no reader.
        transaction
            .batch_execute("SET LOCAL lock_timeout = 0")
            .await
            .map_err(failed)?;
    }
    let sql = statement(&reader.name, concurrently);
    transaction.batch_execute(&sql).await.map_err(failed)?;
    stale::forget(transaction.client(), &reader.name, &runs).await?;
    transaction.commit().await.map_err(failed)
}

/// The statements that refresh a view in a transaction. What it calls may have no path of its own.
pub(super) fn statement(name: &str, concurrently: bool) -> String {
    let word = if concurrently { "CONCURRENTLY " } else { "" };
    format!(
        "SET LOCAL {PROJECT_PATH}; REFRESH MATERIALIZED VIEW {word}{}; SET LOCAL {PATH}",
        qualified(name)
    )
}

fn explain(name: &str, project: &Project, error: &tokio_postgres::Error) -> Error {
    let view = project
        .views
        .iter()
        .find(|view| view.kind == ViewKind::Materialized && view.name == name);
    let place = view.map_or_else(String::new, |view| format!(" ({})", view.path.display()));
    let built = rows_error(format!("the materialized view {name}{place} can't be refreshed"), error);
    match sqlstate(error) {
        Some("21000" | "23505") => built
            .hint("its rows are not unique by the columns of its `-- unique:` line; name others, or mend the SELECT"),
        _ => built,
    }
}

/// Sorts the views so that each comes after those that it reads. `reads` is transitive.
fn ordered(mut readers: Vec<&Reader>) -> Vec<&Reader> {
    readers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut sorted: Vec<&Reader> = Vec::new();
    while !readers.is_empty() {
        let waits = |reader: &Reader| {
            readers.iter().any(|other| {
                // One that may read any other comes after all whose reading is known.
                let may_read = reader.opaque && !other.opaque && !other.reads.contains(&reader.oid);
                other.oid != reader.oid && (may_read || reader.reads.contains(&other.oid))
            })
        };
        let (later, now): (Vec<&Reader>, Vec<&Reader>) = readers.iter().partition(|reader| waits(reader));
        if now.is_empty() {
            sorted.extend(later);
            break;
        }
        sorted.extend(now);
        readers = later;
    }
    sorted
}

/// Functions of PostgreSQL that run the SQL of a text, and what shows the planner's statistics, are PostgreSQL's own. Of what
/// uses those, no dependency is recorded, so they are looked up in the parsed queries.
const SQL: &str = "
WITH RECURSIVE texts (pattern) AS (
    SELECT ':(funcid ' || coalesce(pg_catalog.string_agg(p.oid::text, '|funcid '), '0') || ')[ }]'
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
    AND (p.proname ~ '^(query|cursor|table|schema|database)_to_xml' OR p.proname IN ('ts_stat', 'ts_rewrite'))
), statistics (pattern) AS (
    SELECT ':(relid ' || coalesce(pg_catalog.string_agg(c.oid::text, '|relid '), '0') || ')[ }]'
    FROM pg_catalog.pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relname ~ '^pg_stat'
), found (top, classid, objid) AS (
    SELECT c.oid, 'pg_catalog.pg_class'::regclass::oid, c.oid
    FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1)
    UNION
    SELECT found.top, d.refclassid, d.refobjid
    FROM found
    JOIN LATERAL (
        SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
        WHERE found.classid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass) AND d.classid = found.classid AND d.objid = found.objid
        UNION ALL
        SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_rewrite r
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
        WHERE found.classid = 'pg_catalog.pg_class'::regclass AND r.ev_class = found.objid
    ) d ON d.refclassid IN
        ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
)
SELECT f.top,
       coalesce(array_agg(f.objid) FILTER (WHERE f.objid <> f.top), '{}'),
       coalesce(array_agg(c.relname::text) FILTER (
           WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace), '{}'),
       -- Functions of the system read no table; 16384 is the first oid of a user's object.
       coalesce(bool_or(p.oid >= 16384 AND p.prosqlbody IS NULL), false)
       OR coalesce(bool_or(p.oid >= 16384 AND p.prosqlbody::text ~ ANY (ARRAY[texts.pattern, statistics.pattern])), false)
       OR coalesce(bool_or(EXISTS (
           SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND c.oid >= 16384
           AND r.ev_action::text ~ ANY (ARRAY[texts.pattern, statistics.pattern]))), false),
       t.relispopulated AND EXISTS (
           SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = f.top AND i.indisunique AND i.indisvalid
           AND i.indpred IS NULL AND i.indexprs IS NULL)
FROM found f
CROSS JOIN texts CROSS JOIN statistics
JOIN pg_catalog.pg_class t ON t.oid = f.top
LEFT JOIN pg_catalog.pg_class c ON f.classid = 'pg_catalog.pg_class'::regclass AND c.oid = f.objid
LEFT JOIN pg_catalog.pg_proc p ON f.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = f.objid
GROUP BY f.top, t.relispopulated";

async fn readers(client: &Client) -> Result<Vec<Reader>> {
    let entries = registry::read(client).await?;
    let ours = entries.iter().filter(|entry| entry.kind == ViewKind::Materialized);
    let names: Vec<(Oid, &str)> = ours
        .filter_map(|entry| Some((entry.oid?, entry.name.as_str())))
        .collect();
    let oids: Vec<Oid> = names.iter().map(|(oid, _)| *oid).collect();
    let rows = client.query_typed(SQL, &[(&oids, Type::OID_ARRAY)]).await;
    let rows = rows.map_err(|error| db_error("what the materialized views read can't be looked up", &error))?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let oid = row.get(0);
            let name = names.iter().find(|(known, _)| *known == oid)?.1.to_owned();
            let reads: Vec<Oid> = row.get(1);
            let tables: Vec<String> = row.get(2);
            Some(Reader {
                name,
                oid,
                reads: reads.into_iter().collect(),
                tables: tables.into_iter().collect(),
                opaque: row.get(3),
                concurrently: row.get(4),
            })
        })
        .collect())
}
