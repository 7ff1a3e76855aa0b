//! Measures how alone persons stand in the views, by the columns that `privacy` of `pipeline.yaml` names.

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};
use crate::lineage::{self, Dependence, Lineage, Outlines, ProjectLineage, ViewLineage};
use crate::model::{Entity, Gate, OnRare, Project, ViewKind};
use crate::warehouse::Warehouse;
use crate::warehouse::diversity::{self, Diversity, Measured};

/// A view and what was found in it.
#[derive(Debug)]
pub struct Risk {
    pub measured: Measured,
    /// `None`: the view has none of the columns, or it is not known which of its columns they are, or it has failed.
    pub found: Option<Diversity>,
    /// Why the view could not be measured.
    pub failed: Option<Error>,
}

/// The columns that show what `severity: suppress` takes out of others, since they come from the same fields, and the
/// entities whose rows these fields decide on: in words. Empty where nothing is suppressed.
pub(super) fn unsuppressed(lineage: &ProjectLineage, project: &Project) -> Vec<String> {
    let Some(gate) = project.gate.as_ref().filter(|gate| gate.severity == OnRare::Suppress) else {
        return Vec::new();
    };
    let of = |one: &Lineage, how: Dependence| {
        let origins = one.origins.iter().filter(|origin| origin.dependence == how);
        let fields = origins.map(|origin| (one.source.clone(), origin.path.clone()));
        fields.collect::<Vec<_>>()
    };
    let fields = |one: &Lineage| of(one, Dependence::Direct);
    let mut words = Vec::new();
    for entity in &project.entities {
        // What decides on the rows counts for every column.
        let deciding: Vec<_> = entity
            .columns
            .iter()
            .flat_map(|column| lineage.of(&entity.name, &column.name))
            .flat_map(|one| of(one, Dependence::Indirect))
            .collect();
        let decides = |quasi: &&String| {
            let mut theirs = lineage.of(&gate.over, quasi).flat_map(fields);
            theirs.any(|field| deciding.contains(&field))
        };
        if entity.name != gate.over {
            words.extend(gate.quasi.iter().find(decides).map(|quasi| {
                format!(
                    "which rows {} has depends on the same field as {}.{quasi}, and `severity: suppress` leaves them as they are",
                    entity.name, gate.over
                )
            }));
        }
        let is_suppressed = |column: &str| entity.name == gate.over && gate.quasi.iter().any(|name| name == column);
        for column in entity.columns.iter().filter(|column| !is_suppressed(&column.name)) {
            let own: Vec<_> = lineage.of(&entity.name, &column.name).flat_map(fields).collect();
            let shares = |quasi: &&String| {
                let mut theirs = lineage.of(&gate.over, quasi).flat_map(fields);
                theirs.any(|field| own.contains(&field))
            };
            words.extend(gate.quasi.iter().find(shares).map(|quasi| {
                format!(
                    "{}.{} comes from the same field as {}.{quasi}, and `severity: suppress` leaves it as it is",
                    entity.name, column.name, gate.over
                )
            }));
        }
    }
    words
}

/// Measures all views and materialized views. Also says which columns show what is suppressed in others.
///
/// # Errors
/// The project names no columns, or the database can't be reached.
pub async fn risk(warehouse: &Warehouse, project: &Project) -> Result<(Vec<Risk>, Vec<String>)> {
    let gate = project.gate.as_ref().ok_or_else(|| {
        Error::project("pipeline.yaml does not say which columns are quasi-identifiers")
            .hint("privacy: {k: 5, quasi: [zip3, birth_year, sex], over: patients}")
    })?;
    let entity = project.entity(&gate.over)?;
    let lineage = lineage::of_project(&lineage::engine()?, project, Outlines::new()).await?;
    let connection = warehouse.acquire().await?;
    let mut risks = Vec::new();
    for view in project.views.iter().filter(|view| view.kind != ViewKind::Function) {
        let measured = measured(&lineage, &view.name, gate, entity);
        let (mut found, mut failed) = (None, None);
        if !measured.quasi.is_empty() {
            match diversity::diversity(&connection, &measured).await {
                Ok(one) => found = Some(one),
                Err(error) if error.kind == Kind::Unreachable => return Err(error),
                // The other views are measured all the same.
                Err(error) => failed = Some(error),
            }
        }
        risks.push(Risk {
            measured,
            found,
            failed,
        });
    }
    Ok((risks, unsuppressed(&lineage, project)))
}

/// Tells by the lineage what each column of a view is.
fn measured(lineage: &ProjectLineage, name: &str, gate: &Gate, entity: &Entity) -> Measured {
    let columns = lineage
        .views
        .iter()
        .filter(|view| view.view == name && view.column != "*");
    let shows = |view: &ViewLineage, names: &[String]| {
        view.origins.iter().any(|origin| {
            let column = origin.column.as_ref().filter(|_| origin.entity == gate.over);
            origin.dependence == Dependence::Direct && column.is_some_and(|column| names.contains(column))
        })
    };
    let mut measured = Measured {
        view: name.to_owned(),
        quasi: Vec::new(),
        person: Vec::new(),
        others: Vec::new(),
    };
    let mut keys = BTreeSet::new();
    for view in columns {
        let key = entity.key.iter().filter(|key| shows(view, std::slice::from_ref(key)));
        let list = if shows(view, &gate.quasi) {
            &mut measured.quasi
        } else if shows(view, &entity.key) {
            keys.extend(key);
            &mut measured.person
        } else {
            &mut measured.others
        };
        list.push(view.column.clone());
    }
    // With a part of the key only, persons can't be told apart, nor by a key that is another one in each load.
    if keys.len() < entity.key.len() || gate.per_batch {
        measured.person.clear();
    }
    measured
}
