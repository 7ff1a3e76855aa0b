//! Where every column comes from: which declared fields of which source, and by which way, read off
//! the plans of the transforms and the views. It may name a field too many, never one too few; it
//! runs no query, reads no data and knows no database.

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
mod shape;
mod views;

#[cfg(test)]
mod tests;

pub use comments::{ColumnComment, comments};
pub use constants::constant_masks;
pub use model::{Dependence, Lineage, Origin, ProjectLineage, SourceField, TableOrigin, ViewLineage};
pub use privacy::{BatchDate, Exposure, PrivacyReport, Reach, privacy_report};
pub use reading::{ReadTable, Reading, hides_batch_date, reading, stands_on};

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Result};
use crate::model::{Project, Source};
use crate::transform::{Engine, Limits, Outline, Prepared, SOURCE_TABLE};
use analysis::Tables;
use fields::Fields;
use shape::{Atom, Deps, Relation};

/// An engine that is good for planning alone.
pub fn engine() -> Result<Engine> {
    Engine::new(&Limits {
        memory: 64 << 20,
        at_once: 1,
        spill: None,
    })
}

/// Transforms that are outlined already, by source.
pub type Outlines = HashMap<String, Vec<Outline>>;

/// The lineage of all columns of all entities and views. The transforms of sources that `outlines` lacks are planned here.
///
/// # Errors
/// A transform that can't be planned, with its place. A view that can't be planned is no error but `approximate`.
pub async fn of_project(engine: &Engine, project: &Project, mut outlines: Outlines) -> Result<ProjectLineage> {
    let mut problems = Vec::new();
    for source in &project.sources {
        if outlines.contains_key(&source.name) {
            continue;
        }
        // Whether a type fits its column is the project check's matter; here any does.
        match engine.outline(project, source, |_, _| Ok(())).await {
            Ok(transforms) => drop(outlines.insert(source.name.clone(), transforms)),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(Prepared::problems(problems));
    }
    let mut lineage = ProjectLineage {
        views: views::of_views(engine, project).await?,
        ..ProjectLineage::default()
    };
    for source in &project.sources {
        let transforms = outlines.get(&source.name).map_or(&[][..], Vec::as_slice);
        of_source(project, source, transforms, &mut lineage)?;
    }
    let position = |name: &str| project.entities.iter().position(|entity| entity.name == name);
    lineage.entities.sort_by_key(|l| position(&l.entity));
    lineage.asked = asked(project, &lineage.views);
    Ok(lineage)
}

/// The paths of the fields that a transform uses in any way, such as `visits[].date`; `visits[]` is the list's length.
/// `None` where the plan can't be read.
pub fn used(source: &Source, transform: &Outline) -> Option<BTreeSet<String>> {
    let (_, table) = Fields::of(source);
    let tables = Tables::from([(SOURCE_TABLE.to_owned(), table)]);
    let relation = analyzed(transform, &tables).ok()?;
    let deps = relation.all().and(&relation.order);
    let paths = deps.iter().filter_map(|(atom, _)| match atom {
        Atom::Field(path) => Some(path.clone()),
        Atom::Rows(_) | Atom::Date | Atom::Source => None,
    });
    Some(paths.collect())
}

fn analyzed(transform: &Outline, tables: &Tables) -> Result<Relation> {
    plan::analyze(&transform.plan, tables).map_err(|e| {
        Error::project(format!("{}: its lineage can't be told", transform.path.display())).cause(e.strip_backtrace())
    })
}

fn of_source(project: &Project, source: &Source, transforms: &[Outline], lineage: &mut ProjectLineage) -> Result<()> {
    let (fields, table) = Fields::of(source);
    let tables = Tables::from([(SOURCE_TABLE.to_owned(), table)]);
    for (path, privacy) in fields.leaves() {
        lineage.fields.push(SourceField {
            source: source.name.clone(),
            path: path.to_owned(),
            class: privacy.phi,
            mask: privacy.mask,
            reason: privacy.reason.clone(),
        });
    }
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

fn origins(deps: &Deps, fields: &Fields) -> Vec<Origin> {
    let paths = deps.iter().filter_map(|(atom, dependence)| match atom {
        Atom::Field(path) => Some((path, dependence)),
        Atom::Rows(_) | Atom::Date | Atom::Source => None,
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

/// Every column by name, entities first, those that no source serves included.
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
