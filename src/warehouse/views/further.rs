//! Finds all names in a definition that lead nowhere. PostgreSQL reports the first one only.

use super::file::Definition;
use super::work::Work;
use crate::error::{Diagnostic, Result};
use crate::model::blanked::{self, Blanked};
use crate::model::{View, ViewKind};
use crate::warehouse::sql::{Over, PROJECT_PATH, db_error, position, sqlstate};

/// The SQLSTATE of a column that there is not.
pub(super) const UNKNOWN_COLUMN: &str = "42703";

impl Work<'_> {
    /// Each problem of a definition, followed by those of the further columns in it that there are not.
    pub(super) async fn with_further(&self, problems: Vec<(usize, Diagnostic)>) -> Result<Vec<Diagnostic>> {
        let mut all = Vec::new();
        for (index, problem) in problems {
            let mut of_one = self.further(&self.definitions[index], &problem).await?;
            of_one.push(problem);
            of_one.sort_by(|one, other| one.location.cmp(&other.location));
            all.extend(of_one);
        }
        Ok(all)
    }

    async fn further(&self, definition: &Definition<'_>, first: &Diagnostic) -> Result<Vec<Diagnostic>> {
        let mut found: Vec<Diagnostic> = Vec::new();
        let mut blanked = Blanked::of(&definition.view.sql);
        if !first.message.contains(UNKNOWN_COLUMN) {
            return Ok(found);
        }
        while found.len() < blanked::MOST {
            let place = found.last().unwrap_or(first).location.as_ref();
            if !place.is_some_and(|place| blanked.blank(place)) {
                break;
            }
            let view = View {
                sql: blanked.sql(),
                ..definition.view.clone()
            };
            let Some(problem) = self.unknown_column(&view).await? else {
                break;
            };
            let Some(problem) = blanked.original(problem) else {
                break;
            };
            found.push(problem);
        }
        Ok(found)
    }

    /// Plans a query, which runs nothing of it. A function is made, and taken back.
    async fn unknown_column(&self, view: &View) -> Result<Option<Diagnostic>> {
        let function = (view.kind == ViewKind::Function).then(|| Definition::parse(view));
        let Ok(function) = function.transpose() else {
            return Ok(None);
        };
        let failed = |error: tokio_postgres::Error| db_error("the views can't be changed", &error);
        let begin = format!("SAVEPOINT try; SET LOCAL {PROJECT_PATH}");
        self.client.batch_execute(&begin).await.map_err(failed)?;
        let made = match &function {
            Some(function) => self.client.execute(&function.statement, &[]).await.map(drop),
            None => self.client.prepare_typed(&view.sql, &[]).await.map(drop),
        };
        let end = "ROLLBACK TO SAVEPOINT try; RELEASE SAVEPOINT try";
        self.client.batch_execute(end).await.map_err(failed)?;
        let unknown = made.err().filter(|error| sqlstate(error) == Some(UNKNOWN_COLUMN));
        Ok(unknown.map(|error| match &function {
            Some(function) => function.diagnostic(&error),
            None => position::diagnostic(&view.path, &view.sql, 0, &error, Over::Definitions),
        }))
    }
}
