//! `pipeline drop`.

use std::io::{self, BufRead, IsTerminal, Write};

use chrono::NaiveDate;
use clap::Args;

use super::{Global, date};
use crate::error::{Error, Result};
use crate::model::Batch;
use crate::{report, run};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The source, by name or alias
    #[arg(long, value_name = "NAME")]
    source: String,
    /// The batch's date, written 20230502 or 2023-05-02
    #[arg(long, value_name = "DATE", value_parser = date)]
    date: NaiveDate,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Wait for a run that is loading the batch, instead of failing
    #[arg(long)]
    wait: bool,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    let warehouse = global.warehouse(&project.root).await?;
    let named = Batch {
        source: arguments.source.clone(),
        date: arguments.date,
    };
    let batch = match project.source(&named.source) {
        Ok(source) if source.name == named.source => named,
        // A source that is gone, or has another name by now, has left its batches. A second drop is not that of the new name.
        _ if run::was_loaded(&warehouse, &named).await? => named,
        other => Batch {
            source: other?.name.clone(),
            date: arguments.date,
        },
    };
    if !arguments.yes && !confirmed(&batch)? {
        report::message("nothing was dropped");
        return Ok(1);
    }
    let done = run::drop_batch(&project, warehouse, &batch, arguments.wait).await?;
    report::dropped(&batch, &done, json);
    Ok(report::not_refreshed(&done.refresh))
}

fn confirmed(batch: &Batch) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Error::project(format!(
            "dropping {batch} needs a yes and there is no terminal to ask at"
        ))
        .hint("add --yes"));
    }
    let mut stderr = io::stderr();
    let _ = write!(stderr, "Drop batch {batch} from all tables? [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|e| Error::project("the answer can't be read").cause(e))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
