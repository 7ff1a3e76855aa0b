//! Applies migrations: first those of the program's own state, then the user's `migrations/V{n}__{name}.sql`.
//! refinery runs each in its own transaction. A migration file that was changed after it ran is refused.

use std::ops::DerefMut;
use std::path::Path;

use refinery_core::{Migration, Runner, Target};
use tokio_postgres::Client;

use super::migration_files::{self, File};
use super::state;
use crate::error::{Error, Result};
use crate::warehouse::connect::Warehouse;
use crate::warehouse::sql::{Over, PATH, PROJECT_PATH, db_error, position};
use crate::workspace::Files;

const STATE_HISTORY: &str = "pipeline.migrations";
const USER_HISTORY: &str = "pipeline.user_migrations";
/// The key of the advisory lock that a migrating process holds. The number is arbitrary ("pipeline" in ASCII).
const LOCK: i64 = 0x7069_7065_6c69_6e65;

pub use super::migration_files::{read as files, read_in as files_in};

/// Migrations that were applied or are pending, in order: the program's own by name, the user's by path.
pub type Names = Vec<String>;

/// The migrations that the database lacks. Changes nothing. A file that was changed or is missing is an error.
pub async fn pending(warehouse: &Warehouse, root: &Path) -> Result<Names> {
    let files = migration_files::read(root)?;
    let connection = warehouse.acquire().await?;
    let plan = Plan::make(&connection, &files).await?;
    Ok(plan.names())
}

/// Applies the pending migrations and returns them. Only one process does so at a time.
pub async fn apply(warehouse: &Warehouse, root: &Path) -> Result<Names> {
    apply_in(warehouse, &Files::saved(root)).await
}

/// Like [`apply`], over files of which some may not be saved.
pub async fn apply_in(warehouse: &Warehouse, tree: &Files) -> Result<Names> {
    let files = migration_files::read_in(tree)?;
    if warehouse.is_embedded() {
        let mut connection = warehouse.acquire().await?;
        return apply_on(&mut connection, &files).await;
    }
    // The lock belongs to the session, so it ends if this process dies.
    let Some(mut session) = warehouse.dedicated().await? else {
        return Ok(Names::new());
    };
    session
        .batch_execute(&format!(
            "SET lock_timeout = 0; SELECT pg_catalog.pg_advisory_lock({LOCK})"
        ))
        .await
        .map_err(|error| db_error("the migrations' lock can't be had", &error))?;
    session
        .batch_execute("SET lock_timeout = '30s'")
        .await
        .map_err(|error| db_error("the session broke", &error))?;
    apply_on(&mut session, &files).await
}

async fn apply_on<C: DerefMut<Target = Client>>(session: &mut C, files: &[File]) -> Result<Names> {
    let plan = Plan::make(session, files).await?;
    if !plan.state.is_empty() {
        prepare(session).await?;
    }
    let all = state::migrations()?;
    for migration in &plan.state {
        run(session, &all, migration.version(), STATE_HISTORY)
            .await
            .map_err(|error| failed(format!("the engine's migration {migration} failed"), error))?;
    }
    let all: Vec<Migration> = files.iter().map(|file| file.migration.clone()).collect();
    for file in &plan.user {
        resolve(session, PROJECT_PATH).await?;
        let done = run(session, &all, file.version, USER_HISTORY).await;
        resolve(session, PATH).await?;
        done.map_err(|error| file.failed(error))?;
    }
    Ok(plan.names())
}

impl File {
    fn failed(&self, error: refinery_core::Error) -> Error {
        let place = postgres(&error).map(|error| position::diagnostic(&self.path, &self.text, 0, error, Over::Script));
        let built = failed(format!("the migration {} failed", self.path.display()), error)
            .hint("nothing of this migration was kept; mend the file and run `pipeline migrate` again");
        match place {
            // The diagnostic says what the cause says, and where.
            Some(place) => Error { cause: None, ..built }.diagnostics(vec![place]),
            None => built,
        }
    }
}

/// Makes the program's own state as an older version did, with the migrations up to `version`.
#[cfg(test)]
pub async fn apply_state_up_to(client: &mut Client, version: i32) -> Result<()> {
    prepare(client).await?;
    run(client, &state::migrations()?, version, STATE_HISTORY)
        .await
        .map_err(|error| failed("an old state can't be made".to_owned(), error))
}

/// Makes the schema of the history tables where it is missing. The check comes first, because a role that may not
/// make schemas can still use an existing one.
async fn prepare(client: &Client) -> Result<()> {
    let sql = "SELECT pg_catalog.to_regnamespace('pipeline') IS NULL";
    let failed = |error: tokio_postgres::Error| db_error("the schema `pipeline` can't be made", &error);
    if client.query_typed_one(sql, &[]).await.map_err(failed)?.get(0) {
        client.batch_execute("CREATE SCHEMA pipeline").await.map_err(failed)?;
    }
    Ok(())
}

/// Runs one version, so that an error can name it.
async fn run(client: &mut Client, all: &[Migration], version: i32, history: &str) -> Result<(), refinery_core::Error> {
    // What has run was compared with its file before, by whatever line endings.
    let mut runner = Runner::new(all)
        .set_target(Target::Version(version))
        .set_abort_divergent(false);
    runner.set_migration_table_name(history);
    runner.run_async(client).await.map(drop)
}

/// Sets which names the session resolves. A migration may have changed that, too.
async fn resolve(client: &Client, path: &str) -> Result<()> {
    let done = client.batch_execute(&format!("SET {path}")).await;
    done.map_err(|error| db_error("the session broke", &error))
}

fn postgres(error: &refinery_core::Error) -> Option<&tokio_postgres::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn failed(what: String, error: refinery_core::Error) -> Error {
    match postgres(&error) {
        Some(error) => db_error(what, error),
        // Refinery's other errors are about names and versions of migrations.
        None => Error::project(what).cause(error),
    }
}

/// What is to be done, found by comparing the files with the history.
struct Plan<'a> {
    state: Vec<Migration>,
    user: Vec<&'a File>,
}

struct Past {
    engine: bool,
    version: i32,
    name: String,
    checksum: String,
}

impl<'a> Plan<'a> {
    async fn make(client: &Client, files: &'a [File]) -> Result<Self> {
        let past = past(client).await?;
        let done = |engine: bool, version: i32| past.iter().any(|p| p.engine == engine && p.version == version);
        let all = state::migrations()?;
        for old in past.iter().filter(|old| old.engine) {
            let ours = all.iter().find(|ours| ours.version() == old.version);
            if ours.is_none_or(|ours| ours.checksum().to_string() != old.checksum) {
                return Err(
                    Error::project("the database's state was made by another version of this program")
                        .hint("use the newest version that has worked with this database"),
                );
            }
        }
        for old in past.iter().filter(|old| !old.engine) {
            check_past(old, files)?;
        }
        let last = past.iter().filter(|old| !old.engine).map(|old| old.version).max();
        let user: Vec<&File> = files.iter().filter(|file| !done(false, file.version)).collect();
        if let Some((late, last)) = user
            .iter()
            .find_map(|f| last.filter(|last| f.version < *last).map(|last| (f, last)))
        {
            return Err(Error::project(format!(
                "{} comes before migration {last}, which has already run",
                late.path.display()
            ))
            .hint("give it the next free number"));
        }
        Ok(Self {
            state: all.into_iter().filter(|ours| !done(true, ours.version())).collect(),
            user,
        })
    }

    fn names(&self) -> Names {
        let engine = self.state.iter().map(|migration| format!("pipeline {migration}"));
        engine
            .chain(self.user.iter().map(|file| file.path.display().to_string()))
            .collect()
    }
}

fn check_past(old: &Past, files: &[File]) -> Result<()> {
    let Some(file) = files.iter().find(|file| file.version == old.version) else {
        return Err(Error::project(format!(
            "migrations/V{}__{}.sql has run and is not there",
            old.version, old.name
        ))
        .hint("bring the file back; what it made is undone by a new migration"));
    };
    if file.is(&old.name, &old.checksum) {
        return Ok(());
    }
    let what = if file.migration.name() == old.name {
        format!("{} was changed after it had run", file.path.display())
    } else {
        format!(
            "{} has run under the name V{}__{}.sql",
            file.path.display(),
            old.version,
            old.name
        )
    };
    Err(Error::project(what).hint("undo the change and write a new migration: `pipeline migration new`"))
}

async fn past(client: &Client) -> Result<Vec<Past>> {
    let failed = |error: tokio_postgres::Error| db_error("the history of migrations can't be read", &error);
    let sql = format!(
        "SELECT pg_catalog.to_regclass('{STATE_HISTORY}') IS NOT NULL, pg_catalog.to_regclass('{USER_HISTORY}') IS NOT NULL"
    );
    let there = client.query_typed_one(&sql, &[]).await.map_err(failed)?;
    let selects: Vec<String> = [(there.get(0), true, STATE_HISTORY), (there.get(1), false, USER_HISTORY)]
        .into_iter()
        .filter(|(there, _, _): &(bool, bool, &str)| *there)
        .map(|(_, engine, table)| format!("SELECT {engine}, version, name, checksum FROM {table}"))
        .collect();
    if selects.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("{} ORDER BY 2", selects.join(" UNION ALL "));
    let rows = client.query_typed(&sql, &[]).await.map_err(failed)?;
    let text = |row: &tokio_postgres::Row, column: usize| row.get::<_, Option<String>>(column).unwrap_or_default();
    Ok(rows
        .iter()
        .map(|row| Past {
            engine: row.get(0),
            version: row.get(1),
            name: text(row, 2),
            checksum: text(row, 3),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::testing::{both, fresh};

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("migrations")).unwrap();
        for (name, sql) in files {
            std::fs::write(root.path().join("migrations").join(name), sql).unwrap();
        }
        root
    }

    #[tokio::test]
    async fn each_runs_once_and_in_order() {
        for warehouse in both().await {
            let root = project(&[
                ("V2__two.sql", "ALTER TABLE t ADD b int;"),
                ("V1__one.sql", "CREATE TABLE t (a int);"),
            ]);
            let all = [
                "pipeline V1__state",
                "pipeline V2__quarantine",
                "pipeline V3__masks",
                "pipeline V4__names",
                "pipeline V5__stale_views",
                "pipeline V6__column_masks",
                "pipeline V7__suppression",
                "pipeline V8__progress",
                "pipeline V9__read_as",
                "pipeline V10__dates",
                "migrations/V1__one.sql",
                "migrations/V2__two.sql",
            ];
            assert_eq!(pending(&warehouse, root.path()).await.unwrap(), all);
            assert_eq!(apply(&warehouse, root.path()).await.unwrap(), all);
            assert!(pending(&warehouse, root.path()).await.unwrap().is_empty());
            std::fs::write(root.path().join("migrations/V10__ten.sql"), "SELECT 1").unwrap();
            assert_eq!(
                apply(&warehouse, root.path()).await.unwrap(),
                ["migrations/V10__ten.sql"]
            );
            std::fs::write(root.path().join("migrations/V3__late.sql"), "SELECT 1").unwrap();
            let error = apply(&warehouse, root.path()).await.unwrap_err();
            assert_eq!(
                error.message,
                "migrations/V3__late.sql comes before migration 10, which has already run"
            );
            std::fs::remove_file(root.path().join("migrations/V3__late.sql")).unwrap();
            std::fs::write(root.path().join("migrations/V2__two.sql"), "ALTER TABLE t ADD c int;").unwrap();
            let error = pending(&warehouse, root.path()).await.unwrap_err();
            assert_eq!(error.message, "migrations/V2__two.sql was changed after it had run");
            std::fs::remove_file(root.path().join("migrations/V2__two.sql")).unwrap();
            let error = pending(&warehouse, root.path()).await.unwrap_err();
            assert_eq!(error.message, "migrations/V2__two.sql has run and is not there");
        }
    }

    /// As Git writes them where `core.autocrlf` is set.
    #[tokio::test]
    async fn line_endings_do_not_change_a_migration() {
        for warehouse in both().await {
            let text = "CREATE TABLE t (\n  a int);\n";
            let (lf, crlf) = (
                project(&[("V1__one.sql", text)]),
                project(&[("V1__one.sql", &text.replace('\n', "\r\n"))]),
            );
            apply(&warehouse, lf.path()).await.unwrap();
            assert!(pending(&warehouse, crlf.path()).await.unwrap().is_empty());
            // What an older version has noted of a file with CRLF.
            let older = Migration::unapplied("V1__one", &text.replace('\n', "\r\n")).unwrap();
            let sql = format!("UPDATE {USER_HISTORY} SET checksum = '{}'", older.checksum());
            warehouse
                .acquire_as_user()
                .await
                .unwrap()
                .batch_execute(&sql)
                .await
                .unwrap();
            for root in [&lf, &crlf] {
                assert!(pending(&warehouse, root.path()).await.unwrap().is_empty());
                std::fs::write(root.path().join("migrations/V2__two.sql"), "SELECT 1;\r\n").unwrap();
            }
            assert_eq!(apply(&warehouse, lf.path()).await.unwrap(), ["migrations/V2__two.sql"]);
            assert!(pending(&warehouse, crlf.path()).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_failure_names_file_line_and_column_and_keeps_nothing() {
        for warehouse in both().await {
            let root = project(&[
                ("V1__one.sql", "CREATE TABLE t (a int);"),
                ("V2__two.sql", "CREATE TABLE u (a int);\nALTER TABLE u\n  ADD b nosuch;"),
            ]);
            let error = apply(&warehouse, root.path()).await.unwrap_err();
            assert_eq!(error.message, "the migration migrations/V2__two.sql failed");
            assert_eq!(error.diagnostics[0].message, "type \"nosuch\" does not exist (42704)");
            let place = error.diagnostics[0].location.as_ref().unwrap();
            assert_eq!((place.line, place.column, place.length), (3, 9, 6));
            assert_eq!(
                pending(&warehouse, root.path()).await.unwrap(),
                ["migrations/V2__two.sql"]
            );
            let row = warehouse
                .acquire_as_user()
                .await
                .unwrap()
                .query_one("SELECT to_regclass('u') IS NULL", &[])
                .await
                .unwrap();
            assert!(row.get::<_, bool>(0));
        }
    }

    #[tokio::test]
    async fn a_failure_quotes_no_value() {
        let Some(warehouse) = fresh(1).await else { return };
        let root = project(&[(
            "V1__one.sql",
            "CREATE TABLE t (a int); INSERT INTO t SELECT 'hunter2'::text::int",
        )]);
        let error = apply(&warehouse, root.path()).await.unwrap_err();
        assert_eq!(error.diagnostics[0].message, "invalid text representation (22P02)");
    }

    #[tokio::test]
    async fn two_processes_take_turns() {
        let Some(warehouse) = fresh(2).await else { return };
        let root = project(&[("V1__one.sql", "CREATE TABLE t (a int); SELECT pg_sleep(0.2)")]);
        let (first, second) = tokio::join!(apply(&warehouse, root.path()), apply(&warehouse, root.path()));
        let mut counts = [first.unwrap().len(), second.unwrap().len()];
        counts.sort_unstable();
        assert_eq!(counts, [0, state::MIGRATIONS.len() + 1]);
    }
}
