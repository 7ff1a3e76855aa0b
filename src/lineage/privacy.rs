//! Shows where sensitive data ends up, with its class and mask. It inverts the lineage of a project: from each field of
//! a source to the columns that show it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dependence, ProjectLineage, SourceField, reading};
use crate::model::{Exposed, MaskKind, PhiClass, Profile, Project};

/// A column that shows a field, or whose rows depend on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The column, as `table.column`.
    pub column: String,
    pub dependence: Dependence,
    /// The column belongs to a view whose lineage is not known exactly.
    pub approximate: bool,
}

/// A field and all columns that it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    pub field: SourceField,
    pub entities: Vec<Reach>,
    pub views: Vec<Reach>,
}

impl Exposure {
    /// Whether the field reaches any table.
    pub fn reaches(&self) -> bool {
        !self.entities.is_empty() || !self.views.is_empty()
    }

    /// Whether the field is sensitive and is stored unmasked.
    pub fn is_kept(&self) -> bool {
        self.field.mask == Some(MaskKind::Keep) && self.field.class.is_some_and(|class| class != PhiClass::None)
    }
}

/// Where the batch's date is visible. This date is close to the true dates in a batch, so it can reveal a shifted date.
/// It is also a date that Safe Harbor does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchDate {
    /// Fields whose dates are shifted, as `source: path`.
    pub shifted: Vec<String>,
    pub entities: Vec<Reach>,
    pub views: Vec<Reach>,
    /// Views and functions that the reader role can't use because they show the batch's date.
    pub withheld: Vec<String>,
    /// What a person lets the reader role see all the same.
    pub exposed: Vec<Exposed>,
}

/// The privacy report: where the fields of each class end up.
#[derive(Debug, Clone)]
pub struct PrivacyReport {
    pub profile: Profile,
    /// Fields with a class, including the class `none`. Sorted by class, source and path.
    pub classed: Vec<Exposure>,
    /// Fields without a class that reach a table.
    pub unclassed: Vec<Exposure>,
    /// Present if any date is shifted, in a batch that is loaded as well, and always under Safe Harbor. Safe Harbor counts
    /// the batch's date as a date, and no mask covers it.
    pub batch_date: Option<BatchDate>,
}

/// Makes the privacy report from a project's lineage. `shifted`: whether a batch that is loaded holds shifted dates.
pub fn privacy_report(lineage: &ProjectLineage, project: &Project, shifted: bool) -> PrivacyReport {
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
        batch_date: batch_date(lineage, project, shifted),
    }
}

/// The columns that each field reaches.
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
            // Every column of the table already lists the fields that decide its rows. The engine's own columns add
            // nothing.
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

fn batch_date(lineage: &ProjectLineage, project: &Project, shifted: bool) -> Option<BatchDate> {
    let reading = reading(lineage, project, shifted);
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
        exposed: reading.exposed,
    })
}

impl PrivacyReport {
    /// Sensitive fields that are stored unmasked, each with the reason that the user gave.
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
