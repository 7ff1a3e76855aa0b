//! Keeps the account of a batch: every record read is accepted, refused, suppressed or of no declared kind, and every row
//! produced is loaded or refused. It also decides whether more is refused than the source allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::kinds::KindsOutcome;
use super::outcome::{EntityOutcome, Records};
use crate::error::{Code, Error, Result};
use crate::model::refusal::{MALFORMED, NO_RECORDS, UNREADABLE};
use crate::model::{Batch, Check, Format, OnNoRecords, Project, RecordRef, Refusal, Rule, Shown, Source};
use crate::transform::Counted;

/// Checks that the records found in the files are as many as those accepted, refused, suppressed and of no declared kind.
/// The numbers come from different places: the splitter, the decoders, the list of refusals, the masks, and the router.
pub(super) fn balance(found: u64, records: Records) -> Result<()> {
    if found == records.read() {
        return Ok(());
    }
    let Records {
        accepted,
        refused,
        suppressed,
        unknown,
    } = records;
    Err(
        Error::batch("the account of the batch does not add up; the old content stands")
            .cause(format!(
                "{found} records read, {accepted} accepted, {refused} refused, {suppressed} suppressed and {unknown} of no \
                 declared kind"
            ))
            .hint("this is a defect of the program; run again with RUST_LOG=debug and report what it says"),
    )
}

/// The most file names that the account lists.
const NAMED: usize = 100;

/// The most file names that a message lists.
const TOLD: usize = 10;

/// The warning about files that hold no record, where other files of the batch hold some.
pub(super) fn empty_files(files: &[String]) -> String {
    let names = files.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    match files.len() {
        1 => format!("1 file holds no record: {names}"),
        count if count <= TOLD => format!("{count} files hold no record: {names}"),
        count => format!("{count} files hold no record: {names} and {} more", count - TOLD),
    }
}

/// The JSON for `pipeline.runs.account`.
pub(super) fn value(records: Records, kinds: &KindsOutcome, entities: &[EntityOutcome], empty: &[String]) -> Value {
    let entities = entities.iter().map(|entity| {
        let mut account = json!({
            "produced": entity.produced,
            "loaded": entity.rows,
            "quarantined": entity.refused(),
            "warnings": entity.warnings,
        });
        if entity.missing > 0 {
            account["missing"] = json!(entity.missing);
        }
        if entity.suppressed != Shown::Exactly(0) {
            account["suppressed"] = json!(entity.suppressed);
        }
        if let Some(deletions) = &entity.deletions {
            account["deletes_from"] = json!(deletions.from);
            account["never_loaded"] = json!(deletions.never_loaded);
        }
        if let Some(elements) = &entity.elements {
            account["elements"] = json!(elements);
        }
        (entity.entity.clone(), account)
    });
    let mut account = json!({
        "records": {"read": records.read(), "accepted": records.accepted, "quarantined": records.refused},
        "entities": entities.collect::<Map<_, _>>(),
    });
    if records.suppressed > 0 {
        account["records"]["suppressed"] = json!(records.suppressed);
    }
    if !kinds.kinds.is_empty() {
        account["kinds"] = kinds.value();
    }
    if let Some(unknown) = kinds.unknown_value() {
        account["unknown_kinds"] = unknown;
    }
    if !empty.is_empty() {
        account["empty_files"] = json!({"count": empty.len(), "names": &empty[..empty.len().min(NAMED)]});
    }
    account
}

/// Fails where more is refused than the source allows: of the records, of the files, or of the rows of an entity.
pub(crate) fn verdict(
    project: &Project,
    source: &Source,
    batch: &Batch,
    files: u64,
    records: Records,
    entities: &[EntityOutcome],
    refused: &[Refusal],
) -> Result<()> {
    let most = source.max_quarantined;
    let mut over = Vec::new();
    // Nobody knows how many records such a file holds, so it also counts as one of the files. Where no file could be
    // read to its end, the old content stays, whatever `max_quarantined` says.
    let unreadable = refused.iter().filter(|entry| entry.check == UNREADABLE);
    let unreadable = unreadable.map(|entry| &entry.file).collect::<BTreeSet<_>>().len() as u64;
    if unreadable > 0 && (unreadable >= files || !most.allows(unreadable, files)) {
        over.push(format!("{unreadable} of {files} files can't be read to their ends"));
    }
    let too_many_records = !most.allows(records.refused, records.read());
    if too_many_records {
        over.push(format!("{} of {} records", records.refused, records.read()));
    }
    let mut too_high = None;
    for entity in entities {
        if let Some(lost) = over_limit(project, source, entity, too_many_records)? {
            over.push(lost);
            too_high = too_high.or(Some(entity).filter(|entity| entity.missing > 0 && !too_many_records));
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    let mut hint = format!(
        "`pipeline quarantine show --source {} --date {}` names each; mend the input, the schema or the SQL and run the \
         batch again, or raise max_quarantined",
        batch.source, batch.date
    );
    if let Some(EntityOutcome { entity, .. }) = too_high {
        let one = format!("`max_quarantined: {{records: {most}, entities: {{{entity}: ...}}}}`");
        let _ = write!(hint, "; {one} sets it for one entity");
    }
    if refused.iter().any(|entry| entry.check == NO_RECORDS) {
        hint.push_str(match source.input.on_no_records {
            OnNoRecords::Refuse => {
                "; look whether `records` is right; entries that are records themselves, as a deletion in a FHIR bundle, \
                 need `on_no_records: whole`"
            }
            _ => "; look whether `records` is right; leave out files without a record, as a FHIR bundle without `entry`",
        });
    }
    let no_record = |entry: &&Refusal| entry.entity.is_none() && entry.path.as_deref() == Some("$");
    let no_records = refused.iter().filter(no_record).count() as u64;
    let in_lines = !matches!(source.input.format, Format::Ndjson | Format::FhirBulk) || no_records <= records.accepted;
    Err(Error::batch(format!("too much is refused: {}", over.join(", ")))
        .code(Code::TooManyRefused)
        .cause(format!("{}; max_quarantined is {most}", most_frequent(refused)))
        .hint(if in_lines {
            hint
        } else {
            format!("an array, or documents over several lines, are `format: json`; {hint}")
        }))
}

/// What an entity lost, where that is more than its limit. Rows of refused records count, unless `row_count: {min: 0}`
/// says that a batch may lack them, or the records are too many by themselves.
fn over_limit(
    project: &Project,
    source: &Source,
    outcome: &EntityOutcome,
    too_many_records: bool,
) -> Result<Option<String>> {
    let name = &outcome.entity;
    let entity = project.entity(name)?;
    let most = source.most_quarantined_of(name);
    let may_lack = |check: &Check| matches!(check.rule, Rule::RowCount { min: Some(0), .. });
    let (lost, of) = if too_many_records || source.checks_of(entity).any(may_lack) {
        (outcome.refused(), outcome.produced)
    } else {
        (outcome.lost(), outcome.expected())
    };
    if most.allows(lost, of) {
        return Ok(None);
    }
    let mut text = format!("{lost} of {of} rows of {name}");
    if lost > outcome.refused() {
        let (share, missing) = (percent(lost, of), outcome.missing);
        let _ = write!(text, " ({share}, {missing} of them with their refused records)");
    }
    if most != source.max_quarantined {
        let _ = write!(text, ", where {most} are allowed");
    }
    Ok(Some(text))
}

/// A share in percent, with no more digits than tell it from nothing and from all.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
fn percent(part: u64, of: u64) -> String {
    let share = part as f64 * 100.0 / of.max(1) as f64;
    if part == of || (1.0..99.0).contains(&share) {
        format!("{share:.0}%")
    } else {
        format!("{share:.2}%")
    }
}

/// Fails where a transform lost or multiplied the elements that the source says it conserves.
pub(crate) fn conservation(source: &Source, entities: &[EntityOutcome]) -> Result<()> {
    let broken: Vec<(&EntityOutcome, &Counted)> = entities
        .iter()
        .filter_map(|entity| Some((entity, entity.elements.as_ref()?)))
        .filter(|(entity, elements)| entity.produced != elements.count)
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    let differences: Vec<String> = broken
        .iter()
        .map(|(entity, elements)| difference(entity, elements))
        .collect();
    let filters: Vec<String> = broken
        .iter()
        .filter_map(|(_, elements)| {
            Some(format!(
                "of {} those count where {}",
                elements.path,
                elements.filter.as_ref()?
            ))
        })
        .collect();
    let files: Vec<String> = broken
        .iter()
        .filter_map(|(entity, _)| source.transforms.iter().find(|one| one.entity == entity.entity))
        .map(|transform| transform.path.display().to_string())
        .collect();
    let mut reasons = Vec::new();
    if broken.iter().any(|(entity, elements)| entity.produced < elements.count) {
        reasons.push(
            "an inner join, WHERE, DISTINCT or GROUP BY drops rows; what is left out on purpose, say with `where` in \
             `conserves`",
        );
    }
    if broken.iter().any(|(entity, elements)| entity.produced > elements.count) {
        reasons.push("a join by less than a key multiplies rows, and so does one unnest too many");
    }
    let error = Error::batch(differences.join("; ")).code(Code::RowsLost);
    let error = error.hint(format!("look into {}: {}", files.join(", "), reasons.join("; ")));
    Err(if filters.is_empty() {
        error
    } else {
        error.cause(filters.join("; "))
    })
}

/// Says how the rows of an entity differ from the elements that it should have.
fn difference(entity: &EntityOutcome, elements: &Counted) -> String {
    let EntityOutcome { entity, produced, .. } = entity;
    let Counted { path, count, .. } = elements;
    let what = if path == "$" {
        "records".to_owned()
    } else {
        format!("elements of {path}")
    };
    match count.checked_sub(*produced) {
        Some(lost) => format!("{entity} lost {lost} of {count} {what}"),
        None => format!("{entity} has {produced} rows from {count} {what}"),
    }
}

/// The reason that most entries have, and the first place of it.
fn most_frequent(refused: &[Refusal]) -> String {
    let mut reasons: BTreeMap<(&str, &str), (usize, &Refusal)> = BTreeMap::new();
    for entry in refused {
        let reason = reasons.entry((&entry.check, &entry.reason)).or_insert((0, entry));
        reason.0 += 1;
    }
    let Some(((check, reason), (count, first))) = reasons.into_iter().max_by_key(|(_, (count, _))| *count) else {
        return "nothing is noted".to_owned();
    };
    let path = first.path.as_ref().filter(|_| matches!(check, MALFORMED | NO_RECORDS));
    let path = path.map_or_else(String::new, |path| format!("{path}: "));
    let place = match (first.file.clone(), first.record) {
        (Some(file), Some(number)) => {
            let file = Some(file);
            format!(" at {}", RecordRef { file, number })
        }
        _ => String::new(),
    };
    if count == 1 {
        format!("{check}: {path}{reason}{place}")
    } else {
        format!("{check}: {path}{reason}, {count} times, first{place}")
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Tolerance;

    #[test]
    fn a_share_is_of_what_was_read() {
        let one = Tolerance::Percent(1.0);
        assert!(one.allows(0, 0) && one.allows(10, 1000) && !one.allows(11, 1000) && !one.allows(1, 4));
        assert!(Tolerance::Count(2).allows(2, 2) && !Tolerance::Count(2).allows(3, 1000));
    }
}
