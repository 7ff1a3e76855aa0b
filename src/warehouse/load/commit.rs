//! The COMMIT of a swap, watched. PostgreSQL answers it when it has deleted the files of the old partitions, long after
//! everybody sees the new ones. So a swap has ended when another session sees the run committed, and its own session
//! may owe the answer for a while: [`SwapSession`] knows, and nobody else needs to. Two patients took 110 ms instead of
//! 140 by this, 300,000 patients 0.89 of the COPY floor instead of 0.94 (docs, "performance").
//!
//! An answer can also be lost, with the connection. Then only the run's row can tell what happened.

use std::future::pending;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Transaction};

use super::active_run::ActiveRun;
use super::batch_locks::BatchLocks;
use super::{failpoint, runs};
use crate::error::{Code, Error, Result};
use crate::warehouse::connect::Connection;
use crate::warehouse::sql::describe;

/// After how long the run's row is first looked at while COMMIT is not answered; then after twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(32);
/// How long the database is asked whether a COMMIT took effect whose answer was lost.
const DOUBT: Duration = Duration::from_mins(1);

/// What came back after a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Committed,
    /// Committed, as another session saw. The own session has not answered yet.
    Owed,
    /// The connection broke off: it may have committed or not.
    Lost,
}

/// The session that a swap works on, and whether it still owes the answer to its COMMIT.
pub(super) struct SwapSession {
    connection: Connection,
    owes_answer: bool,
}

impl SwapSession {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            owes_answer: false,
        }
    }

    /// Notes what came back after this session's COMMIT.
    pub(super) fn heard(&mut self, answer: Answer) {
        self.owes_answer = answer == Answer::Owed;
    }

    /// Gives the session back to the pool, at once or when it has answered: whoever gets it next would wait for that.
    pub(super) fn give_back(self) {
        if self.owes_answer {
            let connection = self.connection;
            tokio::spawn(async move {
                if connection.batch_execute("").await.is_err() {
                    connection.discard();
                }
            });
        }
    }
}

impl Deref for SwapSession {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.connection
    }
}

impl DerefMut for SwapSession {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.connection
    }
}

/// Commits a run's swap. `replaces`: files of old partitions are to be deleted, so that watching is worth it.
///
/// # Errors
/// The server refused the COMMIT; nothing has changed.
pub(super) async fn commit(
    transaction: Transaction<'_>,
    locks: &BatchLocks,
    run_id: i64,
    replaces: bool,
) -> Result<Answer, tokio_postgres::Error> {
    let answer = tokio::select! {
        biased;
        answer = transaction.commit() => answer.map(|()| Answer::Committed),
        () = seen_committed(locks, run_id), if replaces => Ok(Answer::Owed),
    };
    match answer {
        Ok(_) if failpoint::hit(failpoint::AFTER_COMMIT).is_err() => Ok(Answer::Lost),
        Err(error) if !is_refusal(&error) => {
            tracing::warn!(run_id, error = describe(&error), "the answer to COMMIT was lost");
            Ok(Answer::Lost)
        }
        answer => answer,
    }
}

/// Returns when the locks' session sees the run committed. By then it is so for good, and the tables' locks are free.
/// Never returns where that session can't tell.
async fn seen_committed(locks: &BatchLocks, run_id: i64) {
    if locks.warehouse().is_embedded() {
        return pending().await;
    }
    let mut pause = FIRST_LOOK;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_LOOK);
        let Ok(session) = locks.session().await else {
            return pending().await;
        };
        match runs::has_status(&session, run_id, "committed").await {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => return pending().await,
        }
    }
}

/// Whether the server refused a COMMIT. A session that was ended, or broke off, may have committed before.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        !["08", "57", "58", "XX"]
            .iter()
            .any(|class| code.code().starts_with(class))
    })
}

impl ActiveRun {
    /// After a lost answer to COMMIT: asks the run's row, on a new connection where there can be one. An error means
    /// that nobody knows, and that no staging table may be removed.
    pub(super) async fn has_committed(&self, client: &Client) -> Result<bool> {
        let deadline = Instant::now() + DOUBT;
        loop {
            let status = match self.final_status(client).await {
                Ok(status) => return Ok(status.as_deref() == Some("committed")),
                Err(status) => status,
            };
            if Instant::now() >= deadline {
                return Err(
                    Error::unreachable(format!("whether {} was swapped in is unknown", self.batch))
                        .code(Code::OutcomeUnknown)
                        .cause(status)
                        .hint("pipeline status tells when the database is back; running it again is safe either way"),
                );
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn final_status(&self, client: &Client) -> Result<Option<String>, String> {
        if self.locks.warehouse().is_embedded() {
            return runs::final_status(client, self.run_id)
                .await
                .map_err(|error| describe(&error));
        }
        let session = self.locks.session().await.map_err(|error| error.to_string())?;
        runs::final_status(&session, self.run_id)
            .await
            .map_err(|error| describe(&error))
    }
}
