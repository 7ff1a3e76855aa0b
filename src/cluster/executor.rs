//! An executor of a cluster.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use tokio::runtime::Handle;

use super::MESSAGE;
use super::codec::Codec;
use super::plan::Here;
use crate::error::{Error, Result};
use crate::run::remote::{Capacity, LoadSent, Worker};
use crate::warehouse::Database;
use crate::workspace::{Spill, private_folder};

/// How long an executor tries to reach the scheduler when it starts, in seconds.
const PATIENCE: u16 = 30;

/// What an executor is.
#[derive(Debug)]
pub struct Executor {
    /// The host and port of the scheduler.
    pub scheduler: (String, u16),
    /// Where it gives reports to runs. Port 0 stands for a free one.
    pub bind: SocketAddr,
    /// The host under which runs find it. `None`: the address from which it reaches the scheduler.
    pub advertise: Option<String>,
    pub capacity: Capacity,
    /// The database of the runs.
    pub database: Database,
    /// Whether a superuser may load although there are roles.
    pub as_superuser: bool,
    /// The folder in which `.pipeline` is made.
    pub folder: PathBuf,
    pub load: LoadSent,
}

/// Runs an executor until a signal comes. `say` is told where it listens.
///
/// # Errors
/// The database or the scheduler can't be reached, or the address can't be listened on.
pub async fn serve(executor: Executor, say: impl FnOnce(SocketAddr)) -> Result<()> {
    let bind = free(executor.bind)?;
    // It goes when this ends. Ballista holds on to the worker until the process ends.
    let spill = Spill::make(&executor.folder)?;
    let Executor { capacity, database, .. } = executor;
    let worker = Worker::open(database, spill.folder(), capacity, executor.as_superuser, executor.load).await?;
    let reports = spill.folder().join("reports");
    private_folder(&reports)
        .map_err(|error| Error::project(format!("{} can't be made", reports.display())).cause(error))?;
    let here = Here {
        worker: Arc::new(worker),
        runtime: Handle::current(),
    };
    let (scheduler_host, scheduler_port) = executor.scheduler;
    let unreachable = format!("the scheduler at df://{scheduler_host}:{scheduler_port} can't be reached");
    let config = ExecutorProcessConfig {
        bind_host: bind.ip().to_string(),
        port: bind.port(),
        external_host: executor.advertise,
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: PATIENCE,
        vcores: capacity.tasks.max(1),
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(reports.to_string_lossy().into_owned()),
        // Zero stands for no limit: the transforms have one of their own.
        memory_pool_size: Some(0),
        grpc_max_decoding_message_size: MESSAGE,
        grpc_max_encoding_message_size: MESSAGE,
        override_physical_codec: Some(Arc::new(Codec::new(Some(here)))),
        ..ExecutorProcessConfig::default()
    };
    say(bind);
    start_executor_process(Arc::new(config)).await.map_err(|_| {
        Error::unreachable(unreachable).hint("start `pipeline cluster scheduler` there, and let this machine reach it")
    })
}

/// The address, with a free port in place of port 0.
fn free(bind: SocketAddr) -> Result<SocketAddr> {
    let found = TcpListener::bind(bind).and_then(|listener| listener.local_addr());
    found.map_err(|error| {
        Error::unreachable(format!("{bind} can't be listened on"))
            .cause(error)
            .hint("name an address of this machine and a free port: --bind IP:PORT")
    })
}
