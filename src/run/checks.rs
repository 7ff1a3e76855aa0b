//! Checks a staged batch as a whole: the SELECTs of `sql/checks`, `row_count` and `freshness`.

use tokio_postgres::Client;

use super::outcome::{EntityOutcome, Records};
use crate::error::{Code, Error, Result};
use crate::lineage;
use crate::model::check::failed;
use crate::model::{Batch, Check, Entity, Gate, MaskKind, OnRare, Project, Rule, Severity, Shown, Source};
use crate::warehouse::{BatchLock, Connection, Staged, checks, combinations, relations, runs};

/// The warnings of a batch that may be loaded, and the lock under which it is swapped in, if there is one.
pub(super) type Verdict = (Vec<String>, Option<BatchLock>);

/// Says how many persons stand too alone once a batch is replaced by what is staged of it, or by nothing. `None`: nobody.
pub(super) async fn alone(
    client: &Client,
    entity: &Entity,
    gate: &Gate,
    staged: Option<&Staged>,
    batch: &Batch,
) -> Result<Option<Error>> {
    let rare = combinations::rare(client, entity, gate, staged, batch).await?;
    if rare.combinations == 0 {
        return Ok(None);
    }
    let [found, persons] = [rare.combinations, rare.persons].map(|number| Shown::new(number, true));
    let error = Error::batch(format!(
        "{found} combinations of {} in {} are shared by fewer than {} persons",
        gate.quasi.join(", "),
        gate.over,
        gate.k
    ));
    let when = if staged.is_some() { "live" } else { "gone" };
    Ok(Some(error.code(Code::TooFewPersons).cause(format!(
        "{persons} persons stand in them once the batch is {when}"
    ))))
}

/// A staged batch.
pub(super) struct WholeBatch<'a> {
    pub project: &'a Project,
    pub source: &'a Source,
    pub batch: &'a Batch,
    pub tables: &'a [Staged],
    pub entities: &'a [EntityOutcome],
    /// Whether any column of the batch is masked, so that no small number of rows is shown.
    pub masked: bool,
}

impl WholeBatch<'_> {
    /// Runs the checks. Returns the warnings.
    pub async fn check(&self, connection: &mut Connection) -> Result<Vec<String>> {
        let mut warnings = self.selects(connection).await?;
        for table in self.tables {
            let entity = self.project.entity(table.entity())?;
            for check in self.source.checks_of(entity) {
                let Some(problem) = self.problem(check, connection, table).await? else {
                    continue;
                };
                let error = failed(&check.name, &entity.name)
                    .cause(problem)
                    .hint("if that is as it should be, mend the check or let it warn only: severity: warn");
                warnings.push(warning(check.severity, error)?);
            }
        }
        Ok(warnings)
    }

    /// Fails where records were refused and an entity has no row although the batch before had some: the refused
    /// records may be all of one kind. More can't be known, since a refused record is not decoded. An entity with a
    /// `row_count` check is left to that check. Returns warnings for entities that have no batch before.
    pub async fn vanished(&self, connection: &Connection, records: Records) -> Result<Vec<String>> {
        let (mut lost, mut warnings) = (Vec::new(), Vec::new());
        if records.refused == 0 || self.source.max_quarantined.allows(records.read(), records.read()) {
            return Ok(warnings);
        }
        for table in self.tables.iter().filter(|table| table.rows() == 0) {
            let entity = self.project.entity(table.entity())?;
            let counts = |check: &Check| matches!(check.rule, Rule::RowCount { .. });
            // A day without deletions is normal.
            if entity.deletes_from.is_some() || self.source.checks_of(entity).any(counts) {
                continue;
            }
            let name = &entity.name;
            match runs::rows_before(connection, self.batch, name).await? {
                Some(0) => {}
                Some(before) => lost.push((name, before)),
                None => warnings.push(format!(
                    "{name} has no row, and {} of {} records are refused: they may be all that it is made of",
                    records.refused,
                    records.read()
                )),
            }
        }
        let Some((first, _)) = lost.first() else {
            return Ok(warnings);
        };
        let said = lost
            .iter()
            .map(|(name, before)| format!("{name} lost 100% of its rows ({before} in the batch before, none now)"));
        Err(Error::batch(said.collect::<Vec<_>>().join("; "))
            .cause(format!(
                "{} of {} records are refused, which may be all of a kind; max_quarantined is {} of all records",
                records.refused,
                records.read(),
                self.source.max_quarantined
            ))
            .hint(format!(
                "`pipeline quarantine show --source {} --date {}` names each; if the batch has no such rows, say so in the \
                 source: `checks: {{{}: [{{row_count: {{min: 0}}}}]}}`",
                self.batch.source, self.batch.date, first
            )))
    }

    /// The checks of `sql/checks`.
    async fn selects(&self, connection: &mut Connection) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let tables: Vec<&Staged> = self.tables.iter().collect();
        // What breaks a check is seldom more than all rows of the batch.
        let most = tables.iter().map(|table| table.rows()).sum::<u64>().max(COUNTED);
        let masked = self.masked || is_masked(self.project);
        for check in &self.project.checks {
            let rows = checks::violations(connection, &self.project.entities, &tables, check, most).await?;
            if rows == 0 {
                continue;
            }
            let error = Error::batch(format!("the check {} failed", check.path.display()))
                .code(Code::CheckFailed)
                .cause(format!(
                    "it selects {} rows of the batch",
                    Shown::of_select(rows, most, masked)
                ))
                .hint("mend the input or the SQL, or let the check only warn: `-- severity: warn`");
            warnings.push(warning(check.severity, error)?);
        }
        Ok(warnings)
    }

    /// Counts the persons who would stand too alone once the batch is live. Returns the warnings.
    pub async fn gate(&self, connection: &Connection) -> Result<Vec<String>> {
        let Some(gate) = &self.project.gate else {
            return Ok(Vec::new());
        };
        let entity = self.project.entity(&gate.over)?;
        let staged = self.tables.iter().find(|table| table.entity() == gate.over);
        let mut warnings = Vec::new();
        if gate.severity == OnRare::Suppress {
            warnings.extend(self.suppressed(gate));
            if let Some(staged) = staged
                && !combinations::rare_rows(connection, entity, gate, staged, self.batch)
                    .await?
                    .is_empty()
            {
                return Err(Error::batch(format!("persons of {} would stand too alone", gate.over))
                    .code(Code::TooFewPersons)
                    .cause("the rows of other batches have changed since those of this one were staged")
                    .hint("run it again"));
            }
        }
        let Some(error) = alone(connection, entity, gate, staged, self.batch).await? else {
            return Ok(warnings);
        };
        let error = match gate.severity {
            OnRare::Fail => {
                return Err(error.hint(
                    "make these columns coarser in the SQL or by their masks, or leave one out of the tables; `severity: \
                     suppress` in `privacy` of pipeline.yaml makes them null in such rows, and `severity: warn` loads the \
                     batch nevertheless",
                ));
            }
            OnRare::Warn => error,
            // Other batches are never rewritten.
            OnRare::Suppress => Error {
                message: format!("{}, all in rows of other batches", error.message),
                ..error
            }
            .hint("run those batches again: that makes the columns null in their rows"),
        };
        warnings.push(error.to_string());
        Ok(warnings)
    }

    /// Says how many rows lost their quasi-identifiers.
    fn suppressed(&self, gate: &Gate) -> Option<String> {
        let outcome = self.entities.iter().find(|outcome| outcome.entity == gate.over)?;
        let rows = outcome.suppressed;
        (rows != Shown::Exactly(0)).then(|| {
            format!(
                "{} are null in {rows} rows of {}: fewer than {} persons share their values",
                gate.quasi.join(", "),
                gate.over,
                gate.k
            )
        })
    }

    /// Says what is wrong with a table's rows as a whole. `None`: nothing.
    async fn problem(&self, check: &Check, connection: &Connection, table: &Staged) -> Result<Option<String>> {
        let rows = table.rows();
        match &check.rule {
            Rule::RowCount { min, max, change } => {
                if let Some(min) = min.filter(|min| rows < *min) {
                    return Ok(Some(format!("{rows} rows, at least {min} are expected")));
                }
                if let Some(max) = max.filter(|max| rows > *max) {
                    return Ok(Some(format!("{rows} rows, at most {max} are expected")));
                }
                let Some(change) = change else { return Ok(None) };
                let before = runs::rows_before(connection, self.batch, table.entity()).await?;
                Ok(before.filter(|before| !within(rows, *before, *change)).map(|before| {
                    format!("{rows} rows, {before} in the batch before, which is more than {change}% apart")
                }))
            }
            Rule::Freshness { column, days } => {
                let newest = relations::newest(connection, table, column).await?;
                let age = newest.map(|newest| (self.batch.date - newest).num_days());
                let old = age.filter(|age| u64::try_from(*age).is_ok_and(|age| age > *days));
                Ok(old.map(|age| format!("the newest is {age} days older than the batch, {days} are allowed")))
            }
            _ => Ok(None),
        }
    }
}

/// The rows that a check of a small batch may select before they are counted no further.
const COUNTED: u64 = 100;

/// Whether any source masks anything: a check may read the rows of all of them.
fn is_masked(project: &Project) -> bool {
    let kinds = project
        .sources
        .iter()
        .flat_map(|source| source.kinds.iter().map(move |kind| (source, kind)));
    let mut fields = kinds.flat_map(|(source, kind)| lineage::kind_fields(source, kind));
    fields.any(|field| field.mask.is_some_and(|mask| mask != MaskKind::Keep))
}

/// Turns the error of a check with `severity: warn` into a warning.
fn warning(severity: Severity, error: Error) -> Result<String> {
    match severity {
        Severity::Warn => Ok(error.to_string()),
        Severity::Quarantine | Severity::Fail => Err(error),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
fn within(rows: u64, before: u64, change: f64) -> bool {
    rows.abs_diff(before) as f64 * 100.0 <= change * before as f64
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_change_is_of_the_batch_before() {
        assert!(within(50, 100, 50.0) && within(150, 100, 50.0) && !within(49, 100, 50.0) && !within(151, 100, 50.0));
        assert!(within(0, 0, 10.0) && !within(1, 0, 10.0));
    }
}
