//! Brings the views to what their files say, in one transaction. The order is found by trying: a definition that
//! fails because another object is missing is tried again once that object exists. An object that can't be replaced
//! in place is dropped together with the objects of this program that depend on it. Then all of them are made again.

use std::collections::{BTreeMap, HashSet};

use tokio_postgres::types::{Oid, Type};

use super::file::{Definition, qualified};
use super::keep::Kept;
use super::outcome::{Action, Applied, applied, is_of, refused};
use super::registry::{self, Entry};
use super::work::Work;
use super::{further, hidden, refresh, stale};
use crate::error::{Diagnostic, Result};
use crate::model::{ViewKind, did_you_mean};
use crate::warehouse::connect::Connection;
use crate::warehouse::sql::{PATH, PROJECT_PATH, db_error, position, sqlstate};

/// The key of the advisory lock under which views are applied, one process at a time ("views" in ASCII).
const LOCK: i64 = 0x0076_6965_7773;

pub(super) async fn run(connection: &mut Connection, definitions: &[Definition<'_>]) -> Result<Vec<Applied>> {
    let failed = |error: tokio_postgres::Error| db_error("the views can't be changed", &error);
    let transaction = connection.transaction().await.map_err(failed)?;
    let begin = format!("SELECT pg_catalog.pg_advisory_xact_lock({LOCK}); SET LOCAL lock_timeout = '10s'");
    transaction.batch_execute(&begin).await.map_err(failed)?;
    let mut work = Work::new(transaction.client(), definitions).await?;
    work.refuse_strangers().await?;
    work.drop_moved().await?;
    work.make_all().await?;
    work.refuse_readers_of_hidden().await?;
    work.refresh_readers().await?;
    work.drop_removed().await?;
    let applied = work.finish();
    transaction.commit().await.map_err(failed)?;
    Ok(applied)
}

/// The result of trying one definition.
enum Outcome {
    Made,
    /// The object exists, and PostgreSQL can't replace it in place.
    InTheWay(Entry),
    Failed(Box<Failure>),
}

struct Failure {
    problem: Diagnostic,
    /// Whether what is missing is a column.
    is_column: bool,
    /// The name, split into its parts, of the missing relation, function, column or type that it needs.
    lacks: Option<Vec<String>>,
}

impl Work<'_> {
    /// Refuses a name that is taken by an object which this program did not make.
    async fn refuse_strangers(&self) -> Result<()> {
        let names: Vec<&str> = self
            .definitions
            .iter()
            .map(|definition| definition.view.name.as_str())
            .collect();
        let mut problems = Vec::new();
        for (is_function, name) in registry::taken(self.client, &names).await? {
            let same_space = |kind: ViewKind| (kind == ViewKind::Function) == is_function;
            if self
                .entries
                .iter()
                .any(|entry| entry.name == name && entry.oid.is_some() && same_space(entry.kind))
            {
                continue;
            }
            let in_the_way = self
                .definitions
                .iter()
                .filter(|d| d.view.name == name && same_space(d.view.kind));
            problems.extend(in_the_way.map(|definition| Diagnostic {
                message: format!("public.{name} is there already, and `pipeline views` did not make it"),
                location: Some(position::location(&definition.view.path, &definition.view.sql, 1)),
                hint: Some("rename the file, or drop or rename what has the name".to_owned()),
            }));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(refused(problems))
        }
    }

    async fn make_all(&mut self) -> Result<()> {
        // Failures since the last success. When every remaining definition is among them, another try would change
        // nothing.
        let mut failures: BTreeMap<usize, Failure> = BTreeMap::new();
        while let Some(index) = self.pending.pop_front() {
            match self.make(index).await? {
                Outcome::Made => failures.clear(),
                Outcome::InTheWay(entry) => {
                    self.drop_with_ours(&entry).await?;
                    failures.clear();
                }
                Outcome::Failed(failure) => {
                    failures.insert(index, *failure);
                    self.pending.push_back(index);
                    if failures.len() == self.pending.len() {
                        let known = registry::relations(self.client).await?;
                        return Err(refused(self.with_further(self.told(failures, &known)).await?));
                    }
                }
            }
        }
        Ok(())
    }

    /// The failures to report: those that are not merely caused by another failure. Where all of them wait for each
    /// other in a circle, all are reported. `known` are the tables and views of the database, one of which may be meant.
    fn told(&self, failures: BTreeMap<usize, Failure>, known: &[String]) -> Vec<(usize, Diagnostic)> {
        let follows = |own: usize, failure: &Failure| {
            let others = failures.keys().filter(|other| **other != own);
            let lacks = failure.lacks.as_deref().unwrap_or_default();
            others
                .map(|other| &self.definitions[*other].view.name)
                .any(|name| lacks.contains(name))
        };
        let roots: HashSet<usize> = failures
            .iter()
            .filter(|(own, failure)| !follows(**own, failure))
            .map(|(own, _)| *own)
            .collect();
        let circle = roots.is_empty();
        let told = failures.into_iter().filter(|(own, _)| circle || roots.contains(own));
        told.map(|(own, failure)| {
            let mut problem = failure.problem;
            if circle {
                problem.hint = Some("these views need each other; one of them must do without".to_owned());
            } else if let Some(lacks) = failure.lacks {
                let files = self.definitions.iter().map(|definition| definition.view.name.as_str());
                let known = known.iter().map(String::as_str).chain(files);
                let near = lacks.last().filter(|_| !failure.is_column);
                let near = near.and_then(|name| did_you_mean(name, known));
                let check = if failure.is_column {
                    "check the name; the columns of an entity are those of pipeline.yaml, then source and batch_date"
                } else {
                    "check the name; entity tables are made by `pipeline migrate`"
                };
                // The server names a column or a function that may be meant.
                problem.hint = problem.hint.or(near).or_else(|| Some(check.to_owned()));
            }
            (own, problem)
        })
        .collect()
    }

    /// Refuses views that read a hidden table or the server's files. It asks the catalog after the views are made, since PostgreSQL knows
    /// best what a view reads.
    async fn refuse_readers_of_hidden(&self) -> Result<()> {
        let oids: Vec<Oid> = self.entries.iter().filter_map(|entry| entry.oid).collect();
        let mut problems = Vec::new();
        let of = |oid: Oid| {
            let entry = self.entries.iter().find(|entry| entry.oid == Some(oid));
            self.definitions
                .iter()
                .find(|d| entry.is_some_and(|entry| is_of(entry, d)))
        };
        for (oid, function) in hidden::read_files(self.client, &oids).await? {
            problems.extend(of(oid).map(|definition| Diagnostic {
                message: format!(
                    "{} calls {function}, which is for the server's files",
                    definition.view.name
                ),
                location: Some(position::location(&definition.view.path, &definition.view.sql, 1)),
                hint: Some("declare the file as the input of a source, where masks come first".to_owned()),
            }));
        }
        for (oid, table) in hidden::read_by(self.client, &oids).await? {
            problems.extend(of(oid).map(|definition| Diagnostic {
                message: format!(
                    "{} reads {table}, which is not for who reads views",
                    definition.view.name
                ),
                location: Some(position::location(&definition.view.path, &definition.view.sql, 1)),
                hint: Some("read the entity tables; `pipeline quarantine` shows what was refused".to_owned()),
            }));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(refused(problems))
        }
    }

    /// Tries one definition inside a savepoint.
    async fn make(&mut self, index: usize) -> Result<Outcome> {
        let definition = &self.definitions[index];
        let old = self
            .entries
            .iter()
            .find(|entry| is_of(entry, definition) && entry.oid.is_some())
            .cloned();
        let failed = |error: tokio_postgres::Error| db_error("the views can't be changed", &error);
        let before = match &old {
            // There is no CREATE OR REPLACE for materialized views.
            Some(old) if old.kind == ViewKind::Materialized => return Ok(Outcome::InTheWay(old.clone())),
            Some(Entry {
                kind,
                name,
                oid: Some(oid),
                ..
            }) => Some(Kept::read(self.client, *kind, name, *oid).await?),
            _ => None,
        };
        let runs = stale::runs_of(self.client, &definition.view.name).await?;
        // A rollback to the savepoint takes the path back, too.
        self.client
            .batch_execute(&format!("SAVEPOINT try; SET LOCAL {PROJECT_PATH}"))
            .await
            .map_err(failed)?;
        if let Err(error) = self.define(definition).await {
            self.client
                .batch_execute("ROLLBACK TO SAVEPOINT try; RELEASE SAVEPOINT try")
                .await
                .map_err(failed)?;
            return match (sqlstate(&error), old) {
                // "Invalid table definition" or "invalid function definition": the columns or the result type have
                // changed.
                (Some("42P16" | "42P13"), Some(old)) => Ok(Outcome::InTheWay(old)),
                (Some(code), _) if may_be_mended(code) => Ok(Outcome::Failed(Box::new(Failure {
                    problem: definition.diagnostic(&error),
                    is_column: code == further::UNKNOWN_COLUMN,
                    lacks: matches!(code, "42P01" | "42883" | "42703" | "42704").then(|| definition.name_at(&error)),
                }))),
                _ => Err(failed(error)),
            };
        }
        self.client
            .batch_execute(&format!("SET LOCAL {PATH}; RELEASE SAVEPOINT try"))
            .await
            .map_err(failed)?;
        stale::forget(self.client, &definition.view.name, &runs).await?;
        self.made(index, before).await?;
        Ok(Outcome::Made)
    }

    /// Records a definition that worked, and does what follows from it.
    async fn made(&mut self, index: usize, before: Option<Kept>) -> Result<()> {
        let definition = &self.definitions[index];
        let kind = definition.view.kind;
        let (oid, object) = self.identify(definition).await?;
        if kind == ViewKind::Function {
            self.give_path(oid, &object).await?;
        }
        let kept = self.kept.remove(&(kind, definition.view.name.clone()));
        let action = match (kept, before) {
            (Some(kept), _) => {
                kept.restore(self.client, kind, &object, oid).await?;
                Action::Recreated
            }
            (None, Some(before)) => {
                before.restore_options(self.client, &object).await?;
                Action::Replaced
            }
            (None, None) => Action::Created,
        };
        self.actions.insert(index, action);
        registry::put(self.client, definition, &object).await?;
        self.drop_old_signature(definition, &object).await?;
        self.entries.retain(|entry| !is_of(entry, definition));
        self.entries.push(Entry {
            kind,
            name: definition.view.name.clone(),
            object,
            fingerprint: definition.fingerprint.clone(),
            oid: Some(oid),
            lacks_path: false,
        });
        Ok(())
    }

    async fn define(&self, definition: &Definition<'_>) -> Result<(), tokio_postgres::Error> {
        // The extended protocol takes one statement only, so a file can't contain a second one.
        self.client.execute(&definition.statement, &[]).await?;
        for index in &definition.indexes {
            self.client.execute(index, &[]).await?;
        }
        Ok(())
    }

    /// Lets a function find its tables whoever calls it. A body that is kept as text is read anew at each call, by the
    /// caller's search path: a restore, and REFRESH from version 17 on, have none. A parsed body holds what it has found.
    async fn give_path(&self, oid: Oid, object: &str) -> Result<()> {
        let failed = |error: tokio_postgres::Error| db_error(format!("{object} can't be given a search_path"), &error);
        let sql = "SELECT prosqlbody IS NULL \
                   AND NOT EXISTS (SELECT FROM unnest(proconfig) s WHERE s LIKE 'search\\_path=%') \
                   FROM pg_catalog.pg_proc WHERE oid = $1";
        let row = self.client.query_typed_one(sql, &[(&oid, Type::OID)]).await;
        if !row.map_err(failed)?.get::<_, bool>(0) {
            return Ok(());
        }
        let sql = format!("ALTER FUNCTION {object} SET {PROJECT_PATH}");
        self.client.batch_execute(&sql).await.map_err(failed)
    }

    /// The object just made, as DROP names it. Of functions with one name it is the row that is youngest.
    async fn identify(&self, definition: &Definition<'_>) -> Result<(Oid, String)> {
        let name = &definition.view.name;
        let sql = if definition.view.kind == ViewKind::Function {
            "SELECT oid, pg_catalog.format('public.%I(%s)', proname, pg_catalog.pg_get_function_identity_arguments(oid))
             FROM pg_catalog.pg_proc WHERE proname = $1 AND pronamespace = 'public'::regnamespace
             ORDER BY pg_catalog.age(xmin), oid DESC LIMIT 1"
        } else {
            "SELECT oid, pg_catalog.format('public.%I', relname)
             FROM pg_catalog.pg_class WHERE relname = $1 AND relnamespace = 'public'::regnamespace"
        };
        let row = self.client.query_typed_one(sql, &[(name, Type::TEXT)]).await;
        let row =
            row.map_err(|error| db_error(format!("{} can't be found after it was made", qualified(name)), &error))?;
        Ok((row.get(0), row.get(1)))
    }

    /// Drops a function's old version where its arguments have changed, since PostgreSQL takes the new one for
    /// another function.
    async fn drop_old_signature(&mut self, definition: &Definition<'_>, object: &str) -> Result<()> {
        let old = self
            .entries
            .iter()
            .find(|entry| is_of(entry, definition) && entry.oid.is_some());
        match old.filter(|old| old.object != object).cloned() {
            Some(old) if definition.view.kind == ViewKind::Function => self.drop_with_ours(&old).await,
            _ => Ok(()),
        }
    }

    /// Refreshes unchanged materialized views that read a replaced object, since they hold rows of its old
    /// definition.
    async fn refresh_readers(&mut self) -> Result<()> {
        let replaced = self.actions.iter().filter(|(_, action)| **action == Action::Replaced);
        let replaced: Vec<&Definition<'_>> = replaced.map(|(index, _)| &self.definitions[*index]).collect();
        if replaced.is_empty() {
            return Ok(());
        }
        let oids = self
            .entries
            .iter()
            .filter(|entry| replaced.iter().any(|d| is_of(entry, d)));
        let oids: Vec<Oid> = oids.filter_map(|entry| entry.oid).collect();
        let any_function = replaced
            .iter()
            .any(|definition| definition.view.kind == ViewKind::Function);
        for name in refresh::readers_of(self.client, &oids, any_function).await? {
            let index = self
                .definitions
                .iter()
                .position(|d| d.view.kind == ViewKind::Materialized && d.view.name == name);
            let Some(index) = index.filter(|index| !self.actions.contains_key(index)) else {
                continue;
            };
            let runs = stale::runs_of(self.client, &name).await?;
            let sql = refresh::statement(&name, false);
            if let Err(error) = self.client.batch_execute(&sql).await {
                return Err(refused(vec![self.definitions[index].diagnostic(&error)]));
            }
            stale::forget(self.client, &name, &runs).await?;
            self.actions.insert(index, Action::Refreshed);
        }
        Ok(())
    }

    fn finish(self) -> Vec<Applied> {
        let made = self.definitions.iter().enumerate().map(|(index, definition)| {
            applied(
                definition,
                self.actions.get(&index).copied().unwrap_or(Action::Unchanged),
            )
        });
        made.chain(self.dropped).collect()
    }
}

/// Whether an error lies in the file and may go away once other objects are made. Other errors end the transaction.
fn may_be_mended(code: &str) -> bool {
    matches!(
        code.get(..2),
        Some("42" | "0A" | "21" | "22" | "23" | "2B" | "38" | "39" | "P0")
    )
}
