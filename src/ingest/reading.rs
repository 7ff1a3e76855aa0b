//! One read of a batch's input: what all its decoding tasks share. Only this module decides whether a bad record or a
//! damaged file is refused or fails the batch.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::decode::{Cuts, Kinds, Parts, WHOLE};
use super::listing::Listing;
use super::split::Unreadable;
use super::stats::{Findings, KindRecords, PartReport, ReadStats};
use super::unknown::{Names, Unknown};
use crate::error::{Code, Error, Result};
use crate::mask::Unmasked;
use crate::model::refusal::{Reason, UNKNOWN_FIELD, UNKNOWN_KIND, UNREADABLE};
use crate::model::{
    Compression, Format, Input, OnEmpty, OnEmptyFile, OnMalformed, OnUnknownField, OnUnknownKind, Refusal, Source,
};

/// The most refusals that one read may hold in memory. With more of them the batch fails, since its schema is probably
/// wrong.
const MOST_REFUSED: usize = 1_000_000;

/// One read of a batch's input.
pub(super) struct Reading {
    pub listing: Listing,
    pub input: Input,
    pub kinds: Kinds,
    pub stats: Arc<ReadStats>,
    pub source: Source,
    /// Records that were accepted, or skipped as of another kind than is wanted.
    records: AtomicU64,
    refused: AtomicU64,
    /// The undeclared fields found so far, by kind and by [`super::decode::Plan::objects`].
    unknown: Mutex<Vec<Vec<Unknown>>>,
    /// By kind.
    cuts: Mutex<Vec<Cuts>>,
    /// How many files have no column for a declared field, by the kind and the field's path.
    lacking: Mutex<BTreeMap<(usize, Arc<str>), u64>>,
}

impl Reading {
    pub fn new(listing: &Listing, source: &Source, stats: Arc<ReadStats>) -> Result<Self> {
        let input = source.input.clone();
        if !(input.csv.delimiter.is_ascii() && input.csv.quote.is_ascii()) {
            return Err(Error::project(
                "the delimiter and the quote of csv must be ASCII characters",
            ));
        }
        if input.format == Format::Parquet && !matches!(input.compression, None | Some(Compression::None)) {
            return Err(
                Error::project("a parquet file is compressed inside, not as a whole").hint("leave `compression` out")
            );
        }
        let kinds = Kinds::new(source, listing.names.as_ref())?;
        let objects = kinds.each.iter().map(|kind| kind.plan.objects.len());
        let unknown = Mutex::new(objects.map(|objects| vec![Unknown::default(); objects]).collect());
        let cuts = Mutex::new(kinds.each.iter().map(|_| Cuts::default()).collect());
        let (listing, source) = (listing.clone(), source.clone());
        Ok(Self {
            listing,
            input,
            kinds,
            stats,
            source,
            records: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unknown,
            cuts,
            lacking: Mutex::default(),
        })
    }

    /// Counts decoded records and keeps their refusals. Returns their Arrow batches, one for each kind among them.
    ///
    /// # Errors
    /// A refused record, where the source has `on_malformed: fail`, `on_unknown_field: fail` or `on_unknown_kind: fail`;
    /// and too many refusals.
    pub fn accept(&self, parts: Parts) -> Result<Vec<Unmasked>> {
        let Parts {
            decoded,
            mut refused,
            strays,
            skipped,
        } = parts;
        self.records.fetch_add(skipped, Ordering::Relaxed);
        let mut batches = Vec::with_capacity(decoded.len());
        for one in decoded {
            let records = KindRecords {
                accepted: one.batch.num_rows() as u64,
                refused: one.refused.len() as u64,
                suppressed: 0,
            };
            self.stats.add_records(one.kind, records);
            self.records.fetch_add(records.accepted, Ordering::Relaxed);
            self.stats.records.fetch_add(records.accepted, Ordering::Relaxed);
            refused.extend(one.refused);
            if let Some(salvaged) = one.salvaged {
                let size = salvaged.get_array_memory_size();
                self.stats.add_salvaged(Unmasked::new(salvaged, one.kind), size);
            }
            let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            for (sum, met) in unknown[one.kind].iter_mut().zip(one.unknown) {
                sum.add(met);
            }
            let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
            cuts[one.kind].add(one.cuts);
            batches.push(Unmasked::new(one.batch, one.kind));
        }
        if !refused.is_empty() {
            self.refuse(refused)?;
        }
        self.stats.add_strays(strays);
        Ok(batches)
    }

    fn refuse(&self, refused: Vec<Refusal>) -> Result<()> {
        let strict = |one: &Refusal| matches!(one.check.as_str(), UNKNOWN_FIELD | UNKNOWN_KIND);
        let fatal = |one: &Refusal| self.input.on_malformed == OnMalformed::Fail || strict(one);
        if let Some(one) = refused.iter().find(|one| fatal(one)) {
            self.stats.set_fatal(one);
            return Err(one.clone().into());
        }
        self.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
        self.hold(refused)
    }

    fn hold(&self, refused: Vec<Refusal>) -> Result<()> {
        if self.stats.refuse(refused) > MOST_REFUSED {
            let message = format!(
                "more than {MOST_REFUSED} records of {} can't be decoded",
                self.source.name
            );
            return Err(Error::batch(message).hint("the schema does not fit this input"));
        }
        Ok(())
    }

    /// Ends the read, after all files: warns of undeclared kinds and fields, and of times that were cut.
    ///
    /// # Errors
    /// An input without records, or a file without records, where the source does not allow them.
    pub fn finish(&self) -> Result<()> {
        if self.listing.part.is_some() {
            self.stats.set_findings(self.findings());
            return Ok(());
        }
        let first = !self.listing.warned.swap(true, Ordering::Relaxed);
        let strays = self.stats.strays();
        if first {
            self.warn_of_strays(&strays);
        }
        self.add_unknown(first);
        if first {
            self.warn_of_values();
        }
        let accepted = self.records.load(Ordering::Relaxed);
        let read = accepted + self.refused.load(Ordering::Relaxed) + strays.count;
        if read > 0 {
            return self.empty_files();
        }
        if self.input.on_empty == OnEmpty::Replace {
            return Ok(());
        }
        let files = self.listing.files();
        let more = if files.len() > 1 {
            format!(" and {} more", files.len() - 1)
        } else {
            String::new()
        };
        Err(Error::batch(format!(
            "the input of {} holds no record: {}{more}",
            self.source.name, files[0].path
        ))
        .code(Code::InputEmpty)
        .hint("if a day without records is normal, set `on_empty: replace`"))
    }

    fn findings(&self) -> Findings {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        let lacking = lacking
            .iter()
            .map(|((kind, path), files)| (*kind, path.to_string(), *files));
        Findings {
            records: self.records.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            unknown: self.unknown.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            cuts: self.cuts.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            lacking: lacking.collect(),
            fatal: None,
        }
    }

    /// Adds what the read of a part has found, as if this read had found it.
    ///
    /// # Errors
    /// Too many refusals.
    pub fn add_part(&self, part: PartReport) -> Result<()> {
        self.stats.add_part(&part);
        let PartReport { refused, findings, .. } = part;
        self.records.fetch_add(findings.records, Ordering::Relaxed);
        self.refused.fetch_add(findings.refused, Ordering::Relaxed);
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        for (sum, met) in unknown.iter_mut().flatten().zip(findings.unknown.into_iter().flatten()) {
            sum.add(met);
        }
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        for (sum, met) in cuts.iter_mut().zip(findings.cuts) {
            sum.add(met);
        }
        let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, path, files) in findings.lacking {
            *lacking.entry((kind, path.into())).or_default() += files;
        }
        self.hold(refused)
    }

    fn warn_of_strays(&self, strays: &Unknown) {
        if strays.count == 0 || self.kinds.on_unknown_kind != OnUnknownKind::Warn {
            return;
        }
        let (source, count, kinds) = (&self.source.name, strays.count, Names(strays));
        tracing::warn!(%source, count, %kinds, "records of no declared kind were left out");
        self.stats.add_warning(format!(
            "{source}: {count} records of no declared kind were left out ({kinds})"
        ));
    }

    /// Counts the undeclared fields. `first`: of several reads of the input it is the one that warns.
    fn add_unknown(&self, first: bool) {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        for ((kind, decoding), met) in self.source.kinds.iter().zip(&self.kinds.each).zip(unknown.iter()) {
            let met = decoding.plan.objects.iter().zip(met).filter(|(_, met)| met.count > 0);
            for (path, met) in met {
                let separator = if kind.prefix().is_empty() { "" } else { ": " };
                self.stats
                    .add_unknown(&format!("{}{separator}{path}", kind.prefix()), met);
                if !first || kind.on_unknown_field != OnUnknownField::Warn {
                    continue;
                }
                let (source, count) = (&kind.label, met.count);
                self.stats
                    .add_warning(format!("{source}: {count} undeclared fields were left out of {path}"));
                if met.names.is_empty() {
                    tracing::warn!(%source, %path, count, "undeclared fields were left out");
                } else {
                    let names = Names(met);
                    tracing::warn!(%source, %path, count, %names, "undeclared fields were left out");
                }
            }
        }
    }

    fn warn_of_values(&self) {
        let cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, cuts) in self.source.kinds.iter().zip(cuts.iter()) {
            for (path, count) in cuts.iter() {
                let source = &kind.label;
                tracing::warn!(%source, %path, count, "times finer than a microsecond were cut off");
                self.stats.add_warning(format!(
                    "{source}: {count} times of {path} finer than a microsecond were cut off"
                ));
            }
        }
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        for ((kind, path), files) in lacking.iter() {
            let source = &self.source.kinds[*kind].label;
            tracing::warn!(%source, %path, files, "a declared column is missing, so its field is null");
            self.stats.add_warning(format!(
                "{source}: {files} files have no column for {path}, so its field is null"
            ));
        }
    }

    /// Fails where some files hold no record, others do, and the source has `on_empty_file: fail`. A source that only
    /// wants a warning gets it from the run, which reads [`ReadStats::empty_files`].
    fn empty_files(&self) -> Result<()> {
        let empty = self.stats.empty_files();
        match (&empty[..], self.input.on_empty_file) {
            ([first, more @ ..], OnEmptyFile::Fail) => {
                let files = match more.len() {
                    0 => format!("{first} holds no record"),
                    more => format!("{first} and {more} more files hold no record"),
                };
                Err(Error::batch(files)
                    .code(Code::InputEmpty)
                    .hint("deliver it again; where files without records are normal, set `on_empty_file: ignore`"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the other files are still read after one file turned out damaged. Where the batch has a single file, its
    /// damage fails the batch.
    pub fn goes_on_after_damage(&self) -> bool {
        // A manifest says what each file holds, so a damaged one is not what it says.
        let is_counted = self.input.format == Format::FhirBulk;
        self.input.on_malformed == OnMalformed::Quarantine && self.listing.files().len() > 1 && !is_counted
    }

    /// Notes the declared fields of a kind, by their paths, that one file has no column for.
    pub fn lacking(&self, kind: usize, paths: impl IntoIterator<Item = Arc<str>>) {
        let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        for path in paths {
            *lacking.entry((kind, path)).or_default() += 1;
        }
    }

    /// Refuses the rows of a file that are known by their number, but can't be read.
    pub fn refuse_rows(&self, file: &str, rows: Range<u64>, reason: &str) -> Result<()> {
        let reason: Reason = format!("it can't be read: {reason}").into();
        let refused = rows.map(|record| Refusal {
            check: UNREADABLE.to_owned(),
            file: Some(file.to_owned()),
            record: Some(record),
            path: Some(WHOLE.to_owned()),
            reason: reason.clone(),
            ..Refusal::default()
        });
        let refused: Vec<Refusal> = refused.take(MOST_REFUSED + 1).collect();
        self.stats.read.fetch_add(refused.len() as u64, Ordering::Relaxed);
        self.refuse(refused)
    }

    /// Refuses a whole file that can't be read.
    pub fn refuse_file(&self, file: &str, reason: impl Into<Reason>) {
        self.refuse_unreadable(Refusal {
            file: Some(file.to_owned()),
            reason: reason.into(),
            ..Refusal::default()
        });
    }

    /// Adds a refusal for what can't be read. It counts as one record, read and refused, so that the account adds up
    /// even where the batch fails.
    fn refuse_unreadable(&self, entry: Refusal) {
        self.stats.read.fetch_add(1, Ordering::Relaxed);
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.stats.refuse(vec![Refusal {
            check: UNREADABLE.to_owned(),
            path: Some(WHOLE.to_owned()),
            ..entry
        }]);
    }

    /// Refuses the rest of a file, in which no record can be found. `stretch` says how long it is.
    pub fn refuse_rest(&self, file: &str, rest: &Unreadable, stretch: &str) {
        let Unreadable {
            fault, record, from, ..
        } = rest;
        self.refuse_unreadable(Refusal {
            file: Some(file.to_owned()),
            record: Some(*record),
            byte_offset: Some(*from),
            fault_offset: Some(fault.offset),
            reason: format!(
                "an unreadable stretch {stretch}: {} at byte {}",
                fault.reason, fault.offset
            )
            .into(),
            ..Refusal::default()
        });
    }
}

/// The items that a task sends. If the task dies, the stream ends with an error, so that this does not look like the
/// end of the input.
pub(super) fn received<T: Send + 'static>(
    receiver: mpsc::Receiver<Result<T>>,
    task: JoinHandle<()>,
) -> impl Stream<Item = Result<T>> + Send + 'static {
    stream::unfold((receiver, Some(task)), |(mut receiver, task)| async move {
        if let Some(item) = receiver.recv().await {
            return Some((item, (receiver, task)));
        }
        let ended = task?.await;
        ended.err().map(|error| (Err(stopped(&error)), (receiver, None)))
    })
}

/// The error of a task that died. The message of a panic could hold a value, so it is not repeated.
pub(super) fn stopped(error: &tokio::task::JoinError) -> Error {
    let why = if error.is_panic() {
        "it panicked, which is a fault of this program"
    } else {
        "it was cancelled"
    };
    Error::batch("reading the input stopped").cause(why)
}
