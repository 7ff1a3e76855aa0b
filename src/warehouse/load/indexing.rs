//! Limits index builds where the server runs on this machine, because they take more of its time than the rows do. No
//! more tables are indexed at once than there are cores, and PostgreSQL's parallel workers (here: helpers) get only
//! cores that are free. On a busy core a helper adds work and no speed: each helper sorts a part, and the parts must
//! then be merged. A server elsewhere uses its own settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::warehouse::connect::Warehouse;
use crate::warehouse::sql::at_most;

/// From how many bytes of rows on a table waits for a core. PostgreSQL gives smaller tables no helpers
/// (`min_parallel_table_scan_size`).
const LARGE: u64 = 8 << 20;

/// Counts the staging tables that the process fills and indexes at the moment. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct IndexTurns {
    under_way: Arc<AtomicUsize>,
    /// `None` where the server runs elsewhere.
    cores: Option<Cores>,
}

#[derive(Debug, Clone)]
struct Cores {
    count: usize,
    free: Arc<Semaphore>,
}

/// Counts as one staging table that is being filled or indexed, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(IndexTurns);

/// Permission to index one large table. It ends on drop.
#[derive(Debug)]
pub(super) struct Turn {
    under_way: Arc<AtomicUsize>,
    cores: usize,
    _core: OwnedSemaphorePermit,
}

impl IndexTurns {
    pub(super) fn of(warehouse: &Warehouse) -> Self {
        if warehouse.is_local() {
            Self::beside_the_server(crate::cores::cores())
        } else {
            Self::default()
        }
    }

    fn beside_the_server(cores: usize) -> Self {
        Self {
            under_way: Arc::default(),
            cores: Some(Cores {
                count: cores,
                free: Arc::new(Semaphore::new(cores)),
            }),
        }
    }

    pub(super) fn begin(&self) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }
}

impl UnderWay {
    /// Waits until a core is free to index a table whose rows have this many bytes. Returns `None` at once where the
    /// table is small or the server runs elsewhere.
    pub(super) async fn turn(&self, bytes: u64) -> Option<Turn> {
        let cores = self.0.cores.as_ref().filter(|_| bytes >= LARGE)?;
        Some(Turn {
            under_way: Arc::clone(&self.0.under_way),
            cores: cores.count,
            _core: Arc::clone(&cores.free).acquire_owned().await.ok()?,
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// The number of helpers for one table. Each table being loaded has an equal share of the cores: one core for its
    /// own session, the rest for helpers.
    fn helpers(&self) -> usize {
        let tables = self.under_way.load(Ordering::Relaxed).max(1);
        (self.cores / tables).saturating_sub(1)
    }

    /// The statement that limits the helpers of the next index build in the table's transaction. It never exceeds the
    /// session's own setting.
    pub(super) fn set_helpers(&self) -> String {
        let setting = "max_parallel_maintenance_workers";
        let helpers = at_most(setting, self.helpers() as u64);
        format!("SET LOCAL {setting} TO DEFAULT; {helpers}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tables_share_the_cores() {
        let staging = IndexTurns::beside_the_server(8);
        let mut tables: Vec<UnderWay> = (0..4).map(|_| staging.begin()).collect();
        let turn = tables[0].turn(LARGE).await.unwrap();
        assert_eq!(
            turn.set_helpers(),
            "SET LOCAL max_parallel_maintenance_workers TO DEFAULT; \
             SELECT pg_catalog.set_config('max_parallel_maintenance_workers', \
             least(pg_catalog.current_setting('max_parallel_maintenance_workers')::int, 1)::text, true)"
        );
        tables.extend((0..8).map(|_| staging.begin()));
        assert_eq!(turn.helpers(), 0);
        tables.truncate(1);
        assert_eq!(turn.helpers(), 7);
        drop(tables);
        assert_eq!(turn.helpers(), 7);
    }

    #[tokio::test]
    async fn large_tables_take_turns() {
        let staging = IndexTurns::beside_the_server(1);
        let (one, other) = (staging.begin(), staging.begin());
        let held = one.turn(LARGE).await;
        assert!(held.is_some());
        assert!(other.turn(LARGE - 1).await.is_none());
        let mut waiting = Box::pin(other.turn(LARGE));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(held);
        assert!(waiting.await.is_some());
    }

    #[tokio::test]
    async fn a_server_elsewhere_decides_for_itself() {
        assert!(IndexTurns::default().begin().turn(u64::MAX).await.is_none());
    }
}
