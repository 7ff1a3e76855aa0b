//! An executor of a cluster.

use std::error::Error as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::GetJobStatusParams;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::utils::default_config_producer;
use ballista_executor::ArrowFlightServerProvider;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::health::ExecutorHealth;
use futures::FutureExt;
use tokio::runtime::Handle;

use super::codec::Codec;
use super::job_files::JobFiles;
use super::net::{self, Net, TlsFiles};
use super::plan::Here;
use super::{MESSAGE, Where, health};
use crate::error::{Error, Result};
use crate::run::remote::{Capacity, LoadSent, Worker};
use crate::warehouse::Database;
use crate::workspace::{Spill, private_folder};

/// What to do where no scheduler answers.
const START: &str = "start `pipeline cluster scheduler` there, and let this machine reach it";
/// How long an executor tries to reach the scheduler when it starts.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// What an executor is.
#[derive(Debug)]
pub struct Executor {
    /// The host and port of the scheduler.
    pub scheduler: (String, u16),
    /// Where it gives reports to runs. Port 0 stands for a free one.
    pub bind: SocketAddr,
    /// The host under which runs find it. `None`: the address from which it reaches the scheduler.
    pub advertise: Option<String>,
    pub tls: Option<TlsFiles>,
    /// Where it tells how it is.
    pub health: Option<SocketAddr>,
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
pub async fn serve(executor: Executor, say: impl FnOnce(Where)) -> Result<()> {
    let net = Net::new(executor.tls.as_ref())?;
    let (listener, bind) = listen(executor.bind)?;
    // It goes when this ends. Ballista holds on to the worker until the process ends.
    let spill = Spill::make(&executor.folder)?;
    let Executor { capacity, database, .. } = executor;
    let worker = Worker::open(database, spill.folder(), capacity, executor.as_superuser, executor.load).await?;
    let worker = Arc::new(worker);
    let reports = spill.folder().join("reports");
    private_folder(&reports)
        .map_err(|error| Error::project(format!("{} can't be made", reports.display())).cause(error))?;
    let files = Arc::new(JobFiles::in_folder(reports.clone()));
    let here = Here {
        worker: Arc::clone(&worker),
        runtime: Handle::current(),
        files: Arc::clone(&files),
    };
    let beats = ExecutorHealth::new();
    let health = match executor.health {
        Some(address) => Some(health::serve(address, takes_work(&beats, &worker)).await?),
        None => None,
    };
    say(Where {
        address: bind,
        health: health.as_ref().map(|(address, _)| *address),
        encrypted: net.is_encrypted(),
    });
    let (scheduler_host, scheduler_port) = executor.scheduler;
    wait_for(&net, &scheduler_host, scheduler_port).await?;
    let unreachable = format!("the scheduler at df://{scheduler_host}:{scheduler_port} can't be reached");
    let reach = net.reach();
    let config = ExecutorProcessConfig {
        bind_host: bind.ip().to_string(),
        port: bind.port(),
        external_host: executor.advertise,
        scheduler_host,
        scheduler_port,
        vcores: capacity.tasks.max(1),
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(reports.to_string_lossy().into_owned()),
        // Zero stands for no limit: the transforms have one of their own.
        memory_pool_size: Some(0),
        grpc_max_decoding_message_size: MESSAGE,
        grpc_max_encoding_message_size: MESSAGE,
        override_physical_codec: Some(Arc::new(Codec::new(Some(here)))),
        override_arrow_flight_service: Some(reports_server(&net, listener)),
        override_create_grpc_client_endpoint: Some(net.reach()),
        // For what executors fetch from one another.
        override_config_producer: Some(Arc::new(move || {
            default_config_producer().with_ballista_override_create_grpc_client_endpoint(Arc::clone(&reach))
        })),
        health: beats,
        ..ExecutorProcessConfig::default()
    };
    let ended = tokio::select! {
        ended = start_executor_process(Arc::new(config)) => ended,
        never = files.remove_unused(&worker) => match never {},
    };
    ended.map_err(|_| Error::unreachable(unreachable).hint(START))
}

/// Listens; port 0 stands for a free one.
fn listen(bind: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listening = TcpListener::bind(bind).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    listening.map_err(|error| {
        Error::unreachable(format!("{bind} can't be listened on"))
            .cause(error)
            .hint("name an address of this machine and a free port: --bind IP:PORT")
    })
}

/// Waits until the scheduler answers. Ballista would wait, too, but would not say what kept it.
async fn wait_for(net: &Net, host: &str, port: u16) -> Result<()> {
    let begun = Instant::now();
    loop {
        match answers(net, host, port).await {
            Ok(()) => return Ok(()),
            Err((why, hint)) if begun.elapsed() > PATIENCE => {
                let error = Error::unreachable(format!("the scheduler at df://{host}:{port} can't be reached"));
                return Err(error.cause(why).hint(hint));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Asks the scheduler for a job that is not there. A server that does not like the certificate says so only now. Where it
/// does not answer, returns why, and what to do.
async fn answers(net: &Net, host: &str, port: u16) -> std::result::Result<(), (String, &'static str)> {
    let with_remedy = |why: String, or: &'static str| {
        let remedy = net::remedy(&why).unwrap_or(or);
        (why, remedy)
    };
    let unreachable = |error: tonic::transport::Error| with_remedy(net::root(&error), START);
    let endpoint = net.endpoint(host, port).map_err(unreachable)?;
    let channel = endpoint.connect().await.map_err(unreachable)?;
    let job_id = String::new();
    let mut scheduler = SchedulerGrpcClient::new(channel);
    match scheduler.get_job_status(GetJobStatusParams { job_id }).await {
        Ok(_) => Ok(()),
        Err(status) => Err(match status.source() {
            Some(cause) => with_remedy(net::root(cause), net::BROKEN_OFF),
            None => (status.code().description().to_owned(), START),
        }),
    }
}

/// Gives reports to runs, and parts of batches to other executors.
fn reports_server(net: &Net, listener: TcpListener) -> Arc<ArrowFlightServerProvider> {
    let net = net.clone();
    Arc::new(move |folder, _, mut shutdown, _| {
        let bound = listener.try_clone().and_then(tokio::net::TcpListener::from_std);
        let server = net.server().map_err(BallistaError::TonicError);
        tokio::spawn(async move {
            let service = FlightServiceServer::new(BallistaFlightService::new(folder))
                .max_decoding_message_size(MESSAGE as usize)
                .max_encoding_message_size(MESSAGE as usize);
            server?
                .add_service(service)
                .serve_with_incoming_shutdown(net::incoming(bound?), shutdown.recv())
                .await
                .map_err(BallistaError::TonicError)
        })
    })
}

/// Whether the scheduler and the database answer.
fn takes_work(beats: &ExecutorHealth, worker: &Arc<Worker>) -> health::Ready {
    let (beats, worker) = (beats.clone(), Arc::clone(worker));
    Arc::new(move || {
        let (beats, worker) = (beats.clone(), Arc::clone(&worker));
        async move {
            if !beats.is_ready() {
                return Err("the scheduler does not answer");
            }
            if !worker.reaches_database().await {
                return Err("the database does not answer");
            }
            Ok(())
        }
        .boxed()
    })
}
