//! The database: can it be reached, may this user load, do its settings fit, and is everything in its place?

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use chrono::Utc;

use super::disk::size;
use super::finding::Finding;
use crate::error::Error;
use crate::mask::{MaskKey, subject_domains};
use crate::model::Project;
use crate::model::wording::counted;
use crate::warehouse::health::{Health, health};
use crate::warehouse::suppression::{self, OTHER_KEY};
use crate::warehouse::{Database, Warehouse, drift, migrate};

/// A clock that differs by more than this, in seconds, confuses whoever reads the history.
const CLOCK: i64 = 30;

/// From this many partitions on, a query over all batches plans for seconds.
const MANY_PARTITIONS: i64 = 4000;

/// Locks that a query over all batches takes, per partition and in hundredths: the partition and its indexes.
const LOCKS_PER_PARTITION: i64 = 240;

/// The least `maintenance_work_mem` and `max_wal_size` without a warning, in bytes.
const INDEX_MEMORY: i64 = 64 << 20;
const WAL: i64 = 1 << 30;

pub(super) async fn examine(root: &Path, database: Database, project: Option<&Project>) -> Vec<Finding> {
    if let Database::Embedded { dir } = &database
        && !dir.exists()
    {
        let detail = "no server is named, and the first run makes the embedded database";
        return vec![Finding::ok("database", detail.to_owned())];
    }
    let begun = Instant::now();
    let warehouse = match Warehouse::open(database, 1).await {
        Ok(warehouse) => warehouse,
        Err(error) => return vec![Finding::error("database", &error)],
    };
    let took = begun.elapsed().as_millis();
    let entities: Vec<String> = project
        .iter()
        .flat_map(|one| &one.entities)
        .map(|one| one.name.clone())
        .collect();
    let mut findings = match asked(&warehouse, &entities).await {
        Ok(health) => of_health(&warehouse, &health, took),
        Err(error) => vec![Finding::error("database", &error)],
    };
    findings.extend(contents(&warehouse, root, project).await);
    findings
}

async fn asked(warehouse: &Warehouse, entities: &[String]) -> Result<Health, Error> {
    health(&*warehouse.acquire().await?, entities).await
}

fn of_health(warehouse: &Warehouse, health: &Health, took: u128) -> Vec<Finding> {
    let bytes = size(u64::try_from(health.bytes).unwrap_or(0));
    let name = warehouse.describe();
    let detail = format!(
        "PostgreSQL {} at {name}, {bytes}, connected in {took} ms",
        health.version
    );
    let mut findings = vec![Finding::ok("database", detail)];
    if warehouse.is_embedded() {
        findings.extend(partitions(health));
        return findings;
    }
    findings.push(writes(health));
    findings.push(rights(health));
    findings.push(tls(warehouse, health));
    findings.push(clock(health));
    findings.extend(settings(health));
    findings.extend(partitions(health));
    findings
}

fn writes(health: &Health) -> Finding {
    let name = "writes";
    if health.in_recovery {
        return Finding::fail(name, "the server is a replica, which takes no writes".to_owned())
            .remedy("connect to the primary, or add target_session_attrs=read-write to the URL");
    }
    if health.read_only {
        return Finding::fail(name, "default_transaction_read_only is on".to_owned()).remedy(format!(
            "ALTER ROLE {} SET default_transaction_read_only = off",
            health.user
        ));
    }
    Finding::ok(name, "the server takes writes".to_owned())
}

fn rights(health: &Health) -> Finding {
    if health.lacks.is_empty() {
        return Finding::ok("rights", format!("{} may load", health.user));
    }
    let detail = format!("{} lacks {}", health.user, health.lacks.join("; "));
    Finding::fail("rights", detail).remedy("`pipeline roles` makes a role that may load; connect as that one")
}

fn tls(warehouse: &Warehouse, health: &Health) -> Finding {
    match health.encrypted {
        Some(true) => Finding::ok("TLS", "the connection is encrypted".to_owned()),
        _ if warehouse.is_local() => Finding::ok(
            "TLS",
            "the connection is not encrypted, and stays on this machine".to_owned(),
        ),
        Some(false) => Finding::warn("TLS", "the connection is not encrypted".to_owned())
            .remedy("set sslmode=verify-full, and sslrootcert where the server's certificate is your own"),
        None => Finding::warn(
            "TLS",
            "the server does not tell whether the connection is encrypted".to_owned(),
        )
        .remedy("set sslmode=verify-full, so that it must be"),
    }
}

fn clock(health: &Health) -> Finding {
    let apart = (health.clock - Utc::now()).num_seconds();
    let detail = match apart.abs() {
        0..=2 => "the server's clock is that of this machine".to_owned(),
        seconds => format!(
            "the server's clock is {seconds} s {}",
            if apart > 0 { "ahead" } else { "behind" }
        ),
    };
    let remedy = "times in the history will not fit the logs: synchronise both clocks (NTP)";
    Finding::warn_if(apart.abs() > CLOCK, "clock", detail, remedy)
}

fn settings(health: &Health) -> Vec<Finding> {
    let bytes = |bytes: i64| size(u64::try_from(bytes).unwrap_or(0));
    let mut findings = Vec::new();
    let mut warn = |bad: bool, detail: String, remedy: &str| {
        if bad {
            findings.push(Finding::warn("settings", detail).remedy(remedy));
        }
    };
    warn(
        !health.fsync,
        "fsync is off: a crash of the server may damage all data".to_owned(),
        "switch it on, unless the server can be rebuilt from the sources",
    );
    warn(
        health.maintenance_work_mem < INDEX_MEMORY,
        format!(
            "maintenance_work_mem is {}: indexes build slowly",
            bytes(health.maintenance_work_mem)
        ),
        &format!("ALTER ROLE {} SET maintenance_work_mem = '512MB'", health.user),
    );
    warn(
        health.max_wal_size < WAL,
        format!(
            "max_wal_size is {}: checkpoints come in the middle of loads",
            bytes(health.max_wal_size)
        ),
        "ALTER SYSTEM SET max_wal_size = '8GB', then reload the server",
    );
    let free = health.max_connections - health.connections;
    warn(
        free < 6,
        format!("{free} of {} connections are free", health.max_connections),
        "raise max_connections, or give `run` fewer --connections",
    );
    if findings.is_empty() {
        findings.push(Finding::ok(
            "settings",
            format!("{free} connections are free, and nothing hurts"),
        ));
    }
    findings
}

fn partitions(health: &Health) -> Vec<Finding> {
    let count = usize::try_from(health.partitions).unwrap_or(0);
    let detail = counted(count, "batch partition", "batch partitions");
    let locks = health.max_locks_per_transaction * health.max_connections;
    let needed = health.partitions * LOCKS_PER_PARTITION / 100;
    let partitions = if needed > locks {
        Finding::warn(
            "partitions",
            format!("{detail}: a query over all of them takes more locks than the server has"),
        )
        .remedy("raise max_locks_per_transaction to 512, and let queries name source and batch_date")
    } else {
        let remedy = "a query over all of them plans for seconds: let queries name source and batch_date";
        Finding::warn_if(health.partitions > MANY_PARTITIONS, "partitions", detail, remedy)
    };
    let mut findings = vec![partitions];
    if health.leftovers > 0 {
        let count = usize::try_from(health.leftovers).unwrap_or(0);
        let detail = format!(
            "{} of runs that ended",
            counted(count, "staging table", "staging tables")
        );
        findings.push(Finding::warn("leftovers", detail).remedy("the next run removes them"));
    }
    if health.old_runs > 0 {
        let count = usize::try_from(health.old_runs).unwrap_or(0);
        let detail = format!(
            "{} for more than a day",
            counted(count, "run is going on", "runs are going on")
        );
        let remedy = "`pipeline status` names them; the next run ends those whose process is gone";
        findings.push(Finding::warn("leftovers", detail).remedy(remedy));
    }
    if findings.len() == 1 {
        findings.push(Finding::ok("leftovers", "no run has left anything behind".to_owned()));
    }
    findings
}

/// Migrations, and whether the tables are those of the project.
async fn contents(warehouse: &Warehouse, root: &Path, project: Option<&Project>) -> Vec<Finding> {
    let pending = match migrate::pending(warehouse, root).await {
        Ok(pending) => pending,
        Err(error) => return vec![Finding::error("migrations", &error)],
    };
    if !pending.is_empty() {
        let detail = format!("pending: {}", pending.join(", "));
        return vec![if warehouse.is_embedded() {
            Finding::ok("migrations", detail + "; the next run applies them")
        } else {
            Finding::fail("migrations", detail).remedy("run `pipeline migrate`, then `pipeline views`")
        }];
    }
    let mut findings = vec![Finding::ok("migrations", "none is pending".to_owned())];
    if let Some(project) = project {
        findings.extend(suppression(warehouse, project).await);
        findings.push(match drift::check(warehouse, project).await {
            Ok(()) => Finding::ok("tables", "they are as pipeline.yaml declares them".to_owned()),
            Err(error) => Finding::error("tables", &error),
        });
    }
    findings
}

/// Whether the suppression list still keeps everybody out. Nothing where it is empty.
async fn suppression(warehouse: &Warehouse, project: &Project) -> Option<Finding> {
    let name = "suppression list";
    let counts = async { suppression::counts(&*warehouse.acquire().await?).await };
    let counts = match counts.await {
        Ok(counts) => counts,
        Err(error) => return Some(Finding::error(name, &error)),
    };
    let entries: i64 = counts.iter().map(|count| count.entries).sum();
    let detail = counted(usize::try_from(entries).unwrap_or(0), "entry", "entries");
    let present = MaskKey::at_hand(warehouse.is_embedded(), &project.root).map(|key| key.key_id());
    let foreign = counts.iter().find(|count| Some(&count.key_id) != present.as_ref());
    let kinds = project.sources.iter().flat_map(|source| &source.kinds);
    let domains: BTreeSet<String> = kinds.flat_map(subject_domains).collect();
    let gone = counts.iter().find(|count| !domains.contains(&count.domain));
    match foreign {
        _ if counts.is_empty() => None,
        _ if gone.is_some() => gone.map(|count| {
            let detail = format!(
                "{detail}, of which {} of the domain {}, and no source has a subject of it any more",
                count.entries, count.domain
            );
            Finding::fail(name, detail).remedy(suppression::other_domain(&count.domain))
        }),
        None => Some(Finding::ok(name, format!("{detail} under the present key"))),
        Some(count) => {
            let now = present.map_or_else(
                || "no key is at hand".to_owned(),
                |id| format!("the present one is {id}"),
            );
            let detail = format!(
                "{detail}, of which {} under the key {}, and {now}",
                count.entries, count.key_id
            );
            Some(Finding::fail(name, detail).remedy(OTHER_KEY))
        }
    }
}
