//! Checks a whole project without data: plans every transform, and tries migrations, tables, views and checks on an
//! embedded database in memory. Both go on side by side, and neither stops at its first problem.

use std::collections::HashSet;
use std::sync::Arc;

use super::column_masks::{domains, subject_domain};
use super::deletions;
use super::risk;
use crate::error::{Diagnostic, Error, Kind as ErrorKind, Result};
use crate::lineage;
use crate::model::{Gate, Kind, MaskKind, OnRare, Project, Source, SqlCheck};
use crate::transform::{Engine, Prepared, sample};
use crate::warehouse::{self, Database, Warehouse, checks, drift, migrate, views};
use crate::workspace::Files;

/// How much `check` has looked at.
#[derive(Debug)]
pub struct Checked {
    pub sources: usize,
    pub entities: usize,
    pub transforms: usize,
    /// The project's migrations, which were applied to an empty database in memory.
    pub migrations: usize,
    pub views: usize,
    /// What may be meant, and is probably not.
    pub warnings: Vec<Diagnostic>,
    /// Columns that show what `severity: suppress` takes out of others, in words.
    pub unsuppressed: Vec<String>,
}

/// Checks the whole project.
///
/// # Errors
/// Everything that was found wrong, at once.
pub async fn check(project: &Project) -> Result<Checked> {
    match problems(&Files::saved(&project.root), project).await {
        Ok(checked) => Ok(checked),
        Err(errors) => Err(together(errors)),
    }
}

/// Like [`check`], over files of which some may not be saved, and with an error for each stage that found something.
pub async fn problems(files: &Files, project: &Project) -> Result<Checked, Vec<Error>> {
    let project = Arc::new(project.clone());
    let database = tokio::spawn(database(files.clone(), Arc::clone(&project)));
    let planned = planned(&project).await;
    // As a task, so that a panic becomes an error whose message holds no value.
    let mut errors = database.await.unwrap_or_else(|_| vec![Error::internal()]);
    let transforms = match planned {
        Ok(transforms) => transforms,
        Err(error) => {
            errors.insert(0, error);
            0
        }
    };
    let migrations = migrate::files_in(files).map_or(0, |files| files.len());
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Checked {
        sources: project.sources.len(),
        entities: project.entities.len(),
        transforms,
        migrations,
        views: project.views.len(),
        warnings: project.sources.iter().filter_map(apart).collect(),
        unsuppressed: unsuppressed(&project).await,
    })
}

/// The columns that show what is suppressed in others. Only where something is, the lineage is worked out.
async fn unsuppressed(project: &Project) -> Vec<String> {
    let is_suppressed = |gate: &Gate| gate.severity == OnRare::Suppress;
    if !project.gate.as_ref().is_some_and(is_suppressed) {
        return Vec::new();
    }
    let Ok(engine) = lineage::engine() else {
        return Vec::new();
    };
    let lineage = lineage::of_project(&engine, project, lineage::Outlines::new()).await;
    lineage.map_or_else(|_| Vec::new(), |lineage| risk::unsuppressed(&lineage, project))
}

/// One error with the problems of all. An error that stands alone stays as it is.
pub fn together(mut errors: Vec<Error>) -> Error {
    if errors.len() == 1 {
        return errors.remove(0);
    }
    let unreachable = errors.iter().any(|error| error.kind == ErrorKind::Unreachable);
    let mut all: Vec<Diagnostic> = Vec::new();
    for error in errors {
        let plain = error.diagnostics.is_empty().then(|| Diagnostic {
            message: error.to_string(),
            location: None,
            hint: error.hint.clone(),
        });
        let mut own: Vec<Diagnostic> = error.diagnostics.into_iter().chain(plain).collect();
        // What the error as a whole advises stands at its last problem.
        if let Some(last) = own.last_mut()
            && last.hint.is_none()
        {
            last.hint = error.hint;
        }
        for problem in own {
            if !all.contains(&problem) {
                all.push(problem);
            }
        }
    }
    let message = format!("the project has {} problems", all.len());
    let error = if unreachable {
        Error::unreachable(message)
    } else {
        Error::project(message)
    };
    error.diagnostics(all)
}

/// Plans the transforms of all sources, each source in a task. Returns their number.
async fn planned(project: &Arc<Project>) -> Result<usize> {
    let engine = lineage::engine()?;
    let project = Arc::new(plannable(project));
    let sources = (0..project.sources.len()).map(|at| {
        let (engine, project) = (engine.clone(), Arc::clone(&project));
        tokio::spawn(async move { of_source(&engine, &project, &project.sources[at]) })
    });
    // All are started before the first is waited for.
    let sources: Vec<_> = sources.collect();
    let (mut count, mut problems) = (0, Vec::new());
    for source in sources {
        match source.await.map_err(|_| Error::internal())? {
            Ok(transforms) => count += transforms,
            // A problem of an entity's check shows with every source; it is reported once.
            Err(found) => found.into_iter().for_each(|problem| {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }),
        }
    }
    if problems.is_empty() && project.entities.iter().any(|entity| entity.deletes_from.is_some()) {
        let lineage = lineage::of_project(&engine, &project, lineage::Outlines::new()).await?;
        problems.extend(deletions::masked_otherwise(&project, &lineage));
    }
    if problems.is_empty() {
        Ok(count)
    } else {
        Err(Prepared::problems(problems))
    }
}

fn of_source(engine: &Engine, project: &Project, source: &Source) -> Result<usize, Vec<Diagnostic>> {
    let outlines = engine.outline(project, source, warehouse::accepts)?;
    let mut problems = lineage::constant_masks(project, source, &outlines);
    // A run plans each transform a second time, over only the fields that it uses. That finds no further problem.
    let whole = |_: &Source, _: &crate::transform::Outline| None;
    match engine.prepare(project, source, &outlines, &sample(source), &whole) {
        Ok(prepared) => {
            problems.extend(unread(source, &prepared));
            if problems.is_empty() {
                return Ok(prepared.len());
            }
        }
        Err(found) => problems.extend(found),
    }
    Err(problems)
}

/// The kinds of a source that no transform reads. Whoever declares one means to load it.
fn unread(source: &Source, plans: &[Prepared]) -> Vec<Diagnostic> {
    let kinds = source.kinds.iter().enumerate();
    let declared = kinds.filter(|(_, kind)| !kind.prefix().is_empty());
    let unread = declared.filter(|(index, _)| !plans.iter().any(|plan| plan.scans.contains(index)));
    unread
        .map(|(_, kind)| Diagnostic {
            message: format!("no transform of {} reads the kind `{}`", source.name, kind.name),
            location: Some(kind.location.clone()),
            hint: Some(format!(
                "write a transform with `from {}`, or take the kind out: `on_unknown_kind` says what becomes of records \
                 that are of no declared kind",
                kind.name
            )),
        })
        .collect()
}

/// Says which kinds of a source shift the dates of one person by different numbers of days, since the domains of their
/// subjects differ.
fn apart(source: &Source) -> Option<Diagnostic> {
    let shifts = |kind: &&Kind| {
        let fields = lineage::kind_fields(source, kind);
        fields.iter().any(|field| field.mask == Some(MaskKind::DateShift))
    };
    let kinds = source.kinds.iter().filter(shifts);
    let shifting: Vec<(&Kind, String)> = kinds.filter_map(|kind| Some((kind, subject_domain(kind)?))).collect();
    let ((first, domain), others) = shifting.split_first()?;
    let meets = |one: &str, other: &str| match (domains(one), domains(other)) {
        (Some(one), Some(other)) => !one.is_disjoint(&other),
        // A reference to any type may lead to the person.
        _ => true,
    };
    let (kind, other) = others.iter().find(|(_, other)| !meets(domain, other))?;
    Some(Diagnostic {
        message: format!(
            "the kinds `{}` and `{}` of {} shift the dates of one person by different numbers of days: the domains of their \
             subjects are {domain} and {other}",
            first.name, kind.name, source.name
        ),
        location: Some(kind.location.clone()),
        hint: Some("if the subjects are the same persons, give both the same `domain`".to_owned()),
    })
}

/// The project without names of columns that lead nowhere. They are reported where they stand.
fn plannable(project: &Project) -> Project {
    let mut project = project.clone();
    for entity in &mut project.entities {
        let known: HashSet<&str> = entity.columns.iter().map(|column| column.name.as_str()).collect();
        entity.key.retain(|name| known.contains(name.as_str()));
        entity
            .indexes
            .retain(|index| index.columns.iter().all(|name| known.contains(name.as_str())));
    }
    project
}

/// Tries migrations, tables, views and checks on an empty database.
async fn database(files: Files, project: Arc<Project>) -> Vec<Error> {
    let mut errors = Vec::new();
    if let Err(error) = try_all(&files, &project, &mut errors).await {
        errors.push(error);
    }
    errors
}

async fn try_all(files: &Files, project: &Project, errors: &mut Vec<Error>) -> Result<()> {
    let warehouse = Warehouse::open(Database::Memory, 1).await?;
    migrate::apply_in(&warehouse, files).await?;
    if let Err(error) = drift::check(&warehouse, project).await {
        errors.push(error);
        // What reads a renamed column is reported with it, and not only after its migration is written. What reads a new
        // table is right.
        drift::follow_contract(&warehouse, &plannable(project)).await?;
    }
    let made = views::apply(&warehouse, project).await;
    let checks: Vec<SqlCheck> = match made {
        Ok(_) => project.checks.clone(),
        Err(error) => {
            errors.push(error);
            // A check that reads a view can't be judged where the views can't be made.
            let reads_view = |check: &&SqlCheck| project.views.iter().any(|view| check.sql.contains(&view.name));
            project
                .checks
                .iter()
                .filter(|check| !reads_view(check))
                .cloned()
                .collect()
        }
    };
    checks::plan(&mut *warehouse.acquire().await?, &project.entities, &checks).await
}
