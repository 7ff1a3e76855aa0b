//! What of which class ends where, under which mask: the lineage of a project turned round, from the
//! fields of its sources to the columns that show them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dependence, ProjectLineage, SourceField, reading};
use crate::model::{MaskKind, PhiClass, Profile, Project};

/// A column that shows a field, or whose rows a field decides on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// `table.column`.
    pub column: String,
    pub dependence: Dependence,
    /// By a view whose lineage could not be told exactly.
    pub approximate: bool,
}

/// A field and all that it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    pub field: SourceField,
    pub entities: Vec<Reach>,
    pub views: Vec<Reach>,
}

impl Exposure {
    /// Whether it reaches any table.
    pub fn reaches(&self) -> bool {
        !self.entities.is_empty() || !self.views.is_empty()
    }

    /// Sensitive, and stored as it came.
    pub fn is_kept(&self) -> bool {
        self.field.mask == Some(MaskKind::Keep) && self.field.class.is_some_and(|class| class != PhiClass::None)
    }
}

/// The batch's date, which lies near the dates that a batch holds and so gives a shifted one away, and is a date that
/// Safe Harbor does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchDate {
    /// Fields whose dates are shifted, as `source: path`.
    pub shifted: Vec<String>,
    pub entities: Vec<Reach>,
    pub views: Vec<Reach>,
    /// Views and functions that the reader role does not get because of it.
    pub withheld: Vec<String>,
}

/// What of which class ends where.
#[derive(Debug, Clone)]
pub struct PrivacyReport {
    pub profile: Profile,
    /// Fields with a class, `none` included; by class, source and path.
    pub classed: Vec<Exposure>,
    /// Fields without a class that reach a table.
    pub unclassed: Vec<Exposure>,
    /// Present where a date is shifted, and under Safe Harbor: then it counts as a date, and no mask covers it.
    pub batch_date: Option<BatchDate>,
}

/// Turns a project's lineage round.
pub fn privacy_report(lineage: &ProjectLineage, project: &Project) -> PrivacyReport {
    let reached = Reached::of(lineage);
    let mut classed = Vec::new();
    let mut unclassed = Vec::new();
    for field in &lineage.fields {
        let exposure = reached.exposure(field);
        if field.class.is_some() {
            classed.push(exposure);
        } else if exposure.reaches() {
            unclassed.push(exposure);
        }
    }
    classed.sort_by(|a, b| {
        let key = |e: &Exposure| (e.field.class, e.field.source.clone(), e.field.path.clone());
        key(a).cmp(&key(b))
    });
    PrivacyReport {
        profile: project.profile,
        classed,
        unclassed,
        batch_date: batch_date(lineage, project),
    }
}

/// Columns by the field that reaches them.
struct Reached<'a> {
    entities: BTreeMap<(&'a str, &'a str), Vec<Reach>>,
    views: BTreeMap<(&'a str, &'a str), Vec<Reach>>,
}

impl<'a> Reached<'a> {
    fn of(lineage: &'a ProjectLineage) -> Self {
        let mut reached = Self {
            entities: BTreeMap::new(),
            views: BTreeMap::new(),
        };
        for one in &lineage.entities {
            // What decides on the rows stands at every column of the table; the engine's own add nothing.
            if matches!(one.column.as_str(), "source" | "batch_date") {
                continue;
            }
            for origin in &one.origins {
                let column = format!("{}.{}", one.entity, one.column);
                let reach = Reach {
                    column,
                    dependence: origin.dependence,
                    approximate: false,
                };
                reached
                    .entities
                    .entry((&one.source, &origin.path))
                    .or_default()
                    .push(reach);
            }
        }
        for view in &lineage.views {
            for (field, dependence) in lineage.fields_of(view) {
                let column = format!("{}.{}", view.view, view.column);
                let reach = Reach {
                    column,
                    dependence,
                    approximate: view.approximate,
                };
                reached.views.entry(field).or_default().push(reach);
            }
        }
        reached
    }

    fn exposure(&self, field: &SourceField) -> Exposure {
        let key = (field.source.as_str(), field.path.as_str());
        let of = |reached: &BTreeMap<_, Vec<Reach>>| reached.get(&key).cloned().unwrap_or_default();
        Exposure {
            field: field.clone(),
            entities: of(&self.entities),
            views: of(&self.views),
        }
    }
}

fn batch_date(lineage: &ProjectLineage, project: &Project) -> Option<BatchDate> {
    let reading = reading(lineage, project);
    if !reading.hides_batch_date {
        return None;
    }
    let shifted = lineage
        .fields
        .iter()
        .filter(|field| field.mask == Some(MaskKind::DateShift));
    let shifted: Vec<String> = shifted
        .map(|field| format!("{}: {}", field.source, field.path))
        .collect();
    let mut entities: BTreeMap<String, Dependence> = BTreeMap::new();
    for one in &lineage.entities {
        if let Some(dependence) = one.batch_date {
            let known = entities
                .entry(format!("{}.{}", one.entity, one.column))
                .or_insert(dependence);
            *known = (*known).max(dependence);
        }
    }
    let mut views = Vec::new();
    for view in &lineage.views {
        let through = |origin: &super::TableOrigin| {
            let column = format!("{}.{}", origin.entity, origin.column.as_deref()?);
            Some(origin.dependence.through(*entities.get(&column)?))
        };
        if let Some(dependence) = view.origins.iter().filter_map(through).max() {
            let column = format!("{}.{}", view.view, view.column);
            views.push(Reach {
                column,
                dependence,
                approximate: view.approximate,
            });
        }
    }
    let reach = |(column, dependence)| Reach {
        column,
        dependence,
        approximate: false,
    };
    Some(BatchDate {
        shifted,
        entities: entities.into_iter().map(reach).collect(),
        views,
        withheld: reading.withheld.into_keys().collect(),
    })
}

impl PrivacyReport {
    /// Sensitive fields that are stored as they came, with the reason given for each.
    pub fn kept(&self) -> impl Iterator<Item = &Exposure> {
        self.classed.iter().filter(|exposure| exposure.is_kept())
    }

    /// The classes that occur, in their order.
    pub fn classes(&self) -> BTreeSet<PhiClass> {
        self.classed
            .iter()
            .filter_map(|exposure| exposure.field.class)
            .collect()
    }
}
