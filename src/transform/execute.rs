//! Runs a prepared transform over a batch's input.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::bind;
use super::failure::running;
use super::prepared::Prepared;
use super::refuse::{self, Failed};
use super::scan_input::ScanInput;
use super::session::Engine;
use super::sort::KeySort;
use crate::error::Result;
use crate::model::Batch;

impl Engine {
    /// Runs a prepared transform over a batch's input.
    ///
    /// Yields batches with exactly the entity's columns in the contract's order, then `_record` (nullable `UInt64`),
    /// then a Boolean column per row check. Rows are sorted by the entity's key; rows with the same key keep the
    /// input's order. Without a key they are sorted by the entity's widest index. A row for which an expression fails
    /// is among them, where the plan keeps rows apart.
    pub async fn execute(&self, prepared: &Prepared, batch: &Batch, input: Arc<ScanInput>) -> Result<Execution> {
        let outline = prepared.outline.clone();
        let physical = bind::physical(self.state(), &prepared.plan, batch, &prepared.inputs).await;
        let failed = Failed::new(&outline, prepared.row_checks.clone());
        let physical = physical.and_then(|plan| refuse::refusing(plan, &failed));
        let physical = physical.map_err(|e| running(&outline.path, &outline.places, e))?;
        let rows = self
            .task()
            .and_then(|task| bind::with_input(task, &physical, input))
            .and_then(|task| execute_stream(Arc::clone(&physical), Arc::new(task)))
            .map_err(|e| running(&outline.path, &outline.places, e))?;
        Ok(Execution {
            rows: rows
                .map(move |next| next.map_err(|e| running(&outline.path, &outline.places, e)))
                .boxed(),
            metrics: PlanMetrics(physical),
            failed,
        })
    }
}

/// A running transform.
pub struct Execution {
    pub rows: BoxStream<'static, Result<RecordBatch>>,
    pub metrics: PlanMetrics,
    /// Which of the rows failed. They carry a mark in `_record` until [`Failed::restore`].
    pub failed: Failed,
}

/// The metrics of a running transform's operators.
pub struct PlanMetrics(Arc<dyn ExecutionPlan>);

/// One operator of a plan that has run.
#[derive(Debug, Clone)]
pub struct Operator {
    /// How many operators are above it.
    pub depth: usize,
    /// Its name and its expressions, on one line.
    pub what: String,
    pub rows: Option<usize>,
    /// The time that it worked. `None` where it does not measure that.
    pub time: Option<Duration>,
}

impl PlanMetrics {
    /// The operators with what they returned so far, each before those that it reads from.
    pub fn operators(&self) -> Vec<Operator> {
        let (mut operators, mut plans) = (Vec::new(), vec![(0, &self.0)]);
        while let Some((depth, plan)) = plans.pop() {
            let metrics = plan.metrics();
            let time = metrics.as_ref().and_then(MetricsSet::elapsed_compute);
            operators.push(Operator {
                depth,
                what: displayable(&**plan).one_line().to_string().trim_end().to_owned(),
                // A KeySort counts no rows.
                rows: metrics
                    .as_ref()
                    .filter(|_| !plan.is::<KeySort>())
                    .and_then(MetricsSet::output_rows),
                time: time.map(|nanos| Duration::from_nanos(nanos as u64)),
            });
            plans.extend(plan.children().into_iter().rev().map(|child| (depth + 1, child)));
        }
        operators
    }

    /// The time spent so far, first in all operators but sorts, then in sorts.
    pub fn spent(&self) -> (Duration, Duration) {
        let (mut transform, mut sort) = (Duration::ZERO, Duration::ZERO);
        let mut plans = vec![&self.0];
        while let Some(plan) = plans.pop() {
            let nanos = plan
                .metrics()
                .and_then(|metrics| metrics.elapsed_compute())
                .unwrap_or(0);
            let spent = Duration::from_nanos(nanos as u64);
            *if plan.is::<KeySort>() || plan.is::<SortExec>() {
                &mut sort
            } else {
                &mut transform
            } += spent;
            plans.extend(plan.children());
        }
        (transform, sort)
    }
}
