//! Finds a kind of records in whose place unknown records came: a sender that renames `Patient` would otherwise empty the
//! tables of patients with no more than a warning.

use serde_json::Value;

use super::context::Context;
use super::kinds::KindsOutcome;
use crate::error::{Code, Error, Result};
use crate::ingest::{Names, Unknown};
use crate::model::wording::all_of;
use crate::model::{Batch, Format, Kind, Project, Source, Tolerance};
use crate::transform::Prepared;
use crate::warehouse::{Connection, runs};

/// Fails where a kind has no record, an older batch had some, and there are records of no declared kind such as the
/// older batches had not. Warns in the first batch of a source, where nothing tells whether the kind is misspelt or just
/// missing. A kind may vanish if its own limit allows that all its records are refused, or if it only says what is
/// deleted.
pub(super) async fn verdict(
    context: &Context,
    source: &Source,
    batch: &Batch,
    outcome: &KindsOutcome,
    connection: &Connection,
) -> Result<Option<String>> {
    let (mut never, plans) = (Vec::new(), context.plans.of(source));
    if outcome.unknown.count == 0 {
        return Ok(None);
    }
    for (index, kind) in source.kinds.iter().enumerate() {
        let records = outcome.kinds.iter().find(|(name, _)| *name == kind.name);
        let is_there = records.is_none_or(|(_, records)| records.read() > 0 || records.suppressed > 0);
        let most = kind.max_quarantined.unwrap_or(source.max_quarantined);
        let may_vanish = matches!(most, Tolerance::Percent(_)) && most.allows(1, 1);
        if is_there || may_vanish || only_deletes(&context.project, plans, index) {
            continue;
        }
        let before = runs::accounts_of_kind(connection, batch, &kind.name).await?;
        if before.newest.is_none() {
            never.push(kind.name.as_str());
        }
        let Some(had) = before.of_kind.as_ref().and_then(|account| read(account, &kind.name)) else {
            continue;
        };
        let before: Vec<Value> = before.of_kind.into_iter().chain(before.newest).collect();
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
            "let `where` of {name} name the new value; if the kind may be missing, set `max_quarantined: 100%` in it{}",
            of_deletions(source)
        )));
    }
    Ok(warning(&never, &outcome.unknown))
}

/// What to do where the unknown records may be those of an export's files of deletions.
fn of_deletions(source: &Source) -> &'static str {
    let asks = |kind: &Kind| {
        kind.conditions
            .iter()
            .any(|one| one.path.first().is_some_and(|name| name == "request"))
    };
    if source.input.format == Format::FhirBulk && !source.kinds.iter().any(asks) {
        "; if the export has files under `deleted`, declare a kind for them: `where: {request.method: DELETE}`"
    } else {
        ""
    }
}

/// Whether the records of a kind only say what is deleted. A day without them is normal.
fn only_deletes(project: &Project, plans: &[Prepared], kind: usize) -> bool {
    let deletes = |name: &str| {
        let mut entities = project.entities.iter();
        entities.any(|entity| entity.name == name && entity.deletes_from.is_some())
    };
    let mut reading = plans.iter().filter(|plan| plan.scans.contains(&kind));
    reading.all(|plan| deletes(&plan.outline.entity))
}

/// `kinds`: those without a record in the first batch of a source.
fn warning(kinds: &[&str], unknown: &Unknown) -> Option<String> {
    let (of, which) = match kinds {
        [] => return None,
        [kind] => (format!("the kind {kind}"), format!("`where` of {kind}")),
        _ => (
            format!("the kinds {}", all_of(kinds)),
            "one of their `where`".to_owned(),
        ),
    };
    let Unknown { count, .. } = unknown;
    let names = Names(unknown);
    Some(format!(
        "no record is of {of}, and {count} are of no declared kind ({names}): if these are meant, let {which} name their value; \
         a kind that may be missing has `max_quarantined: 100%`"
    ))
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
