//! Brings decoded records to the transforms. Several transforms share one parse of a batch's input through bounded
//! channels, each the records of the kind that it reads. A transform that scans more than one table, or one more than
//! once, has its own parse.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::internal_err;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::mask::Masked;

/// How many decoded batches may wait for one transform. A batch holds about 1 MiB of input, so this bounds the memory
/// that waits for a slow table. It also gives a transform that sorts or spills some time before it stops the others.
const WAITING: usize = 8;

type Records = BoxStream<'static, Result<Masked>>;

/// The source of the records for a transform's scans.
pub struct ScanInput {
    /// By kind.
    schemas: Arc<[SchemaRef]>,
    supply: Supply,
}

enum Supply {
    /// One scan takes the receiver. It is dropped together with the input, so a plan that scans nothing, for example
    /// because its predicate is false on this date, does not block the others.
    Shared(Mutex<Option<mpsc::Receiver<Shared>>>),
    /// Each scan reads the input again, and leaves out what is of other kinds.
    Own(Box<dyn Fn(usize) -> Records + Send + Sync>),
}

/// The messages to a transform that shares the parse.
#[derive(Clone)]
enum Shared {
    Records(Masked),
    /// Reading failed; every transform fails with the same error.
    Failed(Error),
    /// The input was read to its end. A channel that closes without this message was cut off.
    End,
}

impl ScanInput {
    /// An input that is read again through `open` for every scan. `schemas` are those of the source's kinds.
    pub fn own(schemas: Arc<[SchemaRef]>, open: impl Fn() -> Records + Send + Sync + 'static) -> Arc<Self> {
        Self::own_of_kind(schemas, move |_| open())
    }

    /// The same, where `open` is told which kind the scan wants. It may leave out the records of other kinds.
    pub fn own_of_kind(
        schemas: Arc<[SchemaRef]>,
        open: impl Fn(usize) -> Records + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            schemas,
            supply: Supply::Own(Box::new(open)),
        })
    }

    /// The records of a kind for one scan.
    pub(super) fn records(&self, kind: usize) -> SendableRecordBatchStream {
        let records = match &self.supply {
            Supply::Own(open) => open(kind)
                .filter_map(move |r| {
                    ready(match r {
                        Ok(batch) => (batch.kind() == kind).then(|| Ok(batch.into_inner())),
                        Err(e) => Some(Err(DataFusionError::External(Box::new(e)))),
                    })
                })
                .boxed(),
            Supply::Shared(receiver) => match receiver.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(receiver) => received(receiver).boxed(),
                None => stream::once(async { internal_err!("more scans than were planned") }).boxed(),
            },
        };
        let schema = self
            .schemas
            .get(kind)
            .map_or_else(|| Arc::new(Schema::empty()), Arc::clone);
        Box::pin(RecordBatchStreamAdapter::new(schema, records))
    }
}

/// The records that arrive on a channel. It is an error if the channel closes before the input's end.
fn received(
    receiver: mpsc::Receiver<Shared>,
) -> impl futures::Stream<Item = std::result::Result<RecordBatch, DataFusionError>> {
    stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        let error = match receiver.recv().await {
            Some(Shared::Records(batch)) => return Some((Ok(batch.into_inner()), Some(receiver))),
            Some(Shared::End) => return None,
            Some(Shared::Failed(error)) => error,
            None => Error::batch("reading the input was cut off"),
        };
        Some((Err(DataFusionError::External(Box::new(error))), None))
    })
}

/// One parse of the input that is sent to several transforms.
pub struct Broadcast {
    input: Records,
    /// Each with the kind whose records it wants.
    senders: Vec<(usize, mpsc::Sender<Shared>)>,
}

/// Makes one input for each transform, for one scan of the kind that is given, and the broadcast that reads the records
/// and sends them. `schemas` are those of the source's kinds.
pub fn broadcast(schemas: &Arc<[SchemaRef]>, input: Records, transforms: &[usize]) -> (Vec<Arc<ScanInput>>, Broadcast) {
    let channel = |kind: &usize| {
        let (sender, receiver) = mpsc::channel(WAITING);
        ((*kind, sender), receiver)
    };
    let (senders, receivers): (Vec<_>, Vec<_>) = transforms.iter().map(channel).unzip();
    let scan = |receiver| {
        Arc::new(ScanInput {
            schemas: Arc::clone(schemas),
            supply: Supply::Shared(Mutex::new(Some(receiver))),
        })
    };
    let inputs = receivers.into_iter().map(scan).collect();
    (inputs, Broadcast { input, senders })
}

impl Broadcast {
    /// Reads the input to its end, even if no transform needs more of it, because the account of the batch counts
    /// every record.
    ///
    /// # Errors
    /// The error of reading the input. Every transform fails with the same one.
    pub async fn run(mut self) -> Result<()> {
        while let Some(next) = self.input.next().await {
            match next {
                Ok(batch) => send(&self.senders, Shared::Records(batch)).await,
                Err(error) => {
                    send(&self.senders, Shared::Failed(error.clone())).await;
                    return Err(error);
                }
            }
        }
        send(&self.senders, Shared::End).await;
        Ok(())
    }
}

async fn send(senders: &[(usize, mpsc::Sender<Shared>)], item: Shared) {
    let kind = match &item {
        Shared::Records(batch) => Some(batch.kind()),
        Shared::Failed(_) | Shared::End => None,
    };
    let wanting = senders
        .iter()
        .filter(|(wanted, _)| kind.is_none_or(|kind| kind == *wanted));
    for (_, sender) in wanting {
        // A closed channel belongs to a transform that needs no more rows (LIMIT) or that has failed and reported it.
        let _ = sender.send(item.clone()).await;
    }
}
