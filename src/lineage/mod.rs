//! Finds where every column comes from: which declared fields of which source, and whether a field gives the value or
//! only decides which rows there are. It reads the plans of the transforms and the views. It is made
//! to name a field too many rather than one too few. It runs no query, reads no data and uses no database.

mod analysis;
mod body;
mod comments;
mod constants;
mod expression;
mod fields;
mod lambda;
mod model;
mod names;
mod plan;
mod privacy;
mod reading;
mod render;
mod resolved;
mod rows;
mod shape;
mod views;

#[cfg(test)]
mod tests;

pub use comments::{ColumnComment, comments};
pub use constants::constant_masks;
pub use fields::{path_at, subject_path};
pub use model::{Dependence, Lineage, Origin, ProjectLineage, SourceField, TableOrigin, ViewLineage};
pub use privacy::{BatchDate, Exposure, PrivacyReport, Reach, privacy_report};
pub use reading::{ReadTable, Reading, hides_batch_date, may_name, reading, stands_on};

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Result};
use crate::model::{Kind, Project, Source};
use crate::transform::{Engine, Limits, Outline, Prepared, words};
use analysis::Tables;
use fields::Fields;
use shape::{Atom, Deps, Relation};

/// An engine that is used only for planning.
pub fn engine() -> Result<Engine> {
    Engine::new(&Limits {
        memory: 64 << 20,
        at_once: 1,
        spill: None,
    })
}

/// Transforms that have already been planned, by source.
pub type Outlines = HashMap<String, Vec<Outline>>;

/// The lineage of all columns of all entities and views. Transforms of sources that are not in `outlines` are planned
/// here.
///
/// # Errors
/// A transform that can't be planned, with its place. A view that can't be planned is marked `approximate` and
/// is not an error.
pub async fn of_project(engine: &Engine, project: &Project, mut outlines: Outlines) -> Result<ProjectLineage> {
    let mut problems = Vec::new();
    for source in &project.sources {
        if outlines.contains_key(&source.name) {
            continue;
        }
        // The project check compares types with columns. Here, every type is accepted.
        match engine.outline(project, source, |_, _| Ok(())) {
            Ok(transforms) => drop(outlines.insert(source.name.clone(), transforms)),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(Prepared::problems(problems));
    }
    let mut lineage = ProjectLineage::default();
    for source in &project.sources {
        let transforms = outlines.get(&source.name).map_or(&[][..], Vec::as_slice);
        of_source(project, source, transforms, &mut lineage)?;
    }
    let views = views::of_views(engine, project, &lineage.entities).await?;
    (lineage.views, lineage.mentions) = (views.columns, views.mentions);
    let position = |name: &str| project.entities.iter().position(|entity| entity.name == name);
    lineage.entities.sort_by_key(|l| position(&l.entity));
    lineage.asked = asked(project, &lineage.views);
    Ok(lineage)
}

/// The paths of all fields that a transform uses in any way, such as `visits[].date`. `visits[]` means the length of
/// the list. `None` if the plan can't be read.
pub fn used(source: &Source, transform: &Outline) -> Option<BTreeSet<String>> {
    let (_, mut tables) = Fields::of(source);
    // What chooses the kind of a record is read before.
    for table in tables.values_mut() {
        table.rows = Deps::default();
    }
    let relation = analyzed(transform, &tables).ok()?;
    let deps = relation.all().and(&relation.order);
    let paths = deps.iter().filter_map(|(atom, _)| match atom {
        Atom::Field(path) => Some(path.clone()),
        Atom::Rows(_) | Atom::Date | Atom::Source | Atom::Trace | Atom::Computed => None,
    });
    Some(paths.collect())
}

fn analyzed(transform: &Outline, tables: &Tables) -> Result<Relation> {
    plan::analyze(&transform.plan, tables).map_err(|e| {
        Error::project(format!("{}: its lineage can't be told", transform.path.display())).cause(words(&e))
    })
}

fn of_source(project: &Project, source: &Source, transforms: &[Outline], lineage: &mut ProjectLineage) -> Result<()> {
    let (fields, tables) = Fields::of(source);
    lineage.fields.extend(fields_of(source, &fields));
    for transform in transforms {
        let entity = project.entity(&transform.entity)?;
        let relation = analyzed(transform, &tables)?;
        let mut push = |column: &str, deps: &Deps, batch_date: Option<Dependence>| {
            lineage.entities.push(Lineage {
                entity: entity.name.clone(),
                column: column.to_owned(),
                source: source.name.clone(),
                transform: transform.path.clone(),
                origins: origins(deps, &fields),
                batch_date: batch_date.or_else(|| of_date(deps)),
                shows_date: batch_date.is_some() || deps.is_traced(),
            });
        };
        for (index, column) in entity.columns.iter().enumerate() {
            push(&column.name, &relation.column(index), None);
        }
        push("source", &relation.rows, None);
        push("batch_date", &relation.rows, Some(Dependence::Direct));
    }
    Ok(())
}

/// The scalar fields that a kind of a source declares.
pub fn kind_fields(source: &Source, kind: &Kind) -> Vec<SourceField> {
    fields_of(source, &Fields::of_kind(kind)).collect()
}

fn fields_of(source: &Source, fields: &Fields) -> impl Iterator<Item = SourceField> {
    fields.scalar_fields().map(|(path, privacy)| SourceField {
        source: source.name.clone(),
        path: path.to_owned(),
        class: privacy.phi,
        mask: privacy.mask,
        domain: privacy.domain.clone(),
        reason: privacy.reason.clone(),
    })
}

fn origins(deps: &Deps, fields: &Fields) -> Vec<Origin> {
    let paths = deps.iter().filter_map(|(atom, dependence)| match atom {
        Atom::Field(path) => Some((path, dependence)),
        Atom::Rows(_) | Atom::Date | Atom::Source | Atom::Trace | Atom::Computed => None,
    });
    let mut origins: Vec<Origin> = paths
        .map(|(path, dependence)| {
            let privacy = fields.privacy(path);
            Origin {
                path: path.clone(),
                dependence,
                class: privacy.phi,
                mask: privacy.mask,
            }
        })
        .collect();
    origins.sort_by_key(|origin| Reverse(origin.dependence));
    origins
}

fn of_date(deps: &Deps) -> Option<Dependence> {
    deps.iter()
        .find(|(atom, _)| **atom == Atom::Date)
        .map(|(_, dependence)| dependence)
}

/// The names of all columns: entities first, including entities that no source fills.
fn asked(project: &Project, views: &[ViewLineage]) -> Vec<String> {
    let engine = ["source", "batch_date"];
    let entities = project.entities.iter().flat_map(|entity| {
        let columns = entity.columns.iter().map(|column| column.name.as_str()).chain(engine);
        columns.map(|column| format!("{}.{column}", entity.name))
    });
    let views = views.iter().map(|view| format!("{}.{}", view.view, view.column));
    let mut seen = BTreeSet::new();
    entities.chain(views).filter(|name| seen.insert(name.clone())).collect()
}
