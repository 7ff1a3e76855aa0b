//! Finds a kind of records in whose place unknown records came: a sender that renames `Patient` would otherwise empty the
//! tables of patients with no more than a warning.

use serde_json::Value;

use super::kinds::KindsOutcome;
use crate::error::{Code, Error, Result};
use crate::ingest::Unknown;
use crate::model::{Batch, Source, Tolerance};
use crate::warehouse::{Connection, runs};

/// Fails where a kind has no record, an older batch had some, and there are records of no declared kind such as the
/// older batches had not. A kind whose own limit allows that all its records are refused may vanish.
pub(super) async fn verdict(
    source: &Source,
    batch: &Batch,
    outcome: &KindsOutcome,
    connection: &Connection,
) -> Result<()> {
    if outcome.unknown.count == 0 {
        return Ok(());
    }
    for kind in &source.kinds {
        let records = outcome.kinds.iter().find(|(name, _)| *name == kind.name);
        let is_there = records.is_none_or(|(_, records)| records.read() > 0 || records.suppressed > 0);
        let most = kind.max_quarantined.unwrap_or(source.max_quarantined);
        let may_vanish = matches!(most, Tolerance::Percent(_)) && most.allows(1, 1);
        if is_there || may_vanish {
            continue;
        }
        let before = runs::accounts_of_kind(connection, batch, &kind.name).await?;
        let Some(had) = before.first().and_then(|account| read(account, &kind.name)) else {
            continue;
        };
        if !is_new(&outcome.unknown, &before) {
            continue;
        }
        let (name, count) = (&kind.name, outcome.unknown.count);
        return Err(Error::batch(format!(
            "the kind {name} has no record, and {count} records are of no declared kind"
        ))
        .code(Code::TooManyRefused)
        .cause(format!(
            "an older batch had {had} records of {name} and none of these others: the sender may have renamed it"
        ))
        .hint(format!(
            "let `where` of {name} name the new value; if the kind may be missing, set `max_quarantined: 100%` in it"
        )));
    }
    Ok(())
}

fn read(account: &Value, kind: &str) -> Option<u64> {
    let read = account.get("kinds")?.get(kind)?.get("read")?.as_u64();
    read.filter(|read| *read > 0)
}

/// Whether there are unknown records of a value that no older batch had; where the values are not known, more of them.
fn is_new(unknown: &Unknown, before: &[Value]) -> bool {
    let of = |account: &Value, name: &str| Some(account.get("unknown_kinds")?.get("kinds")?.get(name)?.as_u64()? > 0);
    let is_known = |name: &String| before.iter().any(|account| of(account, name) == Some(true));
    let others = unknown.count - unknown.names.values().sum::<u64>();
    let others_before = before.iter().map(|account| {
        let unknown = account.get("unknown_kinds");
        let count = unknown.and_then(|one| one.get("count")?.as_u64()).unwrap_or(0);
        let names = unknown.and_then(|one| one.get("kinds")?.as_object());
        let known: u64 = names
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_u64())
            .sum();
        count.saturating_sub(known)
    });
    !unknown.names.keys().all(is_known) || others > others_before.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unknown(count: u64, names: &[(&str, u64)]) -> Unknown {
        Unknown {
            count,
            names: names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        }
    }

    #[test]
    fn unknown_records_are_new_by_their_value_or_by_their_number() {
        let before = [
            json!({"unknown_kinds": {"count": 12, "kinds": {"a": 4, "b": 6}}}),
            json!({"kinds": {}}),
        ];
        assert!(!is_new(&unknown(100, &[("a", 99), ("b", 1)]), &before));
        assert!(is_new(&unknown(2, &[("a", 1), ("c", 1)]), &before));
        assert!(!is_new(&unknown(2, &[]), &before), "two were not told apart before");
        assert!(is_new(&unknown(3, &[]), &before));
        assert!(is_new(&unknown(1, &[]), &[]));
    }

    #[test]
    fn a_kind_had_records_or_not() {
        let account = json!({"kinds": {"lab": {"read": 2}, "patient": {"read": 0}}});
        assert_eq!(read(&account, "lab"), Some(2));
        assert_eq!((read(&account, "patient"), read(&account, "x")), (None, None));
    }
}
