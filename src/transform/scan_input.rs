//! Brings decoded records to the transforms: one parse of a batch's input handed to several of
//! them through bounded channels, or a parse of its own for one that reads its input more than once.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::internal_err;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::mask::Masked;

/// How many decoded batches may wait for one transform; with batches of about 1 MiB of input this bounds what a slow
/// table holds back, while one that sorts or spills does not stop the others at once.
const WAITING: usize = 8;

type Records = BoxStream<'static, Result<Masked>>;

/// Where a transform's scan of `source` gets its records from.
pub struct ScanInput {
    schema: SchemaRef,
    supply: Supply,
}

enum Supply {
    /// One scan takes it. It goes with the input: a plan that scans nothing, as one whose predicate is false on this
    /// date, holds up nobody.
    Shared(Mutex<Option<mpsc::Receiver<Shared>>>),
    /// Each scan reads the input anew.
    Own(Box<dyn Fn() -> Records + Send + Sync>),
}

/// What travels to a transform that shares the parse.
#[derive(Clone)]
enum Shared {
    Records(Masked),
    /// Reading failed; every transform fails with the same error.
    Failed(Error),
    /// The input was read to its end. A channel that closes without it was cut off.
    End,
}

impl ScanInput {
    /// An input whose every scan reads the input anew through `open`.
    pub fn own(schema: SchemaRef, open: impl Fn() -> Records + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            schema,
            supply: Supply::Own(Box::new(open)),
        })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What one scan reads.
    pub(super) fn records(&self) -> SendableRecordBatchStream {
        let records = match &self.supply {
            Supply::Own(open) => open()
                .map(|r| match r {
                    Ok(batch) => Ok(batch.into_inner()),
                    Err(e) => Err(DataFusionError::External(Box::new(e))),
                })
                .boxed(),
            Supply::Shared(receiver) => match receiver.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(receiver) => received(receiver).boxed(),
                None => stream::once(async { internal_err!("more scans of source than were planned") }).boxed(),
            },
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), records))
    }
}

/// The records that arrive on a channel; an error where it closes before the input's end.
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

/// One parse of the input on its way to several transforms.
pub struct Broadcast {
    input: Records,
    senders: Vec<mpsc::Sender<Shared>>,
}

/// Splits one reading of the input into inputs for so many transforms, a scan each, and the broadcast that drives them.
pub fn broadcast(schema: &SchemaRef, input: Records, transforms: usize) -> (Vec<Arc<ScanInput>>, Broadcast) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..transforms).map(|_| mpsc::channel(WAITING)).unzip();
    let scan = |receiver| {
        Arc::new(ScanInput {
            schema: Arc::clone(schema),
            supply: Supply::Shared(Mutex::new(Some(receiver))),
        })
    };
    let inputs = receivers.into_iter().map(scan).collect();
    (inputs, Broadcast { input, senders })
}

impl Broadcast {
    /// Reads the input to its end, also where no transform wants more of it: every record counts in
    /// the account of the batch.
    ///
    /// # Errors
    /// What reading the input fails with; every transform fails with the same.
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

async fn send(senders: &[mpsc::Sender<Shared>], item: Shared) {
    for sender in senders {
        // A closed channel is a transform that has all it wants (LIMIT) or that failed and said so itself.
        let _ = sender.send(item.clone()).await;
    }
}
