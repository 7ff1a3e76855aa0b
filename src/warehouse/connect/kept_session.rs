//! A session outside of the pool that a process keeps while it works. It holds the batch locks.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::pool::{Dedicated, Warehouse};
use crate::error::Result;

/// The session; clones share it. There is none on the embedded database, which has only one session.
#[derive(Clone)]
pub struct KeptSession(Arc<Inner>);

struct Inner {
    warehouse: Warehouse,
    open: Mutex<Option<Arc<Dedicated>>>,
}

impl KeptSession {
    /// Makes a session that connects when it is first needed.
    pub fn new(warehouse: Warehouse) -> Self {
        Self(Arc::new(Inner {
            warehouse,
            open: Mutex::default(),
        }))
    }

    /// The session, opened again where it was lost. `None` on the embedded database.
    pub async fn get(&self) -> Result<Option<Arc<Dedicated>>> {
        let mut open = self.0.open.lock().await;
        if let Some(session) = open.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Some(session.clone()));
        }
        *open = self.0.warehouse.dedicated().await?.map(Arc::new);
        Ok(open.clone())
    }

    /// The session, if it is open.
    pub async fn if_open(&self) -> Option<Arc<Dedicated>> {
        let open = self.0.open.lock().await;
        open.clone().filter(|session| !session.is_closed())
    }

    pub fn warehouse(&self) -> &Warehouse {
        &self.0.warehouse
    }
}
