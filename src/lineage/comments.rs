//! Writes the comment of a database column that says where the column comes from: source, field, class and mask. It
//! contains only names and classes, and is short enough for BI tools to show.

use std::collections::BTreeSet;

use super::{Dependence, Lineage, Origin, ProjectLineage, ViewLineage, hides_batch_date};
use crate::model::{MaskKind, PhiClass, Project, ViewKind};

/// The most characters of lineage in one comment.
const MOST: usize = 600;

/// The parts of the comment on a column or on a whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnComment {
    pub table: String,
    /// `None` for a comment on the table itself.
    pub column: Option<String>,
    /// The description in the contract.
    pub description: Option<String>,
    /// The text to use if neither the contract nor a user has written a description.
    pub fallback: Option<&'static str>,
    /// The lineage, for example `a: visits[].date (date, date_shift)`.
    pub lineage: Option<String>,
}

/// The comments on the tables and columns of all entities, and on the columns of views and materialized views. `shifted`:
/// whether a batch that is loaded holds shifted dates.
pub fn comments(lineage: &ProjectLineage, project: &Project, shifted: bool) -> Vec<ColumnComment> {
    let mut comments = Vec::new();
    for entity in &project.entities {
        let mut push = |column: Option<&str>, description: Option<&str>, lineage: Option<String>| {
            comments.push(ColumnComment {
                table: entity.name.clone(),
                column: column.map(str::to_owned),
                description: description.map(|text| text.trim().to_owned()),
                fallback: column.and_then(of_the_engine),
                lineage,
            });
        };
        if entity.description.is_some() {
            push(None, entity.description.as_deref(), None);
        }
        for column in &entity.columns {
            let text = of_column(lineage.of(&entity.name, &column.name));
            push(Some(&column.name), column.description.as_deref(), Some(text));
        }
        push(Some("source"), None, None);
        let hides = shifted || hides_batch_date(project);
        let class = hides.then(|| "the batch's date (date, not masked)".to_owned());
        push(Some("batch_date"), None, class);
    }
    let views = lineage
        .views
        .iter()
        .filter(|view| view.kind != ViewKind::Function && view.column != "*");
    comments.extend(views.map(|view| ColumnComment {
        table: view.view.clone(),
        column: Some(view.column.clone()),
        description: None,
        fallback: None,
        lineage: Some(of_view(lineage, view)),
    }));
    comments
}

fn of_the_engine(column: &str) -> Option<&'static str> {
    match column {
        "source" => Some("The source that the row came from"),
        "batch_date" => Some("The date of the batch that the row came with"),
        _ => None,
    }
}

/// The lineage of an entity's column. Sources that use the same fields are named together.
fn of_column<'a>(sources: impl Iterator<Item = &'a Lineage>) -> String {
    let mut alike: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for one in sources {
        let mut fields: Vec<String> = one
            .origins
            .iter()
            .filter(|origin| is_direct(origin))
            .map(field)
            .collect();
        if one.batch_date == Some(Dependence::Direct) {
            fields.push("the batch's date".to_owned());
        }
        if fields.is_empty() {
            fields.push("no field".to_owned());
        }
        match alike.iter_mut().find(|(known, _)| *known == fields) {
            Some((_, names)) => names.push(&one.source),
            None => alike.push((fields, vec![&one.source])),
        }
    }
    if alike.is_empty() {
        return "no source".to_owned();
    }
    let parts = alike
        .into_iter()
        .map(|(fields, names)| format!("{}: {}", names.join(", "), listed(fields)));
    bounded(parts.collect(), "; ")
}

/// The lineage of a view's column: the columns of entities that it uses, each with the class and mask of its fields.
fn of_view(lineage: &ProjectLineage, view: &ViewLineage) -> String {
    let direct = view
        .origins
        .iter()
        .filter(|origin| origin.dependence == Dependence::Direct);
    let columns: Vec<String> = direct
        .filter_map(|origin| {
            let column = origin.column.as_deref()?;
            let fields = lineage.of(&origin.entity, column).flat_map(|one| &one.origins);
            let marks: BTreeSet<String> = fields.filter(|origin| is_direct(origin)).filter_map(marks).collect();
            let marks: Vec<String> = marks.into_iter().collect();
            let name = format!("{}.{column}", origin.entity);
            Some(if marks.is_empty() {
                name
            } else {
                format!("{name} ({})", marks.join(" or "))
            })
        })
        .collect();
    let text = if columns.is_empty() {
        "no column".to_owned()
    } else {
        listed(columns)
    };
    if view.approximate {
        format!("at most {text}")
    } else {
        text
    }
}

fn is_direct(origin: &Origin) -> bool {
    origin.dependence == Dependence::Direct
}

fn field(origin: &Origin) -> String {
    marks(origin).map_or_else(|| origin.path.clone(), |marks| format!("{} ({marks})", origin.path))
}

fn marks(origin: &Origin) -> Option<String> {
    let words: Vec<&str> = origin
        .class
        .map(PhiClass::name)
        .into_iter()
        .chain(origin.mask.map(MaskKind::name))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn listed(parts: Vec<String>) -> String {
    bounded(parts, ", ")
}

/// Joins as many parts as there is room for, and adds how many were left out.
fn bounded(parts: Vec<String>, separator: &str) -> String {
    let count = parts.len();
    let mut text = String::new();
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            if text.chars().count() + part.chars().count() > MOST {
                return format!("{text}{separator}and {} more", count - at);
            }
            text.push_str(separator);
        }
        text.push_str(&part.chars().take(MOST).collect::<String>());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_ends_in_how_many_more() {
        let parts: Vec<String> = (0..200).map(|n| format!("field_{n:03}")).collect();
        let text = listed(parts);
        assert!(text.chars().count() < MOST + 20, "{text}");
        assert!(
            text.starts_with("field_000, field_001") && text.ends_with(" more"),
            "{text}"
        );
        let one = listed(vec!["é".repeat(5000)]);
        assert_eq!(one.chars().count(), MOST);
    }
}
