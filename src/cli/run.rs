//! `pipeline run`.

use chrono::NaiveDate;
use clap::Args;

use super::{Global, date};
use crate::error::{Error, Result};
use crate::model::{Batch, Project};
use crate::project;
use crate::report;
use crate::run::{self, Options, Selection};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Arguments {
    /// A source, by name or alias; repeat it for several sources
    #[arg(long, value_name = "NAME", required_unless_present_any = ["all_sources", "stale_masks"])]
    source: Vec<String>,
    /// Load every source of the project
    #[arg(long, conflicts_with = "source")]
    all_sources: bool,
    /// The batch's date, written 20230502 or 2023-05-02
    #[arg(long, value_name = "DATE", value_parser = date, required_unless_present_any = ["start", "end", "stale_masks"])]
    date: Option<NaiveDate>,
    /// The first date of a range
    #[arg(long, value_name = "DATE", value_parser = date, requires = "end", conflicts_with = "date")]
    start: Option<NaiveDate>,
    /// The last date of a range; this day is loaded, too
    #[arg(long, value_name = "DATE", value_parser = date, requires = "start", conflicts_with = "date")]
    end: Option<NaiveDate>,
    /// Load the batches that were loaded under other masks than the project declares now, and no others
    #[arg(long, conflicts_with_all = ["date", "start", "end"])]
    stale_masks: bool,
    /// How many batches to load at once [default: the number of cores, at most 4; on a cluster 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How many database connections to open in all [default: one per entity for each batch at once, and one more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    connections: Option<u16>,
    /// How much memory sorts, joins and aggregates may use before they spill to disk, such as 256MB or 2GB
    #[arg(long, value_name = "SIZE", value_parser = super::size::size, default_value = "192MB")]
    memory: usize,
    /// Print how long each stage of each batch took
    #[arg(long)]
    timings: bool,
    /// Print no progress, only the result, warnings and errors
    #[arg(short, long)]
    quiet: bool,
    /// Start no further batch once one has failed
    #[arg(long)]
    fail_fast: bool,
    /// Let the executors of this cluster read and load the batches
    #[arg(long, value_name = "URL", env = "PIPELINE_CLUSTER", value_parser = super::cluster::address)]
    cluster: Option<(String, u16)>,
    /// Let several executors read a large batch, each in parts of about this size; `none` leaves each batch to one
    #[arg(long, value_name = "SIZE", value_parser = super::size::part_size, default_value = "128MiB")]
    part_size: usize,
    #[command(flatten)]
    tls: super::cluster::Tls,
    /// Wait for a batch that another run is loading, instead of failing
    #[arg(long)]
    wait: bool,
}

pub(super) async fn execute(global: &Global, arguments: Arguments) -> Result<u8> {
    let json = global.json()?;
    let (project, texts) = project::load_with_texts(&global.root()?)?;
    let timings = arguments.timings;
    let batches = batches(global, &project, &arguments).await?;
    let (threads, connections) = (arguments.threads, arguments.connections);
    let options = Options::new(&project, batches.len(), threads, connections, arguments.memory)
        .fail_fast(arguments.fail_fast)
        .wait(arguments.wait)
        .as_superuser(global.as_superuser);
    let options = match arguments.cluster {
        Some(scheduler) => {
            let cluster = super::cluster::of_run(scheduler, arguments.tls, texts, arguments.part_size)?;
            options.on_cluster(cluster, batches.len(), threads, connections)
        }
        None => options,
    };
    let observer = report::progress(batches.len(), arguments.quiet, global.log_format);
    if !arguments.quiet {
        report::resolved(&batches);
    }
    let database = global.database(&project.root)?;
    let outcome = Box::pin(run::run(project, database, batches, options, observer)).await?;
    Ok(report::outcome(&outcome, timings, json))
}

async fn batches(global: &Global, project: &Project, arguments: &Arguments) -> Result<Vec<Batch>> {
    let sources = arguments.source.clone();
    let sources = (!arguments.all_sources && !sources.is_empty()).then_some(sources);
    if arguments.stale_masks {
        let warehouse = global.warehouse(&project.root).await?;
        let (batches, gone) = run::stale_batches(&warehouse, project, sources.as_deref()).await?;
        report::lost(&gone);
        return Ok(batches);
    }
    let (start, end) = match (arguments.date, arguments.start, arguments.end) {
        (Some(date), ..) => (date, date),
        (None, Some(start), Some(end)) => (start, end),
        _ => return Err(Error::project("no date is given").hint("add --date D, or --start D --end D")),
    };
    run::resolve(project, &Selection { sources, start, end })
}
