//! Index builds, which take more of the server's time than rows do, where server and process share a machine: no more
//! at once than it has cores, so that the longest is not slowed by others, and no more helpers for each than cores are
//! left. Helpers on busy cores add work (each sorts a part that is then merged) and no speed. A server elsewhere knows
//! its own cores.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of rows whose indexes are worth waiting for a core; PostgreSQL, too, gives helpers to larger tables only
/// (`min_parallel_table_scan_size`).
const LARGE: u64 = 8 << 20;

/// The staging tables that a process fills and indexes at the moment; clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct Staging {
    under_way: Arc<AtomicUsize>,
    /// Where the server runs on this machine.
    cores: Option<Cores>,
}

#[derive(Debug, Clone)]
struct Cores {
    count: usize,
    free: Arc<Semaphore>,
}

/// One staging table, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Staging);

impl Staging {
    pub(super) fn beside_the_server() -> Self {
        std::thread::available_parallelism().map_or_else(|_| Self::default(), |cores| Self::on(cores.get()))
    }

    fn on(cores: usize) -> Self {
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

    /// The cores of one table's share beyond its own session's.
    fn helpers(&self) -> Option<usize> {
        let tables = self.under_way.load(Ordering::Relaxed).max(1);
        Some((self.cores.as_ref()?.count / tables).saturating_sub(1))
    }
}

impl UnderWay {
    /// Waits for a core to index so many bytes of rows on; it is free again when the permit is dropped.
    pub(super) async fn turn(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let cores = self.0.cores.as_ref().filter(|_| bytes >= LARGE)?;
        Arc::clone(&cores.free).acquire_owned().await.ok()
    }

    /// A statement of the table's transaction that builds an index with no more helpers than the table's share of the
    /// cores; as it is where the server decides. It never gives more than the session has.
    pub(super) fn with_helpers<'a>(&self, statement: &'a str) -> Cow<'a, str> {
        let setting = "max_parallel_maintenance_workers";
        match self.0.helpers() {
            None => statement.into(),
            Some(helpers) => format!(
                "SET LOCAL {setting} TO DEFAULT; SELECT pg_catalog.set_config('{setting}', \
                 least(pg_catalog.current_setting('{setting}')::int, {helpers})::text, true); {statement}"
            )
            .into(),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_share_the_cores() {
        let staging = Staging::on(8);
        let mut tables: Vec<UnderWay> = (0..4).map(|_| staging.begin()).collect();
        assert_eq!(
            tables[0].with_helpers("CREATE INDEX"),
            "SET LOCAL max_parallel_maintenance_workers TO DEFAULT; \
             SELECT pg_catalog.set_config('max_parallel_maintenance_workers', \
             least(pg_catalog.current_setting('max_parallel_maintenance_workers')::int, 1)::text, true); CREATE INDEX"
        );
        tables.extend((0..8).map(|_| staging.begin()));
        assert_eq!(staging.helpers(), Some(0));
        tables.truncate(1);
        assert_eq!(staging.helpers(), Some(7));
        drop(tables);
        assert_eq!(staging.helpers(), Some(7));
    }

    #[tokio::test]
    async fn large_tables_take_turns() {
        let staging = Staging::on(1);
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
        let table = Staging::default().begin();
        assert_eq!(table.with_helpers("CREATE INDEX"), "CREATE INDEX");
        assert!(table.turn(u64::MAX).await.is_none());
    }
}
