//! The command line: arguments in, one library call, a report out. A command is one file here and
//! one line in [`Command`]; no command holds logic that another could want.

mod check;
mod completions;
mod context;
mod drop;
mod lineage;
mod migrate;
mod privacy;
mod quarantine;
mod query;
mod roles;
mod run;
mod serve_db;
mod status;
mod views;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::Result;
use crate::model::Project;
use crate::report::LogFormat;

/// Nested healthcare data from many sources, flattened with SQL into PostgreSQL tables.
#[derive(Debug, Parser)]
#[command(name = "pipeline", version, about, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// The project's folder [default: the nearest one upward that holds pipeline.yaml]
    #[arg(long, value_name = "DIR", global = true)]
    project: Option<PathBuf>,
    /// The PostgreSQL server, as a URL or libpq keywords [default: DATABASE_URL, then libpq's variables, then the embedded database]
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// How results are printed to stdout
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text")]
    output: Output,
    /// How log lines are printed to stderr
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text")]
    log_format: LogFormat,
    /// Say more on stderr; twice for more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

/// The format of what a command returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    /// Only `query`.
    Csv,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load batches: read, flatten, stage, swap
    Run(run::Arguments),
    /// Remove a batch from all tables
    Drop(drop::Arguments),
    /// Apply the pending migrations
    Migrate,
    /// Work with migration files
    #[command(subcommand)]
    Migration(migrate::Migration),
    /// Make every function and view of sql/
    Views,
    /// Make the database's roles: owner, loader, reader
    Roles(roles::Arguments),
    /// Run a SELECT and print its rows
    Query(query::Arguments),
    /// Hold the embedded database open for psql or a BI tool
    ServeDb(serve_db::Arguments),
    /// The runs of the last batches
    Status(status::Arguments),
    /// What was not loaded, and why
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Check the whole project without a server
    Check,
    /// Where columns of tables and views come from
    Lineage(lineage::Arguments),
    /// What is known of sensitive fields
    #[command(subcommand)]
    Privacy(privacy::Privacy),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

impl Cli {
    pub fn log_format(&self) -> LogFormat {
        self.global.log_format
    }

    /// How many times `-v` was given.
    pub fn verbosity(&self) -> u8 {
        self.global.verbose
    }

    /// Runs the command.
    ///
    /// Returns the exit code where the command itself has reported (0 all done, 1 some batch failed, ...).
    pub async fn execute(self) -> Result<u8> {
        let global = self.global;
        match self.command {
            Command::Run(arguments) => run::execute(&global, arguments).await,
            Command::Drop(arguments) => drop::execute(&global, arguments).await,
            Command::Migrate => migrate::apply(&global).await,
            Command::Migration(migration) => migrate::new(&global, migration).await,
            Command::Views => views::execute(&global).await,
            Command::Roles(arguments) => roles::execute(&global, arguments).await,
            Command::Query(arguments) => query::execute(&global, arguments).await,
            Command::ServeDb(arguments) => serve_db::execute(&global, arguments).await,
            Command::Status(arguments) => status::execute(&global, arguments).await,
            Command::Quarantine(quarantine) => quarantine::execute(&global, quarantine).await,
            Command::Check => check::execute(&global).await,
            Command::Lineage(arguments) => lineage::execute(&global, arguments).await,
            Command::Privacy(privacy) => privacy::execute(&global, privacy).await,
            Command::Completions(arguments) => Ok(completions::execute(&arguments)),
        }
    }
}

/// What a list of batches is narrowed to.
#[derive(Debug, clap::Args)]
struct Only {
    /// Only this source, by name or alias
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only this batch date
    #[arg(long, value_parser = date)]
    date: Option<chrono::NaiveDate>,
}

impl Only {
    /// The source's name, where one was named.
    fn source(&self, project: &Project) -> Result<Option<String>> {
        let named = self.source.as_deref().map(|name| project.source(name));
        Ok(named.transpose()?.map(|source| source.name.clone()))
    }
}

/// Reads a date as `20230502` or `2023-05-02`.
fn date(text: &str) -> std::result::Result<chrono::NaiveDate, String> {
    chrono::NaiveDate::parse_from_str(text, "%Y%m%d")
        .or_else(|_| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d"))
        .map_err(|_| "a date is written 20230502 or 2023-05-02".to_owned())
}
