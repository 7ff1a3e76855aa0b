//! The swap: the one short transaction that puts a batch's staging tables of all entities in place of its old leaves
//! and marks the run committed. Until its COMMIT the old content stands; a run that is no longer `running` is refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::error::describe;
use super::exchange::{Exchange, Exchanged, Outcome};
use super::runs::{self, Count, Failure, Summary};
use super::stage::Staged;
use crate::error::{Error, Result};
use crate::model::Entity;

/// How long readers are given way to before a swap is given up.
pub const PATIENCE: Duration = Duration::from_mins(10);
/// How long the database is asked whether a COMMIT took effect whose answer was lost.
const DOUBT: Duration = Duration::from_mins(1);

/// A batch whose new content is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub run_id: i64,
    /// Per entity that the source serves.
    pub counts: BTreeMap<String, Count>,
    /// Entities that had rows of this batch and that the source no longer serves.
    pub emptied: Vec<String>,
    /// How often the swap let readers pass.
    pub retries: u32,
    /// Whether the session is idle again; else the server still deletes the files of the old leaves there.
    pub answered: bool,
    pub took: Duration,
}

impl Claim {
    /// Puts the staging tables in place of the batch's leaves. `entities` are all of the contract: one that is not
    /// staged loses its leaf. On an error the old content stands and the run is ended (marked, its tables removed),
    /// except where the error says that the outcome is unknown. `stop` is heard while readers are given way to.
    pub async fn swap(
        self,
        client: &mut Client,
        entities: &[Entity],
        staged: Vec<Staged>,
        summary: Summary,
        stop: &CancellationToken,
    ) -> Result<Committed> {
        self.swap_within(PATIENCE, client, entities, staged, summary, stop)
            .await
    }

    pub(super) async fn swap_within(
        self,
        patience: Duration,
        client: &mut Client,
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
        let exchange = Exchange {
            lease: &self.lease,
            batch: &self.batch,
            entities,
            staged: &staged,
            run_id: self.run_id,
            summary: &summary,
            counts: &counts,
            patience,
            stop,
        };
        let outcome = match self.check(entities, &staged) {
            Ok(()) => exchange.make(client).await,
            Err(error) => Err(error),
        };
        let run_id = self.run_id;
        let Exchanged {
            emptied,
            retries,
            answered,
        } = self.settle(client, outcome).await?;
        Ok(Committed {
            run_id,
            counts,
            emptied,
            retries,
            answered,
            took: started.elapsed(),
        })
    }

    /// Each staging table is of this run, for another entity of the contract.
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

    /// Ends the run as the exchange ended.
    pub(super) async fn settle(mut self, client: &Client, outcome: Result<Outcome>) -> Result<Exchanged> {
        let error = match outcome {
            Ok(Outcome::Committed(exchanged)) => {
                self.release().await;
                return Ok(exchanged);
            }
            Ok(Outcome::Unknown(exchanged)) if self.has_committed(client).await? => {
                self.release().await;
                return Ok(exchanged);
            }
            Ok(Outcome::Unknown(_)) => Error::batch(format!("{} was not swapped in", self.batch))
                .cause("the connection broke off before the COMMIT took effect")
                .hint("the old content stands; run it again"),
            Err(error) => error,
        };
        let said = error.to_string();
        let failure = Failure::of(&error);
        let ended = if self.lease.warehouse().is_embedded() {
            self.fail_on(client, failure, &said).await
        } else {
            self.fail(failure, &said).await
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the failed run is left to the next one");
        }
        Err(error)
    }

    /// After a lost answer to COMMIT: asks the run's row, on a new connection where there can be one. An error means
    /// that nobody knows, and that no staging table may be removed.
    async fn has_committed(&self, client: &Client) -> Result<bool> {
        let deadline = Instant::now() + DOUBT;
        loop {
            let status = match self.ask(client).await {
                Ok(status) => return Ok(status.as_deref() == Some("committed")),
                Err(status) => status,
            };
            if Instant::now() >= deadline {
                return Err(
                    Error::unreachable(format!("whether {} was swapped in is unknown", self.batch))
                        .cause(status)
                        .hint("pipeline status tells when the database is back; running it again is safe either way"),
                );
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn ask(&self, client: &Client) -> Result<Option<String>, String> {
        if self.lease.warehouse().is_embedded() {
            return runs::settled_status(client, self.run_id)
                .await
                .map_err(|error| describe(&error));
        }
        let session = self.lease.session().await.map_err(|error| error.to_string())?;
        runs::settled_status(&session, self.run_id)
            .await
            .map_err(|error| describe(&error))
    }
}
