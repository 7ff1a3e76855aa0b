//! Decides what the reader role may see of a project: its tables and views. If a date is shifted, everything that shows
//! the batch's date is excluded, because that date is close to the true dates. The rights themselves are granted
//! elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dependence, Lineage, ProjectLineage, names};
use crate::model::{Exposed, Field, FieldType, MaskKind, Profile, Project, ViewKind};

/// What the reader role may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Whether the batch's date is hidden from the reader role.
    pub hides_batch_date: bool,
    /// One entry per entity.
    pub tables: Vec<ReadTable>,
    /// Views and materialized views, by name.
    pub views: Vec<String>,
    /// Views and functions that show or may show the batch's date, each with the columns that show it.
    pub withheld: BTreeMap<String, Vec<String>>,
    /// What a person lets the reader role see all the same. Empty where the batch's date is not hidden.
    pub exposed: Vec<Exposed>,
}

/// An entity's table as the reader role sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTable {
    pub entity: String,
    /// The columns that the reader role sees. The partition columns come last.
    pub columns: Vec<String>,
    /// The columns that show the batch's date.
    pub hidden: Vec<String>,
}

/// Whether the batch's date must be hidden. It could reveal a shifted date. Under Safe Harbor, every date must be
/// hidden (45 CFR 164.514(b)(2)(i)(C)).
pub fn hides_batch_date(project: &Project) -> bool {
    let mut kinds = project.sources.iter().flat_map(|source| &source.kinds);
    project.profile == Profile::SafeHarbor || kinds.any(|kind| shifts(&kind.schema))
}

fn shifts(fields: &[Field]) -> bool {
    fields.iter().any(|field| {
        let inside = match &field.field_type {
            FieldType::Struct(fields) => shifts(fields),
            FieldType::List(item) => shifts(std::slice::from_ref(item)),
            _ => false,
        };
        inside || field.privacy.mask == Some(MaskKind::DateShift)
    })
}

/// What the reader role may see. `shifted`: whether a batch that is loaded holds shifted dates, whatever the project says by
/// now. The plan of a view decides: what can't be planned is not for readers. The batch's date
/// may serve to join rows of the same batch (`a.batch_date = b.batch_date`) and to pick the latest row
/// (`DISTINCT ON ... ORDER BY ..., batch_date DESC`). Any other use may show it: a comparison with a date that the view
/// writes down tells it, and so do an order and a number computed from it.
pub fn reading(lineage: &ProjectLineage, project: &Project, shifted: bool) -> Reading {
    let hides_batch_date = shifted || hides_batch_date(project);
    let exposed: Vec<Exposed> = project.exposed.iter().filter(|_| hides_batch_date).cloned().collect();
    let is_exposed = |name: &str| exposed.iter().any(|one| one.name == name);
    // Of an exposed entity, what is computed from the date stays hidden.
    let tells = |one: &Lineage| match one.batch_date {
        Some(Dependence::Direct) => true,
        _ => one.shows_date && !is_exposed(&one.entity),
    };
    let shows = |entity: &str, column: &str| column == "batch_date" || lineage.of(entity, column).any(tells);
    let tables = project.entities.iter().map(|entity| {
        let names = entity.columns.iter().map(|column| column.name.as_str());
        let names = names.chain(["source", "batch_date"]).map(str::to_owned);
        let (hidden, columns) = names.partition(|name| hides_batch_date && shows(&entity.name, name));
        ReadTable {
            entity: entity.name.clone(),
            columns,
            hidden,
        }
    });
    let mut withheld: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for view in lineage.views.iter().filter(|_| hides_batch_date) {
        if view.shows_date && !is_exposed(&view.view) {
            withheld.entry(view.view.clone()).or_default().push(view.column.clone());
        }
    }
    let views = project
        .views
        .iter()
        .filter(|view| view.kind != ViewKind::Function && !withheld.contains_key(&view.name));
    Reading {
        hides_batch_date,
        tables: tables.collect(),
        views: views.map(|view| view.name.clone()).collect(),
        withheld,
        exposed,
    }
}

/// The views and functions that may read one of these tables, directly or through others, by the words of their texts.
pub fn may_name<'a>(project: &'a Project, tables: &[String]) -> BTreeSet<&'a str> {
    let names = |name: &str| {
        let mut views = project.views.iter().filter(|view| view.name == name);
        views.any(|view| {
            let words = names::words(&view.sql);
            !names::are_exact(&view.sql)
                || tables.iter().any(|table| {
                    words.contains(table) || (!names::is_simple(table) && view.sql.contains(table.as_str()))
                })
        })
    };
    if tables.is_empty() {
        return BTreeSet::new();
    }
    let views = project.views.iter().map(|view| view.name.as_str());
    views
        .filter(|view| stands_on(project, view).iter().any(|name| names(name)))
        .collect()
}

/// The view itself and every view and function that it may read, directly or through others. A view may read whatever
/// its text names.
pub fn stands_on(project: &Project, view: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending = vec![view];
    while let Some(name) = pending.pop() {
        let views = project.views.iter().filter(|view| view.name == name);
        for view in views.filter(|_| found.insert(name.to_owned())) {
            let (words, exact) = (names::words(&view.sql), names::are_exact(&view.sql));
            let named = project
                .views
                .iter()
                .filter(|other| !exact || words.contains(&other.name));
            pending.extend(named.map(|other| other.name.as_str()));
        }
    }
    found
}
