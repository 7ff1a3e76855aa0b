//! `pipeline source add`.

use clap::{Subcommand, ValueEnum};

use super::Global;
use crate::error::{Error, Result};
use crate::infer::{self, Entities, Request};
use crate::report;

#[derive(Debug, Subcommand)]
pub(super) enum Source {
    /// Propose a source from a sample of its files: schema, masks and SQL
    #[command(after_help = super::help::SOURCE)]
    Add(Add),
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The source's name, such as clinic_c
    name: String,
    /// Sample files, folders, patterns in quotes, or URLs: JSON, NDJSON, CSV or Parquet, plain or compressed
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    from: Vec<String>,
    /// How many records to look at
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    sample: u64,
    /// Fill the entities of pipeline.yaml, or add new ones for the sample
    #[arg(long, value_name = "WHICH", default_value = "existing")]
    entities: Which,
    /// Declare a kind of records for each value of this field; the values are written into the source
    #[arg(long, value_name = "FIELD", conflicts_with = "update")]
    kind_by: Option<String>,
    /// Print a few values of each field, to judge what was proposed; they are written to no file
    #[arg(long)]
    show_samples: bool,
    /// For a source that is there: show what this newer sample changes of its schema
    #[arg(long, conflicts_with_all = ["entities", "show_samples"])]
    update: bool,
    /// With --update: all records of the sample are of this kind of the source
    #[arg(long, value_name = "NAME", requires = "update")]
    kind: Option<String>,
    /// Write what --update shows
    #[arg(long, requires = "update")]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Existing,
    New,
}

pub(super) async fn execute(global: &Global, source: Source) -> Result<u8> {
    let Source::Add(add) = source;
    let json = global.json()?;
    if json && add.show_samples {
        return Err(
            Error::project("--show-samples prints values for a person to read, not as JSON")
                .hint("leave out --show-samples or --output json"),
        );
    }
    let here = std::env::current_dir();
    let here = here.map_err(|error| Error::project("the working directory can't be read").cause(error))?;
    // New entities make any folder a project.
    let root = match global.root() {
        Err(_) if add.entities == Which::New => here.clone(),
        root => root?,
    };
    let request = Request {
        name: add.name,
        paths: add.from,
        from: here,
        sample: add.sample,
        show_samples: add.show_samples,
        entities: match add.entities {
            Which::Existing => Entities::Existing,
            Which::New => Entities::New,
        },
        kind_by: add.kind_by,
        kind: add.kind,
    };
    if add.update {
        let updated = Box::pin(infer::update(&root, &request, add.yes)).await?;
        report::source_updated(&updated, json);
        return Ok(0);
    }
    let added = infer::add(&root, &request).await?;
    report::source_added(&added, json);
    Ok(0)
}
