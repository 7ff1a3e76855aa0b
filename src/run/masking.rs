//! Applies the masks of a source to its decoded records. SQL sees only what comes out: a transform takes `Masked`
//! batches, and only the masks make one.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;
use futures::StreamExt;
use futures::future::ready;
use futures::stream::BoxStream;

use super::observer::Observer;
use crate::error::{Error, Result};
use crate::ingest::ReadStats;
use crate::mask::{self, KEY_FILE, MaskKey, Masked, Masks, NameHash, Unmasked};
use crate::model::{Batch, Profile, Project, Source};

/// The masks of the sources that an invocation reads.
pub(super) struct AllMasks {
    profile: Profile,
    by_source: HashMap<String, SourceMasks>,
    /// The project's key. `None`: no mask needs one, and none is at hand.
    key: Option<MaskKey>,
    /// The hash for the etags of objects. `None`: no key is at hand.
    etags: Option<NameHash>,
}

struct SourceMasks {
    masks: Masks,
    /// The id of the key. `None`: no mask of the source needs one.
    key_id: Option<String>,
}

impl AllMasks {
    /// Plans the masks of the named sources. The key is read only where a mask needs it.
    ///
    /// # Errors
    /// No key, or one that can't be used.
    pub(super) fn plan<'a>(
        project: &Project,
        sources: impl Iterator<Item = &'a str>,
        embedded: bool,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let names: BTreeSet<&str> = sources.collect();
        let sources: Vec<&Source> = names.iter().map(|name| project.source(name)).collect::<Result<_>>()?;
        let key = if sources.iter().any(|source| mask::needs_key(source)) {
            Some(load_key(embedded, &project.root, observer)?)
        } else {
            MaskKey::at_hand(embedded, &project.root)
        };
        let mut by_source = HashMap::new();
        for source in sources {
            let key = key.as_ref().filter(|_| mask::needs_key(source));
            let planned = SourceMasks {
                masks: Masks::plan(source, key)?,
                key_id: key.map(MaskKey::key_id),
            };
            by_source.insert(source.name.clone(), planned);
        }
        Ok(Self {
            profile: project.profile,
            by_source,
            etags: key.as_ref().map(MaskKey::etags),
            key,
        })
    }

    /// The project's key, where one is at hand.
    pub(super) fn key(&self) -> Option<&MaskKey> {
        self.key.as_ref()
    }

    pub(super) fn etags(&self) -> Option<&NameHash> {
        self.etags.as_ref()
    }

    /// The id of the key that masks this source; `None` where no mask needs one.
    pub(super) fn key_id(&self, source: &Source) -> Option<&str> {
        self.by_source.get(&source.name)?.key_id.as_deref()
    }

    /// The masks of a batch. `today` is the day on which it is loaded, the same for all who read it.
    pub(super) fn of(&self, source: &Source, batch: &Batch, today: NaiveDate) -> Result<Arc<Masks>> {
        let masks = self
            .by_source
            .get(&source.name)
            .ok_or_else(Error::internal)?
            .masks
            .clone();
        let latest = batch.date.max(today);
        Ok(Arc::new(of_batch(masks, self.profile, latest)?))
    }
}

/// The masks of a source for one load, as the privacy profile wants them. `latest` is the last day on which a person of
/// the batch can have had a birthday.
pub(crate) fn of_batch(masks: Masks, profile: Profile, latest: NaiveDate) -> Result<Masks> {
    let masks = masks.for_one_load()?;
    Ok(match profile {
        Profile::SafeHarbor => masks.aggregate_ages(latest),
        Profile::Pseudonymised | Profile::Custom => masks,
    })
}

fn load_key(embedded: bool, root: &Path, observer: &dyn Observer) -> Result<MaskKey> {
    let loaded = MaskKey::load_or_create(embedded, root)?;
    if loaded.made.is_some() {
        observer.key_made(KEY_FILE);
    }
    Ok(loaded.key)
}

/// Masks a stream of records, in order, on up to `parallelism` cores.
pub(super) fn masked(
    records: BoxStream<'static, Result<Unmasked>>,
    masks: Arc<Masks>,
    parallelism: usize,
    stats: Arc<ReadStats>,
) -> BoxStream<'static, Result<Masked>> {
    if masks.is_idle() {
        return records.map(move |batch| counted(&masks, batch?, &stats)).boxed();
    }
    records
        .map(move |batch| {
            let (masks, stats) = (Arc::clone(&masks), Arc::clone(&stats));
            async move {
                let batch = batch?;
                // A panic's message may hold a value, so it is not repeated.
                tokio::task::spawn_blocking(move || stats.times.mask.on(|| counted(&masks, batch, &stats)))
                    .await
                    .unwrap_or_else(|_| Err(Error::internal()))
            }
        })
        .buffered(parallelism.max(1))
        .scan(false, |failed, item| {
            let over = std::mem::replace(failed, item.is_err());
            ready((!over).then_some(item))
        })
        .boxed()
}

/// Masks a batch, and counts the records that are left out because their person is on the suppression list.
fn counted(masks: &Masks, batch: Unmasked, stats: &ReadStats) -> Result<Masked> {
    let (read, kind) = (batch.num_rows(), batch.kind());
    let masked = masks.apply(batch)?;
    let left_out = read - masked.num_rows();
    if left_out > 0 {
        stats.leave_out(kind, left_out as u64);
    }
    Ok(masked)
}
