//! `pipeline query`.

use std::io::Read;

use clap::Args;

use super::{Global, Output};
use crate::error::{Error, Result};
use crate::report::{self, Rows};
use crate::warehouse;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The SELECT; `-` reads it from standard input. The query can't change anything
    sql: String,
    /// Print at most so many rows
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let sql = if arguments.sql == "-" {
        standard_input()?
    } else {
        arguments.sql
    };
    let rows = match global.output {
        Output::Text => Rows::Table,
        Output::Json => Rows::Json,
        Output::Csv => Rows::Csv,
    };
    let warehouse = global.warehouse(&global.root()?).await?;
    let result = warehouse::query::query(&warehouse, &sql, arguments.limit).await?;
    report::query(&result, rows);
    Ok(0)
}

pub(super) fn standard_input() -> Result<String> {
    let mut sql = String::new();
    std::io::stdin()
        .read_to_string(&mut sql)
        .map_err(|e| Error::project("the query can't be read from standard input").cause(e))?;
    Ok(sql)
}
