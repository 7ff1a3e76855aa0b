//! The state of one transaction that changes views: what exists, what is still to be made, what was done.

use std::collections::{BTreeMap, VecDeque};

use tokio_postgres::Client;

use super::file::Definition;
use super::keep::Kept;
use super::outcome::{Action, Applied, is_current};
use super::registry::{self, Entry};
use crate::error::Result;
use crate::model::ViewKind;

/// What is known and what is still to be done, within the transaction.
pub(super) struct Work<'a> {
    pub(super) client: &'a Client,
    pub(super) definitions: &'a [Definition<'a>],
    pub(super) entries: Vec<Entry>,
    /// Indexes (into `definitions`) of what is still to be made.
    pub(super) pending: VecDeque<usize>,
    /// What users had set on objects that were dropped to be made again.
    pub(super) kept: BTreeMap<(ViewKind, String), Kept>,
    pub(super) actions: BTreeMap<usize, Action>,
    pub(super) dropped: Vec<Applied>,
}

impl<'a> Work<'a> {
    pub(super) async fn new(client: &'a Client, definitions: &'a [Definition<'a>]) -> Result<Self> {
        let entries = registry::read(client).await?;
        let pending = (0..definitions.len())
            .filter(|index| !is_current(&definitions[*index], &entries))
            .collect();
        let (kept, actions, dropped) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self {
            client,
            definitions,
            entries,
            pending,
            kept,
            actions,
            dropped,
        })
    }
}
