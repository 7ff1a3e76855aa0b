//! `pipeline cluster`, and the cluster of `pipeline run --cluster`. A build without the feature `cluster` knows the commands,
//! and says that it can't run them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;

use super::{Global, help};
use crate::error::Result;
use crate::run::remote::OnCluster;

/// Where a scheduler listens if nothing else is said.
const PORT: u16 = 50050;

#[derive(Debug, Subcommand)]
pub(super) enum Cluster {
    /// Run the scheduler of a cluster, which gives batches to executors
    #[command(after_help = help::CLUSTER_SCHEDULER)]
    Scheduler(Scheduler),
    /// Run an executor of a cluster on this machine
    #[command(after_help = help::CLUSTER_EXECUTOR)]
    Executor(Executor),
}

#[derive(Debug, clap::Args)]
pub(super) struct Scheduler {
    /// Where to listen for runs and executors
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    bind: String,
    /// After how many seconds without a word an executor counts as lost, and its batches go to others
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(6..), default_value = "30")]
    lost_after: u64,
    /// Where to tell by HTTP how it is: GET /health/live and /health/ready
    #[arg(long, value_name = "IP:PORT", value_parser = socket)]
    health: Option<SocketAddr>,
    #[command(flatten)]
    tls: Tls,
}

/// The certificates with which the machines of a cluster prove who they are. Without them nothing between the machines is
/// encrypted.
#[derive(Debug, clap::Args)]
pub(super) struct Tls {
    /// The certificate of this machine for the cluster's TLS, as a PEM file
    #[arg(id = "tls_cert", long = "tls-cert", value_name = "FILE", env = "PIPELINE_TLS_CERT", requires_all = ["tls_key", "tls_ca"])]
    cert: Option<PathBuf>,
    /// The private key of that certificate, as a PEM file without a password
    #[arg(id = "tls_key", long = "tls-key", value_name = "FILE", env = "PIPELINE_TLS_KEY", requires_all = ["tls_cert", "tls_ca"])]
    key: Option<PathBuf>,
    /// The certificate of the authority that has signed those of all machines of the cluster, as a PEM file
    #[arg(id = "tls_ca", long = "tls-ca", value_name = "FILE", env = "PIPELINE_TLS_CA", requires_all = ["tls_cert", "tls_key"])]
    ca: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Executor {
    /// The scheduler of the cluster
    #[arg(long, value_name = "URL", value_parser = address, default_value = "df://127.0.0.1:50050")]
    scheduler: (String, u16),
    /// Where to listen for runs that fetch their reports; port 0 is a free one
    #[arg(long, value_name = "IP:PORT", value_parser = socket, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// The host under which runs find this machine [default: the address from which it reaches the scheduler]
    #[arg(long, value_name = "HOST")]
    advertise: Option<String>,
    /// How many batches, or parts of them, to work on at once [default: the number of cores, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    tasks: Option<u16>,
    /// How many database connections to open in all [default: 8 for each batch at once, and one more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    connections: Option<u16>,
    /// How much memory sorts, joins and aggregates may use before they spill to disk, such as 256MB or 2GB
    #[arg(long, value_name = "SIZE", value_parser = super::size::size, default_value = "192MB")]
    memory: usize,
    /// The folder in which `.pipeline` is made, for spill files and reports
    #[arg(long, value_name = "DIR", default_value = ".")]
    work_dir: PathBuf,
    /// Where to tell by HTTP how it is: GET /health/live and /health/ready
    #[arg(long, value_name = "IP:PORT", value_parser = socket)]
    health: Option<SocketAddr>,
    #[command(flatten)]
    tls: Tls,
}

pub(super) async fn execute(global: &Global, cluster: Cluster) -> Result<u8> {
    match cluster {
        Cluster::Scheduler(arguments) => built::scheduler(arguments).await,
        Cluster::Executor(arguments) => built::executor(global, arguments).await,
    }
}

/// The cluster on which a run fills its batches. `texts` are those of the project's files. `part_size` is that of the parts of
/// a divided batch, in bytes; 0: none is divided.
pub(super) fn of_run(
    scheduler: (String, u16),
    tls: Tls,
    texts: BTreeMap<PathBuf, String>,
    part_size: usize,
) -> Result<OnCluster> {
    built::of_run(scheduler, tls, texts, (part_size > 0).then_some(part_size as u64))
}

/// Reads `df://HOST:PORT`.
pub(super) fn address(text: &str) -> std::result::Result<(String, u16), String> {
    let wrong = || "a cluster is written df://HOST:PORT".to_owned();
    let rest = text.trim().strip_prefix("df://").ok_or_else(wrong)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => (host, port.parse().map_err(|_| wrong())?),
        Some(_) => return Err(wrong()),
        None => (rest, PORT),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    if host.is_empty() || !host.chars().all(plain) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

/// Reads `IP:PORT`.
fn socket(text: &str) -> std::result::Result<SocketAddr, String> {
    let wrong = || "an address of this machine is written IP:PORT, such as 10.0.0.8:50051".to_owned();
    text.trim().parse().map_err(|_| wrong())
}

#[cfg(feature = "cluster")]
mod built {
    use std::sync::Arc;

    use super::{BTreeMap, Executor, Global, OnCluster, PathBuf, Result, Scheduler, Tls};
    use crate::cluster::{self, TlsFiles, Where};
    use crate::run::remote::Capacity;
    use crate::warehouse::Database;
    use crate::{project, report};

    /// The most batches at once by default.
    const MOST_TASKS: usize = 4;
    /// Database connections for each batch at once by default: one for each entity, in most projects.
    const CONNECTIONS: usize = 8;

    pub async fn scheduler(arguments: Scheduler) -> Result<u8> {
        let scheduler = cluster::Scheduler {
            bind: arguments.bind,
            lost_after: arguments.lost_after,
            tls: arguments.tls.files(),
            health: arguments.health,
        };
        let say = |place: Where| listens(&format!("the scheduler listens on df://{}", place.address), place);
        cluster::schedule(scheduler, say).await?;
        Ok(0)
    }

    /// Says that a server is there.
    fn listens(line: &str, place: Where) {
        if let Some(health) = place.health {
            report::message(&format!("how it is: http://{health}/health/ready"));
        }
        if !place.encrypted && !place.address.ip().is_loopback() {
            report::message("its connections are not encrypted, and whoever reaches it can use it: see --tls-cert");
        }
        report::message(line);
    }

    impl Tls {
        /// The files, where they are named. One is not named without the others.
        fn files(self) -> Option<TlsFiles> {
            Some(TlsFiles {
                cert: self.cert?,
                key: self.key?,
                ca: self.ca?,
            })
        }
    }

    pub async fn executor(global: &Global, arguments: Executor) -> Result<u8> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let tasks = arguments.tasks.map_or_else(|| cores.min(MOST_TASKS), usize::from);
        let capacity = Capacity {
            tasks,
            memory: arguments.memory,
            connections: arguments.connections.map_or(tasks * CONNECTIONS + 1, usize::from) - 1,
        };
        let executor = cluster::Executor {
            scheduler: arguments.scheduler,
            bind: arguments.bind,
            advertise: arguments.advertise,
            tls: arguments.tls.files(),
            health: arguments.health,
            capacity,
            database: Database::choose(global.database_url.as_deref(), &arguments.work_dir)?,
            as_superuser: global.as_superuser,
            folder: arguments.work_dir,
            load: project::load_sent,
        };
        let say = |place: Where| listens(&format!("the executor listens on {}", place.address), place);
        cluster::execute(executor, say).await?;
        Ok(0)
    }

    pub fn of_run(
        scheduler: (String, u16),
        tls: Tls,
        texts: BTreeMap<PathBuf, String>,
        part_size: Option<u64>,
    ) -> Result<OnCluster> {
        Ok(OnCluster {
            cluster: Arc::new(cluster::Client::new(scheduler, tls.files().as_ref())?),
            texts: Arc::new(texts),
            part_size,
        })
    }
}

#[cfg(not(feature = "cluster"))]
mod built {
    use super::{BTreeMap, Executor, Global, OnCluster, PathBuf, Result, Scheduler, Tls};
    use crate::error::Error;

    fn absent() -> Error {
        Error::project("this build of the program works on one machine only")
            .hint("build it for a cluster: cargo build --release --features cluster")
    }

    #[expect(clippy::unused_async, reason = "a build with the feature waits here")]
    pub async fn scheduler(arguments: Scheduler) -> Result<u8> {
        let Scheduler {
            bind: _,
            lost_after: _,
            health: _,
            tls,
        } = arguments;
        Err(without(tls))
    }

    fn without(tls: Tls) -> Error {
        let Tls { cert, key, ca } = tls;
        drop((cert, key, ca));
        absent()
    }

    #[expect(clippy::unused_async, reason = "a build with the feature waits here")]
    pub async fn executor(_: &Global, arguments: Executor) -> Result<u8> {
        let Executor {
            scheduler: _,
            bind: _,
            advertise: _,
            tasks: _,
            connections: _,
            memory: _,
            work_dir: _,
            health: _,
            tls,
        } = arguments;
        Err(without(tls))
    }

    pub fn of_run(_: (String, u16), tls: Tls, _: BTreeMap<PathBuf, String>, _: Option<u64>) -> Result<OnCluster> {
        Err(without(tls))
    }
}

#[cfg(test)]
mod tests {
    use super::{address, socket};

    #[test]
    fn sockets() {
        assert_eq!(socket("127.0.0.1:7").unwrap().port(), 7);
        assert!(socket("[::1]:7").is_ok());
        for wrong in ["localhost:7", "127.0.0.1", ":7", ""] {
            assert!(socket(wrong).unwrap_err().contains("IP:PORT"), "{wrong}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(address("df://scheduler:50051"), Ok(("scheduler".into(), 50051)));
        assert_eq!(address("df://10.0.0.7"), Ok(("10.0.0.7".into(), 50050)));
        assert_eq!(address("df://[::1]:7/"), Ok(("[::1]".into(), 7)));
        for wrong in [
            "scheduler:50050",
            "http://scheduler",
            "df://",
            "df://:1",
            "df://a:b",
            "df://a b:1",
            "df://u:p@h:1",
        ] {
            assert_eq!(
                address(wrong),
                Err("a cluster is written df://HOST:PORT".to_owned()),
                "{wrong}"
            );
        }
    }
}
