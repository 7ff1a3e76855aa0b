//! Turns SQL files into transforms that are known to fit their entities: parsed, planned, checked against the
//! contract, and carrying `_record`. A transform is planned once per source, and bound to a batch's date and input
//! when it runs.

use std::collections::BTreeSet;

use datafusion::execution::session_state::SessionState;
use futures::executor::block_on;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{block_in_place, unconstrained};

use super::elements::Elements;
use super::inputs::Inputs;
use super::narrow;
use super::planner::{Planner, planners, sample};
use super::prepared::{Accepts, Outline, Prepared};
use super::session::Engine;
use crate::cores::on_all;
use crate::error::{Diagnostic, Error, Result};
use crate::model::{Batch, Project, Source};

/// Returns the paths of the fields that a transform uses, as lineage writes them, such as `visits[].date`; `None` where that is
/// unknown.
pub type Used<'a> = &'a (dyn Fn(&Source, &Outline) -> Option<BTreeSet<String>> + Sync);

impl Engine {
    /// Plans the transforms of a source far enough to tell where their columns come from, and checks their columns
    /// against their entities. The error has all problems at once.
    pub fn outline(
        &self,
        project: &Project,
        source: &Source,
        accepts: Accepts,
    ) -> Result<Vec<Outline>, Vec<Diagnostic>> {
        let (full, session) = self.visible(source)?;
        let planners = planners(&session, &full, project, source, accepts).collect();
        let (mut outlines, mut problems) = (Vec::new(), Vec::new());
        for outline in at_once(planners, async |planner: Planner<'_>| planner.outline().await) {
            match outline {
                Ok(outline) => outlines.push(outline),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(outlines)
        } else {
            Err(problems)
        }
    }

    /// Makes outlined transforms of a source ready to run: adds their row checks, and plans each over only those
    /// parts of the records that it uses. The error has all problems at once. `batch` is the first that will run, or
    /// a [`sample`].
    pub fn prepare(
        &self,
        project: &Project,
        source: &Source,
        outlines: &[Outline],
        batch: &Batch,
        used: Used<'_>,
    ) -> Result<Vec<Prepared>, Vec<Diagnostic>> {
        let (full, session) = self.visible(source)?;
        let planners = planners(&session, &full, project, source, |_, _| Ok(()));
        let with_outlines = planners.filter_map(|planner| {
            let outline = outlines.iter().find(|one| one.entity == planner.entity.name)?;
            Some((planner, outline))
        });
        let planned = at_once(
            with_outlines.collect(),
            async |(planner, outline): (Planner<'_>, &Outline)| {
                let declared = source.conserves.iter().find(|one| one.entity == outline.entity);
                let conserves = declared.map(|one| Elements::plan(&session, &full, one, &sample(source)));
                let used = used(source, outline);
                (self.one(&planner, outline, batch, used).await, conserves)
            },
        );
        let (mut prepared, mut problems) = (Vec::new(), Vec::new());
        for (one, conserves) in planned {
            match one {
                Ok(one) => prepared.push(Prepared {
                    conserves: conserves.and_then(|planned| planned.map_err(|found| problems.push(found)).ok()),
                    ..one
                }),
                Err(found) => problems.extend(found.into_iter().chain(conserves.and_then(Result::err))),
            }
        }
        if problems.is_empty() {
            Ok(prepared)
        } else {
            Err(problems)
        }
    }

    async fn one(
        &self,
        planner: &Planner<'_>,
        outline: &Outline,
        batch: &Batch,
        used: Option<BTreeSet<String>>,
    ) -> Result<Prepared, Vec<Diagnostic>> {
        if let Some(used) = used
            && let Some(narrow) = self.narrow(planner, outline, batch, &used).await
        {
            return Ok(narrow);
        }
        planner.prepare(outline, batch).await
    }

    /// Plans the transform over only the fields that it uses. `None` where it uses all fields, or where the reduced
    /// schema does not give the same plan: the SQL may mention other fields, as in `select * ... exclude`, or the
    /// types may differ.
    async fn narrow(
        &self,
        planner: &Planner<'_>,
        outline: &Outline,
        batch: &Batch,
        used: &BTreeSet<String>,
    ) -> Option<Prepared> {
        let inputs = planner
            .full
            .with_schemas(|input| narrow::schema(&input.schema, &input.prefix, used));
        if inputs == *planner.full {
            return None;
        }
        let session = self.session_over(inputs.tables()).ok()?;
        let planner = Planner {
            session: &session,
            full: &inputs,
            ..*planner
        };
        let again = planner.outline().await.ok()?;
        if again.plan.schema().as_arrow() != outline.plan.schema().as_arrow() {
            return None;
        }
        let prepared = planner.prepare(&again, batch).await.ok()?;
        // The outline is shown to users, so it stays that of the whole records.
        Some(Prepared {
            outline: outline.clone(),
            ..prepared
        })
    }

    /// The tables that a transform of the source sees, `_record` included, and a session that contains only those.
    fn visible(&self, source: &Source) -> Result<(Inputs, SessionState), Vec<Diagnostic>> {
        let full = Inputs::of(source).map_err(|error| match error.diagnostics {
            found if found.is_empty() => vec![plain(error.message)],
            found => found,
        })?;
        let session = self.session_over(full.tables());
        session
            .map(|session| (full, session))
            .map_err(|e| vec![plain(e.to_string())])
    }
}

impl Prepared {
    /// Joins all problems of preparing into one error.
    pub fn problems(diagnostics: Vec<Diagnostic>) -> Error {
        Error::project("the transforms do not fit the project").diagnostics(diagnostics)
    }
}

/// Plans on all cores, since planning takes most of a small batch's time.
fn at_once<T: Send, U: Send>(items: Vec<T>, plan: impl AsyncFn(T) -> U + Sync) -> Vec<U> {
    let runtime = Handle::current();
    let planned = || {
        on_all(items, |item| {
            let _entered = runtime.enter();
            // The runtime would have a plan of many parts yield to other tasks, and this thread has no other.
            block_on(unconstrained(plan(item)))
        })
    };
    // What planning may wait for needs a thread of the runtime, so this one gives up its place.
    match runtime.runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(planned),
        _ => planned(),
    }
}

fn plain(message: String) -> Diagnostic {
    Diagnostic {
        message,
        location: None,
        hint: None,
    }
}
