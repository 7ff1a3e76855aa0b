//! The swap. One short transaction replaces a batch's partitions in all entities by the staging tables, and marks the
//! run as committed. Until its COMMIT, readers see the old rows. A run that is no longer `running` is refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::active_run::ActiveRun;
use super::commit::SwapSession;
use super::runs::{Count, Failure, Summary};
use super::staging::Staged;
use super::swap_transaction::{Outcome, SwapTransaction, Swapped};
use crate::error::{Error, Result};
use crate::model::Entity;
use crate::warehouse::connect::Connection;

/// How long in total a swap lets readers go first before it gives up.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// A batch whose new rows are live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub run_id: i64,
    /// Rows and bytes for each entity of the source.
    pub counts: BTreeMap<String, Count>,
    /// Entities that had rows of this batch and are no longer part of the source.
    pub emptied: Vec<String>,
    /// How often the swap released its locks to let readers go first.
    pub retries: u32,
    pub took: Duration,
}

impl ActiveRun {
    /// Replaces the batch's partitions by the staging tables. `entities` are all entities of the contract: one
    /// without a staging table loses its partition. `stop` is checked while the swap waits for readers. The
    /// connection goes back to the pool.
    ///
    /// # Errors
    /// The old rows are still live and the run has ended (it is marked, and its staging tables are removed), except
    /// where the error says that the outcome is unknown.
    pub async fn swap(
        self,
        connection: Connection,
        entities: &[Entity],
        staged: Vec<Staged>,
        summary: Summary,
        stop: &CancellationToken,
    ) -> Result<Committed> {
        self.swap_within(PATIENCE, connection, entities, staged, summary, stop)
            .await
    }

    pub(super) async fn swap_within(
        self,
        patience: Duration,
        connection: Connection,
        entities: &[Entity],
        staged: Vec<Staged>,
        summary: Summary,
        stop: &CancellationToken,
    ) -> Result<Committed> {
        let started = Instant::now();
        let count = |staged: &Staged| Count {
            rows: staged.rows(),
            bytes: staged.bytes(),
        };
        let counts: BTreeMap<_, _> = staged
            .iter()
            .map(|staged| (staged.entity.clone(), count(staged)))
            .collect();
        let transaction = SwapTransaction {
            locks: &self.locks,
            batch: &self.batch,
            entities,
            staged: &staged,
            run_id: self.run_id,
            summary: &summary,
            counts: &counts,
            patience,
            stop,
        };
        let run_id = self.run_id;
        let mut session = SwapSession::new(connection);
        let outcome = match self.check(entities, &staged) {
            Ok(()) => transaction.make(&mut session).await,
            Err(error) => Err(error),
        };
        let swapped = self.finish_run(&session, outcome).await;
        session.give_back();
        let Swapped { emptied, retries } = swapped?;
        Ok(Committed {
            run_id,
            counts,
            emptied,
            retries,
            took: started.elapsed(),
        })
    }

    /// Checks that each staging table belongs to this run and to a different entity of the contract.
    fn check(&self, entities: &[Entity], staged: &[Staged]) -> Result<()> {
        for (at, table) in staged.iter().enumerate() {
            let twice = staged[..at].iter().any(|other| other.entity == table.entity);
            let known = entities.iter().any(|entity| entity.name == table.entity);
            if twice || !known || table.run_id != self.run_id {
                return Err(Error::batch(format!(
                    "the staging table of {} is not one of this run's",
                    table.entity
                )));
            }
        }
        Ok(())
    }

    /// Ends the run according to the outcome of its swap.
    pub(super) async fn finish_run(mut self, client: &Client, outcome: Result<Outcome>) -> Result<Swapped> {
        let error = match outcome {
            Ok(Outcome::Committed(swapped)) => {
                self.unlock().await;
                return Ok(swapped);
            }
            Ok(Outcome::Unknown(swapped)) if self.has_committed(client).await? => {
                self.unlock().await;
                return Ok(swapped);
            }
            Ok(Outcome::Unknown(_)) => Error::batch(format!("{} was not swapped in", self.batch))
                .cause("the connection broke off before the COMMIT took effect")
                .hint("the old content stands; run it again"),
            Err(error) => error,
        };
        let said = error.to_string();
        let failure = Failure::of(&error);
        let ended = if self.locks.warehouse().is_embedded() {
            self.fail_on(client, failure, &said).await
        } else {
            self.fail(failure, &said).await
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the failed run is left to the next one");
        }
        Err(error)
    }
}
