//! The scheduler of a cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::ConnectInfo;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures::FutureExt;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};

use super::codec::Codec;
use super::net::{self, Net, TlsFiles};
use super::{MESSAGE, Where, health};
use crate::error::{Error, Result};

/// What a scheduler is.
#[derive(Debug)]
pub struct Scheduler {
    /// Where it listens for runs and executors, as `HOST:PORT`.
    pub bind: String,
    /// After how many seconds of silence an executor counts as lost. Its batches are then given to others.
    pub lost_after: u64,
    pub tls: Option<TlsFiles>,
    /// Where it tells how it is.
    pub health: Option<SocketAddr>,
}

/// Runs a scheduler until the process ends. `say` is told where it listens.
///
/// # Errors
/// The address can't be listened on.
pub async fn serve(scheduler: Scheduler, say: impl FnOnce(Where)) -> Result<()> {
    let Scheduler { bind, lost_after, .. } = &scheduler;
    let unusable = |error| {
        Error::unreachable(format!("{bind} can't be listened on"))
            .cause(error)
            .hint("name an address of this machine and a free port: --bind HOST:PORT")
    };
    let net = Net::new(scheduler.tls.as_ref())?;
    let listener = TcpListener::bind(bind).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let config = SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        external_host: address.ip().to_string(),
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: *lost_after,
        expire_dead_executor_interval_seconds: (lost_after / 6).max(1),
        no_executors_grace_period_seconds: 2 * lost_after,
        finished_job_data_clean_up_interval_seconds: 60,
        finished_job_state_clean_up_interval_seconds: 600,
        grpc_server_max_decoding_message_size: MESSAGE,
        grpc_server_max_encoding_message_size: MESSAGE,
        grpc_client_max_message_size: MESSAGE,
        override_physical_codec: Some(Arc::new(Codec::new(None))),
        override_create_grpc_client_endpoint: Some(net.reach()),
        use_tls: net.is_encrypted(),
        ..SchedulerConfig::default()
    };
    let stopped = |_| Error::unreachable("the scheduler has stopped").hint("start it again; -v says more");
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(stopped)?;
    let ready = Arc::new(AtomicBool::new(false));
    let health = match scheduler.health {
        Some(address) => Some(health::serve(address, listens(&ready)).await?),
        None => None,
    };
    let engine = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config));
    let service = SchedulerGrpcServer::new(engine.await.map_err(stopped)?)
        .max_encoding_message_size(MESSAGE as usize)
        .max_decoding_message_size(MESSAGE as usize);
    let mut server = net.server().map_err(|_| Error::internal())?;
    let serving = server.add_service(InterceptedService::new(service, with_address));
    say(Where {
        address,
        health: health.as_ref().map(|(address, _)| *address),
        encrypted: net.is_encrypted(),
    });
    ready.store(true, Ordering::Relaxed);
    let ended = serving.serve_with_incoming(net::incoming(listener)).await;
    ended.map_err(|_| Error::unreachable("the scheduler has stopped").hint("start it again; -v says more"))
}

fn listens(ready: &Arc<AtomicBool>) -> health::Ready {
    let ready = Arc::clone(ready);
    Arc::new(move || {
        let listens = ready.load(Ordering::Relaxed);
        async move { if listens { Ok(()) } else { Err("it does not listen yet") } }.boxed()
    })
}

/// Ballista looks here for the address of an executor that names none.
#[expect(clippy::unnecessary_wraps, reason = "tonic asks for this form")]
fn with_address(mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
    if let Some(address) = request.remote_addr() {
        request.extensions_mut().insert(ConnectInfo(address));
    }
    Ok(request)
}
