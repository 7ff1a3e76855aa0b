//! `pipeline quarantine`.

use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{Global, Output, date};
use crate::error::Result;
use crate::report::{self, Rows};
use crate::warehouse::quarantine::Filter;
use crate::warehouse::query;

/// What was refused by each batch's last committed run, and by the runs that failed since.
///
/// To replay: mend the file, or the source's YAML or SQL, and run the batch again. There is no other
/// way back in: a refused record is read anew from its file, and its old entries then no longer count.
#[derive(Debug, Subcommand)]
pub(super) enum Quarantine {
    /// How many were refused, per batch, entity, check and path
    List(Arguments),
    /// Each refused record and row: file, record number, byte offset, path and reason
    Show(Arguments),
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this source, by name or alias
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only this batch date
    #[arg(long, value_parser = date)]
    date: Option<NaiveDate>,
    /// Only this check, such as `malformed`, `schema` or one of the contract
    #[arg(long, value_name = "NAME")]
    check: Option<String>,
    /// At most so many lines
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(super) async fn execute(global: &Global, command: Quarantine) -> Result<u8> {
    let project = global.project()?;
    let (arguments, one_by_one) = match command {
        Quarantine::List(arguments) => (arguments, false),
        Quarantine::Show(arguments) => (arguments, true),
    };
    let source = arguments
        .source
        .map(|name| project.source(&name).map(|s| s.name.clone()))
        .transpose()?;
    let filter = Filter {
        source,
        date: arguments.date,
        check: arguments.check,
    };
    let sql = if one_by_one {
        filter.show_sql()
    } else {
        filter.list_sql()
    };
    let rows = match global.output {
        Output::Text => Rows::Table,
        Output::Json => Rows::Json,
        Output::Csv => Rows::Csv,
    };
    let warehouse = global.warehouse(&project.root).await?;
    let result = query::query(&warehouse, &sql, arguments.limit).await?;
    let any = !result.rows.is_empty();
    report::query(&result, rows);
    if any {
        report::message("to replay: mend the file, or the source's YAML or SQL, and run the batch again");
    }
    Ok(0)
}
