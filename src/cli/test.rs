//! `pipeline test`.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Subcommand};

use super::{Global, date};
use crate::error::{Error, Result};
use crate::model::Project;
use crate::preview::{self, NewCase};
use crate::{project, report, workspace};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only the cases of this source, by name or alias
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only cases whose name contains this text
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Write what comes out into the cases that fail, as what is expected
    #[arg(long)]
    update: bool,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a case from a record of real data, with its shape kept and every value invented anew
    #[command(after_help = super::help::TEST_CREATE)]
    Create(Create),
}

#[derive(Debug, Args)]
struct Create {
    /// The source, by name or alias
    #[arg(long, value_name = "NAME")]
    source: String,
    /// The batch's date, written 20230502 or 2023-05-02
    #[arg(long, value_name = "DATE", value_parser = date)]
    date: NaiveDate,
    /// The number of the record in its file; the first is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    record: u32,
    /// The number of the file, where the batch has several
    #[arg(long, value_name = "N", default_value_t = 1)]
    file: usize,
    /// The name of the new file, without its ending [default: record_N]
    #[arg(long, value_name = "NAME", value_parser = file_name)]
    name: Option<String>,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let project = global.project()?;
    if let Some(Command::Create(new)) = arguments.command {
        return create(project, new, json).await;
    }
    let mut cases = project::read_tests(&project)?;
    if cases.is_empty() {
        return Err(Error::project("the project has no test case").hint(
            "write one into the folder `tests` beside the SQL of a source, or let `pipeline test create` make one from a \
             record",
        ));
    }
    if let Some(name) = &arguments.source {
        let name = project.source(name)?.name.clone();
        cases.retain(|case| case.source == name);
    }
    if let Some(part) = &arguments.name {
        cases.retain(|case| case.name.contains(part.as_str()));
    }
    if cases.is_empty() {
        return Err(Error::project("no test case is left").hint("leave out --source or --name to run all of them"));
    }
    let root = project.root.clone();
    let results = preview::test(project, cases).await?;
    if let Some(path) = &arguments.junit {
        workspace::write_report(path, &report::junit(&results)).map_err(|error| {
            error.hint("--junit takes the path of a file in a folder that is there, and no symbolic link")
        })?;
    }
    if arguments.update {
        let changed = preview::update(&root, &results)?;
        return Ok(report::updated(&results, &changed, json));
    }
    Ok(report::cases(&results, json))
}

async fn create(project: Project, new: Create, json: bool) -> Result<u8> {
    let name = new.name.unwrap_or_else(|| format!("record_{}", new.record));
    let new = NewCase {
        source: new.source,
        date: new.date,
        record: new.record.into(),
        file: new.file,
        name,
    };
    // As a task, so that a panic becomes an error whose message holds no value.
    let made = tokio::spawn(preview::create(project, new)).await;
    let path = made.unwrap_or_else(|_| Err(Error::internal()))?;
    report::done("written", &[path.display().to_string()], "", json);
    Ok(0)
}

/// A name that stays in its folder.
fn file_name(text: &str) -> std::result::Result<String, String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a name has letters, digits, _ and -".to_owned())
    }
}
