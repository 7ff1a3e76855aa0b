//! The account of a batch: every record read is accepted or refused, every row produced is loaded or refused. It decides
//! whether so much may be refused, and what the checks of a whole batch say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::batch::EntityOutcome;
use super::stage::Passed;
use crate::error::{Error, Result};
use crate::ingest::{Listing, RecordError};
use crate::project::{Batch, Check, Format, Project, Rule, Severity, Source};
use crate::quality::Refusal;
use crate::transform::Counted;
use crate::warehouse::quarantine::Entry;
use crate::warehouse::{ActiveRun, Connection, Staged, checks, runs};

/// The name under which a record that can't be decoded stands in the quarantine.
const MALFORMED: &str = "malformed";

/// Of a batch's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Records {
    pub accepted: u64,
    pub refused: u64,
}

impl Records {
    pub fn read(self) -> u64 {
        self.accepted + self.refused
    }
}

/// Whether the records that were found in the files are those accepted and refused: they are counted where a file is
/// split, where records are decoded, and as entries.
pub(super) fn balance(found: u64, records: Records) -> Result<()> {
    if found == records.read() {
        return Ok(());
    }
    let Records { accepted, refused } = records;
    Err(
        Error::batch("the account of the batch does not add up; the old content stands")
            .cause(format!(
                "{found} records read, {accepted} accepted and {refused} refused"
            ))
            .hint("this is a defect of the program; run again with RUST_LOG=debug and report what it says"),
    )
}

/// As it stands in `pipeline.runs.account`.
pub(super) fn value(records: Records, entities: &[EntityOutcome]) -> Value {
    let entities = entities.iter().map(|entity| {
        let mut account = json!({
            "produced": entity.produced,
            "loaded": entity.rows,
            "quarantined": entity.refused(),
            "warnings": entity.warnings,
        });
        if let Some(elements) = &entity.elements {
            account["elements"] = json!(elements);
        }
        (entity.entity.clone(), account)
    });
    json!({
        "records": {"read": records.read(), "accepted": records.accepted, "quarantined": records.refused},
        "entities": entities.collect::<Map<_, _>>(),
    })
}

/// What goes to the quarantine.
pub(super) fn entries(listing: &Listing, records: &[RecordError], rows: &[Refusal]) -> Vec<Entry> {
    let number = |number: u64| i64::try_from(number).ok();
    let records = records.iter().map(|refused| Entry {
        entity: None,
        check: refused.check.to_owned(),
        file: Some(refused.file.clone()),
        record: number(refused.record),
        byte_offset: refused.offset.and_then(number),
        path: Some(refused.path.to_string()),
        reason: refused.reason.to_string(),
    });
    let rows = rows.iter().map(|refused| {
        let place = refused.record.map(|record| listing.locate(record));
        Entry {
            entity: refused.entity.as_ref().map(ToString::to_string),
            check: refused.check.to_string(),
            file: place.and_then(|(file, _)| file.map(str::to_owned)),
            record: place.and_then(|(_, record)| number(record)),
            byte_offset: None,
            path: refused.path.as_ref().map(ToString::to_string),
            reason: refused.reason.to_string(),
        }
    });
    records.chain(rows).collect()
}

/// Fails where more is refused than the source allows.
pub(super) fn verdict(
    source: &Source,
    batch: &Batch,
    records: Records,
    entities: &[EntityOutcome],
    refused: &[Entry],
) -> Result<()> {
    let most = source.max_quarantined;
    let mut over = Vec::new();
    if !most.allows(records.refused, records.read()) {
        over.push(format!("{} of {} records", records.refused, records.read()));
    }
    for entity in entities {
        if !most.allows(entity.refused(), entity.produced) {
            over.push(format!(
                "{} of {} rows of {}",
                entity.refused(),
                entity.produced,
                entity.entity
            ));
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    let hint = format!(
        "`pipeline quarantine show --source {} --date {}` names each; mend the input, the schema or the SQL and run the \
         batch again, or raise max_quarantined",
        batch.source, batch.date
    );
    let no_record = |entry: &&Entry| entry.entity.is_none() && entry.path.as_deref() == Some("$");
    let no_records = refused.iter().filter(no_record).count() as u64;
    let in_lines = source.input.format != Format::Ndjson || no_records <= records.accepted;
    Err(Error::batch(format!("too much is refused: {}", over.join(", ")))
        .cause(format!("{}; max_quarantined is {most}", most_frequent(refused)))
        .hint(if in_lines {
            hint
        } else {
            format!("an array, or documents over several lines, are `format: json`; {hint}")
        }))
}

/// Fails where a transform lost or multiplied the elements that the source says it conserves.
pub(super) fn conservation(source: &Source, entities: &[EntityOutcome]) -> Result<()> {
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
    let error = Error::batch(differences.join("; "));
    let error = error.hint(format!("look into {}: {}", files.join(", "), reasons.join("; ")));
    Err(if filters.is_empty() {
        error
    } else {
        error.cause(filters.join("; "))
    })
}

/// In the user's words.
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
fn most_frequent(refused: &[Entry]) -> String {
    let mut reasons: BTreeMap<(&str, &str), (usize, &Entry)> = BTreeMap::new();
    for entry in refused {
        let reason = reasons.entry((&entry.check, &entry.reason)).or_insert((0, entry));
        reason.0 += 1;
    }
    let Some(((check, reason), (count, first))) = reasons.into_iter().max_by_key(|(_, (count, _))| *count) else {
        return "nothing is noted".to_owned();
    };
    let path = first.path.as_ref().filter(|_| check == MALFORMED);
    let path = path.map_or_else(String::new, |path| format!("{path}: "));
    let place = match (&first.file, first.record) {
        (Some(file), Some(record)) => format!(" at {file}, record {record}"),
        _ => String::new(),
    };
    if count == 1 {
        format!("{check}: {path}{reason}{place}")
    } else {
        format!("{check}: {path}{reason}, {count} times, first{place}")
    }
}

/// Checks that see a batch as a whole: its rows counted, and how new they are. Gives what only warns.
pub(super) async fn whole(
    project: &Project,
    source: &Source,
    run: &ActiveRun,
    connection: &mut Connection,
    passed: &[Passed],
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let staged: Vec<&Staged> = passed.iter().map(|one| &one.staged).collect();
    for check in &project.checks {
        let rows = checks::violations(connection, &project.entities, &staged, check).await?;
        if rows == 0 {
            continue;
        }
        let message = format!("the check {} failed", check.path.display());
        let problem = format!("it selects {rows} rows of the batch");
        if check.severity == Severity::Warn {
            warnings.push(format!("{message}: {problem}"));
        } else {
            return Err(Error::batch(message)
                .cause(problem)
                .hint("mend the input or the SQL, or let the check only warn: `-- severity: warn`"));
        }
    }
    for one in passed {
        let entity = project.entity(one.staged.entity())?;
        for check in source.checks_of(entity) {
            let Some(problem) = one_check(check, run, connection, one).await? else {
                continue;
            };
            let message = format!("the check {} of {} failed", check.name, entity.name);
            if check.severity == Severity::Warn {
                warnings.push(format!("{message}: {problem}"));
            } else {
                return Err(Error::batch(message)
                    .cause(problem)
                    .hint("if that is as it should be, mend the check or let it warn only: severity: warn"));
            }
        }
    }
    Ok(warnings)
}

/// What is wrong, if anything.
async fn one_check(check: &Check, run: &ActiveRun, connection: &Connection, passed: &Passed) -> Result<Option<String>> {
    let rows = passed.staged.rows();
    match &check.rule {
        Rule::RowCount { min, max, change } => {
            if let Some(min) = min.filter(|min| rows < *min) {
                return Ok(Some(format!("{rows} rows, at least {min} are expected")));
            }
            if let Some(max) = max.filter(|max| rows > *max) {
                return Ok(Some(format!("{rows} rows, at most {max} are expected")));
            }
            let Some(change) = change else { return Ok(None) };
            let before = runs::rows_before(connection, run.batch(), passed.staged.entity()).await?;
            Ok(before
                .filter(|before| !within(rows, *before, *change))
                .map(|before| format!("{rows} rows, {before} in the batch before, which is more than {change}% apart")))
        }
        Rule::Freshness { column, days } => {
            let newest = run.newest(connection, &passed.staged, column).await?;
            let age = newest.map(|newest| (run.batch().date - newest).num_days());
            let old = age.filter(|age| u64::try_from(*age).is_ok_and(|age| age > *days));
            Ok(old.map(|age| format!("the newest is {age} days older than the batch, {days} are allowed")))
        }
        _ => Ok(None),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
fn within(rows: u64, before: u64, change: f64) -> bool {
    rows.abs_diff(before) as f64 * 100.0 <= change * before as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Tolerance;

    #[test]
    fn a_share_is_of_what_was_read() {
        let one = Tolerance::Percent(1.0);
        assert!(one.allows(0, 0) && one.allows(10, 1000) && !one.allows(11, 1000) && !one.allows(1, 4));
        assert!(Tolerance::Count(2).allows(2, 2) && !Tolerance::Count(2).allows(3, 1000));
    }

    #[test]
    fn a_change_is_of_the_batch_before() {
        assert!(within(50, 100, 50.0) && within(150, 100, 50.0) && !within(49, 100, 50.0) && !within(151, 100, 50.0));
        assert!(within(0, 0, 10.0) && !within(1, 0, 10.0));
    }
}
