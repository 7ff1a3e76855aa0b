//! `pipeline privacy trace`, `pipeline privacy erase` and `pipeline privacy suppression`.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;

use clap::Args;

use super::Global;
use crate::error::{Error, Result};
use crate::report;
use crate::run::person::{self, Person, Subject};
use crate::run::suppressed;
use crate::warehouse::suppression;

/// Whom a command is about. The id itself is never an argument.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// `-`: the person's id, as the records have it, comes from standard input. This is also the default
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    subject: Option<String>,
    /// The domain of the id, where the project's subjects are of several
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Refused: an argument shows in the list of processes
    #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
    values: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Trace {
    #[command(flatten)]
    whom: Whom,
    /// Search the tables only, and neither input files nor the quarantine
    #[arg(long)]
    no_input: bool,
}

#[derive(Debug, Args)]
pub(super) struct Erase {
    #[command(flatten)]
    whom: Whom,
    /// Erase the person; without this, the SQL is printed and nothing is changed
    #[arg(long, short)]
    yes: bool,
    /// Wait for runs that are loading the person's batches, instead of failing
    #[arg(long)]
    wait: bool,
    /// Write the receipt to this file, as JSON. It must not be there yet
    #[arg(long, value_name = "FILE", requires = "yes")]
    receipt: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Suppression {
    #[command(flatten)]
    whom: Whom,
    /// Take a person off the list: the next loads bring their records again
    #[arg(long)]
    remove: bool,
    /// Take all entries off the list that were made under the key with this id
    #[arg(long, value_name = "ID", conflicts_with_all = ["remove", "subject"])]
    remove_key: Option<String>,
    /// Take all entries of a domain off the list that no source has any more
    #[arg(long, value_name = "NAME", conflicts_with_all = ["remove", "subject", "remove_key"])]
    remove_domain: Option<String>,
}

pub(super) async fn trace(global: &Global, arguments: Trace) -> Result<u8> {
    let json = global.json()?;
    let id = arguments.whom.read()?;
    let project = global.project()?;
    let warehouse = global.warehouse(&project.root).await?;
    let person = Person::new(&project, &warehouse, id, arguments.whom.domain)?;
    let found = Box::pin(person::trace(&person, !arguments.no_input)).await?;
    report::traced(&found, json);
    Ok(0)
}

pub(super) async fn erase(global: &Global, arguments: Erase) -> Result<u8> {
    let json = global.json()?;
    let id = arguments.whom.read()?;
    let project = global.project()?;
    // Before anything is erased, so that no erasure is without its receipt.
    let receipt = arguments.receipt.map(new_file).transpose()?;
    let warehouse = global.warehouse(&project.root).await?;
    let person = Person::new(&project, &warehouse, id, arguments.whom.domain)?;
    if !arguments.yes {
        let planned = Box::pin(person::plan(&person)).await?;
        report::to_erase(&planned, json);
        return Ok(0);
    }
    let erased = Box::pin(person::erase(&person, arguments.wait))
        .await
        .inspect_err(|_| {
            if let Some((path, _)) = &receipt {
                let _ = fs::remove_file(path);
            }
        })?;
    if let Some((path, mut file)) = receipt {
        let text = format!("{:#}\n", report::receipt(&erased));
        file.write_all(text.as_bytes())
            .map_err(|error| unwritable(&path, &error))?;
    }
    let code = report::erased(&erased, json);
    Ok(code.max(report::not_refreshed(&erased.refresh)))
}

pub(super) async fn list(global: &Global, arguments: Suppression) -> Result<u8> {
    let json = global.json()?;
    if !arguments.remove {
        arguments.whom.refuse_value()?;
    }
    let id = if arguments.remove {
        Some(arguments.whom.read()?)
    } else {
        None
    };
    let project = global.project()?;
    let warehouse = global.warehouse(&project.root).await?;
    if let Some(id) = id {
        let person = Person::new(&project, &warehouse, id, arguments.whom.domain)?;
        report::unsuppressed(person::unsuppress(&person).await?, json);
        return Ok(0);
    }
    if let Some(key_id) = arguments.remove_key {
        let removed = suppression::remove_key(&*warehouse.acquire().await?, &key_id).await?;
        report::entries_removed(removed, json);
        return Ok(0);
    }
    if let Some(domain) = arguments.remove_domain {
        let removed = suppression::remove_domain(&*warehouse.acquire().await?, &domain).await?;
        report::entries_removed(removed, json);
        return Ok(0);
    }
    let (list, changed) = suppressed(&warehouse, &project).await?;
    report::suppressed(&list, &changed, json);
    Ok(0)
}

impl Whom {
    /// Reads the id from standard input: one line.
    fn read(&self) -> Result<Subject> {
        self.refuse_value()?;
        if io::stdin().is_terminal() {
            let _ = write!(io::stderr(), "The person's id: ");
            let _ = io::stderr().flush();
        }
        let mut text = String::new();
        let read = if io::stdin().is_terminal() {
            io::stdin().read_line(&mut text).map(drop)
        } else {
            io::stdin().read_to_string(&mut text).map(drop)
        };
        // The error of a text that is not UTF-8 holds none of it.
        read.map_err(|error| {
            Error::project("the id can't be read from standard input").cause(error.kind().to_string())
        })?;
        let id = text.strip_suffix('\n').unwrap_or(&text);
        let id = id.strip_suffix('\r').unwrap_or(id);
        if id.is_empty() {
            return Err(Error::project("standard input holds no id").hint("printf %s \"$id\" | pipeline privacy trace"));
        }
        if id.contains('\n') {
            return Err(Error::project("standard input holds more than one line").hint("give one person's id"));
        }
        Ok(Subject::new(id.to_owned()))
    }

    /// Refuses an id among the arguments, without repeating it.
    fn refuse_value(&self) -> Result<()> {
        if self.values.is_empty() && self.subject.as_deref().is_none_or(|subject| subject == "-") {
            return Ok(());
        }
        Err(Error::project("the person's id can't be an argument")
            .cause("everybody on this machine sees the arguments of a process, and the shell keeps them")
            .hint("give it on standard input: printf %s \"$id\" | pipeline privacy trace"))
    }
}

fn new_file(path: PathBuf) -> Result<(PathBuf, fs::File)> {
    match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(unwritable(&path, &error)),
    }
}

fn unwritable(path: &std::path::Path, error: &io::Error) -> Error {
    Error::project(format!("the receipt can't be written to {}", path.display()))
        .cause(error.kind().to_string())
        .hint("name a file that is not there yet, in a folder that you may write to")
}
