//! Keeps the account of a batch for each kind of its records, and judges it: a small share of all records may be every
//! record of a rare kind.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::error::{Code, Error, Result};
use crate::ingest::{KindRecords, ReadStats, Unknown};
use crate::model::{Batch, Kind, Source, Tolerance};

/// The records of a batch by their kinds. Empty where the source declares no kinds.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct KindsOutcome {
    /// The name and the records of each kind, in the order of the source.
    pub kinds: Vec<(String, KindRecords)>,
    /// Records of no declared kind, by the value that would tell their kind or by its keyed hash.
    pub unknown: Unknown,
}

impl KindsOutcome {
    /// Reads the counters of a read.
    pub(crate) fn of(source: &Source, stats: &ReadStats) -> Self {
        let kinds = source.kinds.iter().enumerate();
        let declared = kinds.filter(|(_, kind)| !kind.prefix().is_empty());
        Self {
            kinds: declared
                .map(|(index, kind)| (kind.name.clone(), stats.records_of(index)))
                .collect(),
            unknown: stats.strays(),
        }
    }

    /// The records of each kind as JSON.
    pub fn value(&self) -> Value {
        let kinds = self.kinds.iter().map(|(name, records)| {
            let mut value =
                json!({"read": records.read(), "accepted": records.accepted, "quarantined": records.refused});
            if records.suppressed > 0 {
                value["suppressed"] = json!(records.suppressed);
            }
            (name.clone(), value)
        });
        Value::Object(kinds.collect::<Map<_, _>>())
    }

    /// The records of no declared kind as JSON. `None`: there are none.
    pub fn unknown_value(&self) -> Option<Value> {
        let Unknown { count, names } = &self.unknown;
        (*count > 0).then(|| json!({"count": count, "kinds": names}))
    }
}

/// Fails where more records of a kind are refused than it allows, or all of them.
pub(crate) fn verdict(source: &Source, batch: &Batch, outcome: &KindsOutcome) -> Result<()> {
    let mut over = Vec::new();
    for (name, records) in &outcome.kinds {
        if let Some(kind) = source.kinds.iter().find(|kind| kind.name == *name) {
            over.extend(over_limit(source, kind, *records));
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    Err(Error::batch(format!("too much is refused: {}", over.join(", ")))
        .code(Code::TooManyRefused)
        .cause("the share is judged for each kind, since a small share of all records may be all of a kind")
        .hint(format!(
            "`pipeline quarantine show --source {} --date {}` names each; mend the input or the schema of the kind and run \
             the batch again, or raise `max_quarantined` of the kind",
            batch.source, batch.date
        )))
}

fn over_limit(source: &Source, kind: &Kind, records: KindRecords) -> Option<String> {
    let KindRecords { accepted, refused, .. } = records;
    let read = accepted + refused;
    let most = kind.max_quarantined.unwrap_or(source.max_quarantined);
    // A number that the source allows of all its records says nothing of a kind that has fewer.
    let vanished = accepted == 0 && refused > 0 && kind.max_quarantined.is_none();
    let all_may_go = matches!(most, Tolerance::Percent(_)) && most.allows(read, read);
    if most.allows(refused, read) && (!vanished || all_may_go) {
        return None;
    }
    let mut text = format!("{refused} of {read} records of the kind {}", kind.name);
    if most.allows(refused, read) {
        text.push_str(", so none is left");
    } else {
        let _ = write!(text, ", where {most} are allowed");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;

    fn judged(of_source: Tolerance, of_kind: Option<Tolerance>, accepted: u64, refused: u64) -> Option<String> {
        let mut source = testing::source("a", Vec::new());
        source.max_quarantined = of_source;
        let mut kind = testing::kind("patient", Vec::new());
        kind.max_quarantined = of_kind;
        over_limit(
            &source,
            &kind,
            KindRecords {
                accepted,
                refused,
                suppressed: 0,
            },
        )
    }

    #[test]
    fn a_kind_may_lose_a_share_of_its_own_records_and_never_all_of_them() {
        let (percent, count) = (Tolerance::Percent(1.0), Tolerance::Count(5));
        assert_eq!(judged(percent, None, 99, 1), None);
        assert_eq!(judged(percent, None, 0, 0), None);
        assert_eq!(
            judged(percent, None, 98, 2).unwrap(),
            "2 of 100 records of the kind patient, where 1% are allowed"
        );
        assert_eq!(
            judged(count, None, 0, 3).unwrap(),
            "3 of 3 records of the kind patient, so none is left"
        );
        assert_eq!(judged(count, None, 1, 3), None);
        assert_eq!(judged(percent, Some(count), 0, 3), None, "the kind says so itself");
        assert_eq!(judged(Tolerance::Percent(100.0), None, 0, 3), None);
    }
}
