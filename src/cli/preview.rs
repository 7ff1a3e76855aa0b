//! `pipeline preview`.

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use clap::Args;

use super::{Global, Output, date, query};
use crate::error::{Error, Result};
use crate::preview::{self, Request};
use crate::report::{self, Rows, Show};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The source, by name or alias
    #[arg(long, value_name = "NAME")]
    source: String,
    /// The batch's date, written 20230502 or 2023-05-02
    #[arg(long, value_name = "DATE", value_parser = date)]
    date: NaiveDate,
    /// Only this entity [default: every entity that the source serves]
    #[arg(long, value_name = "NAME")]
    entity: Option<String>,
    /// Show at most so many rows of each entity, or so many refusals
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// A SELECT to use in place of the entity's own; `-` reads it from standard input
    #[arg(long, value_name = "FILE", requires = "entity")]
    sql: Option<PathBuf>,
    /// A file, pattern or URL to read in place of the source's own
    #[arg(long, value_name = "FILE")]
    input: Option<String>,
    /// The kind of all records of --input, where the source's paths tell the kinds
    #[arg(long, value_name = "NAME", requires = "input")]
    kind: Option<String>,
    /// Show what would be refused, and why
    #[arg(long, conflicts_with = "explain")]
    refused: bool,
    /// Show the plans of the transforms, with the rows and the time of each operator
    #[arg(long)]
    explain: bool,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let show = match (arguments.refused, arguments.explain) {
        (true, _) => Show::Refusals,
        (_, true) => Show::Plan,
        _ => Show::Rows,
    };
    let rows = rows(global.output, show, arguments.entity.is_some())?;
    let project = global.project()?;
    let request = Request {
        source: arguments.source,
        date: arguments.date,
        entity: arguments.entity,
        limit: arguments.limit,
        sql: arguments.sql.map(|path| read(&path)).transpose()?,
        input: arguments.input.map(|path| absolute(&path)).transpose()?,
        kind: arguments.kind,
        refused: arguments.refused,
    };
    // As a task, so that a panic becomes an error whose message holds no value.
    let looked = tokio::spawn(preview::look(project, request)).await;
    let preview = looked.unwrap_or_else(|_| Err(Error::internal()))?;
    Ok(report::preview(&preview, show, rows))
}

/// How to print it. CSV holds the rows of one table.
fn rows(output: Output, show: Show, one_entity: bool) -> Result<Rows> {
    match output {
        Output::Text => Ok(Rows::Table),
        Output::Json => Ok(Rows::Json),
        Output::Csv if show != Show::Rows => {
            Err(Error::project("only rows are printed as CSV").hint("use --output text or json"))
        }
        Output::Csv if !one_entity => {
            Err(Error::project("CSV holds the rows of one entity").hint("add --entity NAME, or use --output json"))
        }
        Output::Csv => Ok(Rows::Csv),
    }
}

fn read(path: &Path) -> Result<(PathBuf, String)> {
    if path.as_os_str() == "-" {
        return Ok((PathBuf::from("standard input"), query::standard_input()?));
    }
    match std::fs::read_to_string(path) {
        Ok(sql) => Ok((path.to_owned(), sql)),
        Err(error) => Err(Error::project(format!("{} can't be read", path.display()))
            .cause(error)
            .hint("--sql takes a file with one SELECT, or - for standard input")),
    }
}

/// A local path is relative to the working directory, not to the project.
fn absolute(path: &str) -> Result<String> {
    if path.contains("://") {
        return Ok(path.to_owned());
    }
    let failed = |error| Error::project("the working directory can't be read").cause(error);
    let absolute = std::path::absolute(path).map_err(failed)?;
    let text = absolute.to_string_lossy().into_owned();
    // The name of a file that exists is no pattern.
    Ok(if absolute.is_file() { literal(&text) } else { text })
}

/// A pattern that matches exactly this text.
fn literal(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut pattern, c| {
        match c {
            '*' | '?' | '[' => pattern.extend(['[', c, ']']),
            _ => pattern.push(c),
        }
        pattern
    })
}
