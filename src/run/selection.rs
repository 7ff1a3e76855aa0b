//! Resolves which batches an invocation means.

use chrono::NaiveDate;

use crate::error::{Error, Result};
use crate::model::{Batch, Project};

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Names or aliases; `None` is every source.
    pub sources: Option<Vec<String>>,
    pub start: NaiveDate,
    /// The last day, included.
    pub end: NaiveDate,
}

/// The batches of a selection, without repetition, sorted by date and then by source.
pub fn resolve(project: &Project, selection: &Selection) -> Result<Vec<Batch>> {
    if selection.start > selection.end {
        return Err(Error::project(format!(
            "the range ends ({}) before it starts ({})",
            selection.end, selection.start
        ))
        .hint("swap --start and --end"));
    }
    let names: Vec<&str> = match &selection.sources {
        None => project.sources.iter().map(|s| s.name.as_str()).collect(),
        Some(wanted) => {
            let mut names = Vec::new();
            for name in wanted {
                let source = project.source(name)?;
                if !names.contains(&source.name.as_str()) {
                    names.push(source.name.as_str());
                }
            }
            names
        }
    };
    let dates = selection.start.iter_days().take_while(|d| *d <= selection.end);
    Ok(dates
        .flat_map(|date| {
            names.iter().map(move |s| Batch {
                source: (*s).to_owned(),
                date,
            })
        })
        .collect())
}
