//! The command line. Each command parses its arguments, makes one library call and prints a report. A command is one
//! file here and one line in [`Command`]. Commands hold no logic that other code could need.

mod check;
mod cluster;
mod completions;
mod context;
mod doctor;
mod drop;
mod help;
mod init;
mod lineage;
mod lsp;
mod migrate;
mod person;
mod preview;
mod privacy;
mod quarantine;
mod query;
mod roles;
mod run;
mod schema;
mod serve_db;
mod size;
mod source;
mod status;
mod test;
mod views;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::error::Result;
use crate::model::Project;
use crate::report::LogFormat;

/// Load nested healthcare data from many sources into shared PostgreSQL tables, with SQL.
#[derive(Debug, Parser)]
#[command(
    name = "pipeline",
    version,
    max_term_width = 100,
    propagate_version = true,
    disable_help_flag = true,
    disable_version_flag = true,
    help_template = help::template::<Command>()
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = help::GLOBAL_OPTIONS)]
struct Global {
    /// The project's folder [default: the working directory, or the nearest folder above it that holds pipeline.yaml]
    #[arg(long, value_name = "DIR", global = true)]
    project: Option<PathBuf>,
    /// The PostgreSQL server, as a URL or as libpq keywords [default: DATABASE_URL, then libpq's variables, then the embedded database]
    #[arg(long, value_name = "URL", global = true)]
    database_url: Option<String>,
    /// Work as a superuser although `pipeline roles` has made roles: the project's SQL can then use a superuser's rights
    #[arg(long, global = true)]
    as_superuser: bool,
    /// The format of results on stdout
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text")]
    output: Output,
    /// The format of log lines on stderr
    #[arg(long, value_name = "FORMAT", global = true, default_value = "text")]
    log_format: LogFormat,
    /// Log more to stderr; give it twice for even more
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
    /// Print help
    #[arg(short, long, action = ArgAction::Help, global = true)]
    help: Option<bool>,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, global = true)]
    version: Option<bool>,
}

/// The format of what a command returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    /// For `pipeline query` and `pipeline preview` only
    Csv,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load batches: a source on one day, or many sources on many days
    #[command(after_help = help::RUN)]
    Run(run::Arguments),
    /// Remove one batch from all tables
    #[command(after_help = help::DROP)]
    Drop(drop::Arguments),
    /// Load batches on several machines: a scheduler, and an executor on each of them
    #[command(subcommand, after_help = help::CLUSTER)]
    Cluster(cluster::Cluster),
    /// Apply the migrations that the database does not have yet
    #[command(after_help = help::MIGRATE)]
    Migrate,
    /// Write a migration file for what pipeline.yaml has changed
    #[command(subcommand, after_help = help::MIGRATION)]
    Migration(migrate::Migration),
    /// Create or replace the views and functions of sql/
    #[command(after_help = help::VIEWS)]
    Views(views::Arguments),
    /// Find what would keep a run from succeeding, and what to do about it
    #[command(after_help = help::DOCTOR)]
    Doctor,
    /// Create the roles of a server: owner, loader and reader
    #[command(after_help = help::ROLES)]
    Roles(roles::Arguments),
    /// Run a SELECT and print its rows
    #[command(after_help = help::QUERY)]
    Query(query::Arguments),
    /// Open the embedded database for psql or a BI tool
    #[command(after_help = help::SERVE_DB)]
    ServeDb(serve_db::Arguments),
    /// List the latest runs and how they ended
    #[command(after_help = help::STATUS)]
    Status(status::Arguments),
    /// Show what was not loaded, and why
    #[command(subcommand, after_help = help::QUARANTINE)]
    Quarantine(quarantine::Quarantine),
    /// Write a new project with a small sample
    #[command(after_help = help::INIT)]
    Init(init::Arguments),
    /// Add a source to the project
    #[command(subcommand, after_help = help::SOURCE)]
    Source(source::Source),
    /// Print the JSON Schemas of the YAML files, for editors
    #[command(after_help = help::SCHEMA)]
    Schema(schema::Arguments),
    /// Check the project's files without loading anything
    #[command(after_help = help::CHECK)]
    Check(check::Arguments),
    /// Show the rows that a batch would load, without a database
    #[command(after_help = help::PREVIEW)]
    Preview(preview::Arguments),
    /// Run the test cases of the SQL, without a database
    #[command(after_help = help::TEST)]
    Test(test::Arguments),
    /// Show which source fields a column comes from
    #[command(after_help = help::LINEAGE)]
    Lineage(lineage::Arguments),
    /// Show where sensitive fields end up
    #[command(subcommand, after_help = help::PRIVACY)]
    Privacy(privacy::Privacy),
    /// Serve an editor: problems as you type, completions, hovers (Language Server Protocol)
    #[command(after_help = help::LSP)]
    Lsp(lsp::Arguments),
    /// Print a completion script for your shell
    #[command(after_help = help::COMPLETIONS)]
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
    /// Returns the exit code, for example 0 if everything succeeded or 1 if a batch failed. The command has then
    /// already printed its report.
    pub async fn execute(self) -> Result<u8> {
        let global = self.global;
        global.warn_of_password();
        // These end what they are at first.
        let ends_itself = matches!(
            self.command,
            Command::Run(_) | Command::ServeDb(_) | Command::Cluster(cluster::Cluster::Executor(_))
        );
        if !ends_itself {
            crate::run::end_on_signals();
        }
        match self.command {
            Command::Run(arguments) => run::execute(&global, arguments).await,
            Command::Drop(arguments) => drop::execute(&global, arguments).await,
            Command::Cluster(cluster) => Box::pin(cluster::execute(&global, cluster)).await,
            Command::Migrate => migrate::apply(&global).await,
            Command::Migration(migration) => migrate::new(&global, migration).await,
            Command::Views(arguments) => views::execute(&global, &arguments).await,
            Command::Doctor => doctor::execute(&global).await,
            Command::Roles(arguments) => roles::execute(&global, arguments).await,
            Command::Query(arguments) => query::execute(&global, arguments).await,
            Command::ServeDb(arguments) => serve_db::execute(&global, arguments).await,
            Command::Status(arguments) => status::execute(&global, arguments).await,
            Command::Quarantine(quarantine) => quarantine::execute(&global, quarantine).await,
            Command::Init(arguments) => init::execute(&global, &arguments),
            Command::Source(source) => Box::pin(source::execute(&global, source)).await,
            Command::Schema(arguments) => schema::execute(&global, &arguments),
            Command::Check(arguments) => Box::pin(check::execute(&global, &arguments)).await,
            Command::Preview(arguments) => preview::execute(&global, arguments).await,
            Command::Test(arguments) => test::execute(&global, arguments).await,
            Command::Lineage(arguments) => lineage::execute(&global, arguments).await,
            Command::Privacy(privacy) => privacy::execute(&global, privacy).await,
            Command::Lsp(arguments) => lsp::execute(&global, arguments).await,
            Command::Completions(arguments) => Ok(completions::execute(&arguments)),
        }
    }
}

/// The options that limit a list of batches.
#[derive(Debug, clap::Args)]
struct Only {
    /// Only this source, by name or alias
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only this batch date, written 20230502 or 2023-05-02
    #[arg(long, value_name = "DATE", value_parser = date)]
    date: Option<chrono::NaiveDate>,
}

impl Only {
    /// The full name of the source that `--source` gives, if it was given.
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
