//! The scheduler of a cluster.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use super::MESSAGE;
use super::codec::Codec;
use crate::error::{Error, Result};

/// Runs a scheduler until the process ends. An executor that is silent for `lost_after` seconds counts as lost, and its
/// batches are given to others. `say` is told where the scheduler listens.
///
/// # Errors
/// The address can't be listened on.
pub async fn serve(bind: &str, lost_after: u64, say: impl FnOnce(SocketAddr)) -> Result<()> {
    let unusable = |error| {
        Error::unreachable(format!("{bind} can't be listened on"))
            .cause(error)
            .hint("name an address of this machine and a free port: --bind HOST:PORT")
    };
    let listener = TcpListener::bind(bind).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let config = SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        external_host: address.ip().to_string(),
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: lost_after,
        expire_dead_executor_interval_seconds: (lost_after / 6).max(1),
        no_executors_grace_period_seconds: 2 * lost_after,
        finished_job_data_clean_up_interval_seconds: 60,
        finished_job_state_clean_up_interval_seconds: 600,
        grpc_server_max_decoding_message_size: MESSAGE,
        grpc_server_max_encoding_message_size: MESSAGE,
        grpc_client_max_message_size: MESSAGE,
        override_physical_codec: Some(Arc::new(Codec::new(None))),
        ..SchedulerConfig::default()
    };
    let stopped = |_| Error::unreachable("the scheduler has stopped").hint("start it again; -v says more");
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(stopped)?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config));
    let scheduler = scheduler.await.map_err(stopped)?;
    say(address);
    start_grpc_service_with_listener(listener, scheduler)
        .await
        .map_err(stopped)
}
