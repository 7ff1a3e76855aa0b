//! Gives batches to a cluster. A job that loses its executor is given to another one by the scheduler. A report that is
//! lost with its executor after the work is done is made once more, by another job.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, GetJobStatusParams, KeyValuePair, PartitionLocation, execute_query_result,
    job_status::Status,
};
use ballista_core::version::BALLISTA_VERSION_HEADER;
use ballista_core::{BALLISTA_VERSION, config::BALLISTA_JOB_NAME};
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use tonic::metadata::MetadataValue;
use tonic::transport::{self, Channel};
use tonic::{Code, Request};
use uuid::Uuid;

use super::MESSAGE;
use super::codec::Codec;
use super::net::{self, Net, TlsFiles};
use super::plan::{piece, plan};
use crate::error::{Error, Result};
use crate::run::remote::{Cluster, Job};

/// How often a job's state is asked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long an answer about a job may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the scheduler may not answer, or not know the job, before the batch fails.
const SILENCE: Duration = Duration::from_secs(15);
/// What the system says where a disk is full, as Rust writes it.
const DISK_FULL: &str = "(os error 28)";
/// How many times a report may be lost.
const TRIES: u32 = 3;

type Scheduler = SchedulerGrpcClient<Channel>;

/// A cluster, as a run uses it.
pub struct Client {
    /// As the user names it.
    shown: String,
    scheduler: (String, u16),
    net: Net,
    session: Uuid,
}

impl Client {
    /// # Errors
    /// The certificates can't be used.
    pub fn new(scheduler: (String, u16), tls: Option<&TlsFiles>) -> Result<Self> {
        Ok(Self {
            shown: format!("df://{}:{}", scheduler.0, scheduler.1),
            scheduler,
            net: Net::new(tls)?,
            session: Uuid::now_v7(),
        })
    }

    async fn job(&self, run_id: i64, job: Job) -> Result<Vec<u8>> {
        let mut scheduler = self.connect().await?;
        let node = PhysicalPlanNode::try_from_physical_plan(plan(run_id, job), &Codec::new(None));
        let mut plan = Vec::new();
        node.and_then(|node| node.try_encode(&mut plan))
            .map_err(|_| Error::internal())?;
        for left in (0..TRIES).rev() {
            let job = self.submit(&mut scheduler, run_id, plan.clone()).await?;
            let mut given_up = GiveUp::of(&scheduler, &job);
            let place = self.ended(&mut scheduler, &job).await?;
            given_up.job = None;
            match self.fetch(place).await {
                Some(report) => return Ok(report),
                None if left > 0 => tracing::warn!(
                    run_id,
                    "an executor was lost with its report; the batch is filled again"
                ),
                None => {}
            }
        }
        Err(
            Error::unreachable("the executors that filled the batch can't be reached")
                .hint("let the machine of the run reach the executors: pipeline cluster executor --advertise HOST"),
        )
    }

    async fn connect(&self) -> Result<Scheduler> {
        let (host, port) = &self.scheduler;
        let endpoint = self
            .net
            .endpoint(host, *port)
            .map_err(|error| self.unreachable(&error))?;
        let channel = endpoint.connect().await.map_err(|error| self.unreachable(&error))?;
        let size = MESSAGE as usize;
        let scheduler = SchedulerGrpcClient::new(channel);
        Ok(scheduler
            .max_encoding_message_size(size)
            .max_decoding_message_size(size))
    }

    fn unreachable(&self, error: &transport::Error) -> Error {
        let (cause, start) = (
            net::root(error),
            "start it with `pipeline cluster scheduler`, or leave --cluster and PIPELINE_CLUSTER out",
        );
        let hint = net::remedy(&cause).unwrap_or(start);
        Error::unreachable(format!(
            "the scheduler of the cluster at {} can't be reached",
            self.shown
        ))
        .cause(cause)
        .hint(hint)
    }

    async fn submit(&self, scheduler: &mut Scheduler, run_id: i64, plan: Vec<u8>) -> Result<String> {
        let mut request = Request::new(ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(plan)),
            settings: vec![
                setting(BALLISTA_JOB_NAME, &format!("run {run_id}")),
                // A row of a part is up to a megabyte, so they are not gathered into larger batches.
                setting("datafusion.execution.batch_size", "1"),
            ],
            session_id: self.session.to_string(),
            operation_id: Uuid::now_v7().to_string(),
        });
        let version = MetadataValue::from_static(BALLISTA_VERSION);
        request.metadata_mut().insert(BALLISTA_VERSION_HEADER, version);
        let answer = scheduler.execute_query(request).await;
        let answer = answer.map_err(|status| self.unanswered(&status))?;
        match answer.into_inner().result {
            Some(execute_query_result::Result::Success(job)) => Ok(job.job_id),
            _ => Err(self.refused()),
        }
    }

    fn unanswered(&self, status: &tonic::Status) -> Error {
        match (status.code(), status.source()) {
            (_, Some(cause)) => {
                let cause = net::root(cause);
                let hint = net::remedy(&cause).unwrap_or(net::BROKEN_OFF);
                Error::unreachable(format!("the scheduler at {} has broken off the connection", self.shown))
                    .cause(cause)
                    .hint(hint)
            }
            (Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled, None) => self.gone(),
            (_, None) => self.refused(),
        }
    }

    fn refused(&self) -> Error {
        Error::project(format!("the scheduler at {} does not take the batch", self.shown))
            .cause("it may be of another version, or no scheduler of this program")
            .hint("start `pipeline cluster scheduler` of the version of the run")
    }

    fn gone(&self) -> Error {
        Error::unreachable(format!(
            "the scheduler at {} is gone, or was started anew; the old content stands",
            self.shown
        ))
        .hint("run the batch again")
    }

    /// Waits until a job has ended. Returns where its report lies.
    async fn ended(&self, scheduler: &mut Scheduler, job: &str) -> Result<PartitionLocation> {
        let mut heard = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            let job_id = job.to_owned();
            let asked = scheduler.get_job_status(GetJobStatusParams { job_id });
            let answer = tokio::time::timeout(ANSWER, asked).await;
            let status = answer
                .ok()
                .and_then(Result::ok)
                .and_then(|answer| answer.into_inner().status);
            match status.and_then(|status| status.status) {
                Some(Status::Queued(_) | Status::Running(_)) => heard = Instant::now(),
                Some(Status::Successful(done)) => {
                    return done.partition_location.into_iter().next().ok_or_else(Error::internal);
                }
                Some(Status::Failed(why)) => return Err(failed(&why.error)),
                // A scheduler that was started anew knows no job of the old one.
                None if heard.elapsed() > SILENCE => return Err(self.gone()),
                None => {}
            }
        }
    }

    /// Reads the report of a job. `None`: the executor that has it can't be reached any more.
    async fn fetch(&self, place: PartitionLocation) -> Option<Vec<u8>> {
        let layout = place.layout();
        let (executor, partition) = (place.executor_meta?, place.partition_id?);
        let port = u16::try_from(executor.port).ok()?;
        let size = MESSAGE as usize;
        let reach = Some(Arc::new(BallistaConfigGrpcEndpoint::new(self.net.reach())));
        let client = BallistaClient::try_new(&executor.host, port, size, false, reach, 3, 500, 0, 0).await;
        let mut client = client.ok()?;
        let partition = partition.into();
        let rows = client.fetch_partition(&executor.id, &partition, place.file_id, layout, true);
        let rows = rows.await.ok()?.try_collect::<Vec<_>>().await.ok()?;
        let report: Vec<u8> = rows.iter().flat_map(piece).collect();
        (!report.is_empty()).then_some(report)
    }
}

impl Cluster for Client {
    fn run(&self, run_id: i64, job: Job) -> BoxFuture<'_, Result<Vec<u8>>> {
        self.job(run_id, job).boxed()
    }
}

/// Why no executor could end a job. Ballista's own text is not repeated: it names folders of other machines.
fn failed(why: &str) -> Error {
    if why.contains(DISK_FULL) {
        return Error::batch("the disk of an executor is full; the old content stands")
            .cause("rows of parts and reports lie in .pipeline of its working directory")
            .hint("make room there or name a folder on a larger disk (--work-dir), or leave the batch to one executor (--part-size none)");
    }
    Error::batch("no executor of the cluster could fill the batch; the old content stands")
        .cause("they were lost, or stopped, while they worked on it")
        .hint("look why executors end, then run the batch again")
}

fn setting(key: &str, value: &str) -> KeyValuePair {
    KeyValuePair {
        key: key.to_owned(),
        value: Some(value.to_owned()),
    }
}

/// Tells the scheduler to give a job up, where it is dropped before the job has ended. The executor finds out by itself: the
/// run is over then.
struct GiveUp {
    scheduler: Scheduler,
    job: Option<String>,
}

impl GiveUp {
    fn of(scheduler: &Scheduler, job: &str) -> Self {
        Self {
            scheduler: scheduler.clone(),
            job: Some(job.to_owned()),
        }
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        let (Some(job_id), Ok(runtime)) = (self.job.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let mut scheduler = self.scheduler.clone();
        runtime.spawn(async move {
            let _ = scheduler.cancel_job(CancelJobParams { job_id }).await;
        });
    }
}
