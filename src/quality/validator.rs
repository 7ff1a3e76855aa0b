//! Validates one entity's rows between the transform and the staging table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::UInt64Type;

use super::keys::{Key, Keys, Texts, same};
use super::pass::{Grounds, Locate, Pass};
use super::suppress::{Emptied, Suppress};
use crate::error::{Error, Result};
use crate::model::check;
use crate::model::{Entity, Misfit, Refusal, RowCheck, Severity};

/// The most refused rows that a batch may hold in memory. With more of them the batch fails, since something is wrong
/// with all of it.
const MOST_REFUSALS: usize = 1_000_000;

/// Rows that may not be loaded because they depend on refused rows.
#[derive(Debug, Clone)]
pub struct Deny {
    pub keys: Keys,
    /// The check on whose behalf they are refused.
    pub check: Arc<str>,
    pub reason: Arc<str>,
    /// Whether rows that depend on them are loaded anyway.
    pub keep_orphans: bool,
}

/// Finds the rows of a batch that their table can't take, among the entity's columns.
pub type FindMisfits = Box<dyn FnMut(&RecordBatch) -> Result<Vec<Misfit>> + Send>;

/// Refuses rows of one entity. It is made for one pass over its rows.
pub struct RowValidator {
    entity: String,
    row_checks: Vec<RowCheck>,
    /// The number of the entity's columns. `_record` follows them.
    width: usize,
    key: Vec<usize>,
    deny: Vec<(Vec<usize>, Deny)>,
    suppress: Option<Emptied>,
    /// For each set of columns by which a child entity refers to this one, the keys of refused rows.
    children: Vec<(Vec<usize>, Keys)>,
    find_misfits: Option<FindMisfits>,
    group: Option<Group>,
    report: ValidationReport,
}

/// The rows with one key that were seen so far.
struct Group {
    row: RecordBatch,
    /// The row that is loaded, if there is one.
    kept: Option<Stays>,
    /// The records of the refused rows whose dependants are refused, too.
    refused: Vec<Option<u64>>,
}

/// A row that is loaded.
#[derive(Clone, Copy)]
struct Stays {
    record: Option<u64>,
}

/// The result of validating the rows.
#[derive(Debug, Default)]
pub struct ValidationReport {
    /// Rows that the transform returned.
    pub produced: u64,
    pub refusals: Vec<Refusal>,
    /// The number of rows that break a check which only warns, per check.
    pub warnings: BTreeMap<String, u64>,
    /// The keys of refused rows whose dependants may not be loaded, per set of columns in a child's `parent`.
    pub refused: Vec<Keys>,
    /// Rows that lost the values of some columns.
    pub suppressed: u64,
    /// The rows that were denied from the start.
    pub denied: Vec<Deny>,
}

impl ValidationReport {
    /// Rows that may be loaded.
    pub fn accepted(&self) -> u64 {
        self.produced - self.refusals.len() as u64
    }
}

impl RowValidator {
    /// `children` are the sets of columns by which other entities refer to this one. `deny` are rows to refuse.
    pub fn new(entity: &Entity, row_checks: &[RowCheck], children: Vec<Vec<String>>, deny: Vec<Deny>) -> Self {
        let position = |name: &String| entity.columns.iter().position(|column| column.name == *name);
        let positions = |names: &[String]| names.iter().filter_map(position).collect::<Vec<_>>();
        let deny = deny.into_iter().map(|deny| (positions(&deny.keys.columns), deny));
        let children = children
            .into_iter()
            .map(|columns| (positions(&columns), Keys::new(columns)));
        Self {
            entity: entity.name.clone(),
            row_checks: row_checks.to_vec(),
            width: entity.columns.len(),
            key: positions(&entity.key),
            deny: deny.collect(),
            suppress: None,
            children: children.collect(),
            find_misfits: None,
            group: None,
            report: ValidationReport::default(),
        }
    }

    /// Refuses the rows that this finds, too.
    #[must_use]
    pub fn refusing_misfits(mut self, find: FindMisfits) -> Self {
        self.find_misfits = Some(find);
        self
    }

    /// Empties some columns of some rows, after all checks.
    #[must_use]
    pub fn suppressing(mut self, entity: &Entity, suppress: Suppress) -> Self {
        self.suppress = Some(Emptied::new(entity, suppress));
        self
    }

    /// The rows of a batch that may be loaded: the entity's columns, then `_record`. Fails where a row breaks a check
    /// of severity `fail`. `unmade` are the rows for which the transform failed: they are refused, and checked no
    /// further. `locate` tells where a record is, for messages.
    pub fn pass(&mut self, batch: &RecordBatch, unmade: Vec<Misfit>, locate: Locate) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        self.report.produced += rows as u64;
        let record = batch.column(self.width).as_primitive_opt::<UInt64Type>().cloned();
        let mut pass = Pass {
            locate,
            kept: vec![true; rows],
            record,
            cascading: BTreeSet::new(),
            unmade: unmade.iter().map(|misfit| misfit.row).collect(),
        };
        self.refuse_misfits(unmade, &mut pass);
        self.row_checks(batch, &mut pass)?;
        self.misfits(batch, &mut pass)?;
        self.denied(batch, &mut pass)?;
        self.duplicates(batch, &mut pass)?;
        if self.report.refusals.len() > MOST_REFUSALS {
            return Err(
                Error::batch(format!("more than {MOST_REFUSALS} rows of {} are refused", self.entity))
                    .hint("the checks or the transform do not fit this input"),
            );
        }
        let columns: Vec<usize> = (0..=self.width).collect();
        let batch = batch.project(&columns).map_err(|_| self.broken())?;
        let batch = if pass.kept.iter().all(|kept| *kept) {
            batch
        } else {
            filter_record_batch(&batch, &BooleanArray::from(pass.kept)).map_err(|_| self.broken())?
        };
        let Some(suppress) = &self.suppress else {
            return Ok(batch);
        };
        let (batch, rows) = suppress.apply(batch)?;
        self.report.suppressed += rows;
        Ok(batch)
    }

    /// The report on all rows.
    pub fn finish(mut self) -> Result<ValidationReport> {
        if let Some(group) = self.group.take() {
            self.close(&group)?;
        }
        let refused = self.children.into_iter().map(|(_, keys)| keys).collect();
        let denied = self.deny.into_iter().map(|(_, deny)| deny).collect();
        Ok(ValidationReport {
            refused,
            denied,
            ..self.report
        })
    }

    fn row_checks(&mut self, batch: &RecordBatch, pass: &mut Pass) -> Result<()> {
        for at in 0..self.row_checks.len() {
            let column = batch.column(self.width + 1 + at);
            let holds = column.as_boolean_opt().ok_or_else(|| self.broken())?;
            if holds.null_count() == 0 && holds.true_count() == holds.len() {
                continue;
            }
            let check = self.row_checks[at].clone();
            let grounds = Grounds {
                check: &check.name,
                path: check.column.as_deref(),
                reason: &check.reason,
                cascades: !check.keep_orphans,
            };
            // The check's column is never null. If it were, the row would have to be refused.
            for row in (0..holds.len()).filter(|row| holds.is_null(*row) || !holds.value(*row)) {
                if pass.unmade.contains(&row) {
                    continue;
                }
                match check.severity {
                    Severity::Quarantine => {
                        if pass.kept[row] {
                            self.refuse(pass, row, grounds);
                        }
                    }
                    Severity::Warn => *self.report.warnings.entry(check.name.clone()).or_default() += 1,
                    Severity::Fail => return Err(self.failed(&check, pass, row)),
                }
            }
        }
        Ok(())
    }

    fn failed(&self, check: &RowCheck, pass: &Pass, row: usize) -> Error {
        let at = pass.record(row);
        let at = at.map_or_else(String::new, |record| format!(", first at {}", (pass.locate)(record)));
        check::failed(&check.name, &self.entity)
            .cause(format!("{}{at}", check.reason))
            .hint(check::LET_IT_REFUSE)
    }

    fn misfits(&mut self, batch: &RecordBatch, pass: &mut Pass) -> Result<()> {
        let Some(find) = &mut self.find_misfits else {
            return Ok(());
        };
        let found = find(batch)?;
        self.refuse_misfits(found, pass);
        Ok(())
    }

    fn refuse_misfits(&mut self, misfits: Vec<Misfit>, pass: &mut Pass) {
        for misfit in misfits {
            if pass.kept[misfit.row] {
                let grounds = Grounds {
                    check: &misfit.check,
                    path: Some(&misfit.path),
                    reason: &misfit.reason,
                    cascades: true,
                };
                self.refuse(pass, misfit.row, grounds);
            }
        }
    }

    fn denied(&mut self, batch: &RecordBatch, pass: &mut Pass) -> Result<()> {
        for at in 0..self.deny.len() {
            let texts = Texts::of(batch, &self.deny[at].0)?;
            for row in 0..batch.num_rows() {
                let denied = |key: Key| self.deny[at].1.keys.contain(key, pass.record(row));
                if pass.kept[row] && texts.key(row).is_some_and(denied) {
                    let deny = &self.deny[at].1;
                    let (check, reason) = (Arc::clone(&deny.check), Arc::clone(&deny.reason));
                    let grounds = Grounds {
                        check: &check,
                        path: None,
                        reason: &reason,
                        cascades: !deny.keep_orphans,
                    };
                    self.refuse(pass, row, grounds);
                }
            }
        }
        Ok(())
    }

    /// Refuses duplicates. Rows are sorted by the key, so those with the same key are neighbours. The first of those
    /// that nothing else refuses is kept.
    fn duplicates(&mut self, batch: &RecordBatch, pass: &mut Pass) -> Result<()> {
        let rows = batch.num_rows();
        if self.key.is_empty() || rows == 0 {
            return self.remember_refused(batch, pass);
        }
        let key = batch.project(&self.key).map_err(|_| self.broken())?;
        let within = same(&key.slice(0, rows - 1), &key.slice(1, rows - 1));
        let within = within.ok_or_else(|| self.broken())?;
        let group = self.group.take();
        let continues = match &group {
            Some(group) => {
                let before = group.row.project(&self.key).map_err(|_| self.broken())?;
                same(&before, &key.slice(0, 1)).ok_or_else(|| self.broken())?.value(0)
            }
            None => false,
        };
        let start = |row: usize| Group {
            row: batch.slice(row, 1),
            kept: None,
            refused: Vec::new(),
        };
        if !continues && within.true_count() == 0 && pass.cascading.is_empty() {
            if let Some(group) = group {
                self.close(&group)?;
            }
            let last = rows - 1;
            let kept = pass.kept[last].then(|| Stays {
                record: pass.record(last),
            });
            self.group = Some(Group { kept, ..start(last) });
            return Ok(());
        }
        let columns = self.key.iter().map(|at| batch.schema_ref().field(*at).name().clone());
        let columns = columns.collect::<Vec<_>>().join(", ");
        let grounds = Grounds {
            check: &format!("unique({columns})"),
            path: Some(&columns),
            reason: "an earlier row has the same key",
            cascades: true,
        };
        let mut group = group.unwrap_or_else(|| start(0));
        for row in 0..rows {
            let same = if row == 0 { continues } else { within.value(row - 1) };
            if !same {
                self.close(&group)?;
                group = start(row);
            }
            let record = pass.record(row);
            if pass.kept[row] && group.kept.is_some() {
                self.refuse(pass, row, grounds);
            } else if pass.kept[row] {
                group.kept = Some(Stays { record });
            }
            if pass.cascading.contains(&row) {
                group.refused.push(record);
            }
        }
        self.group = Some(group);
        Ok(())
    }

    /// Ends a group of rows with one key. If none of them is loaded, all dependants of this key are refused. If one is
    /// loaded, only dependants from a refused row's record are refused, unless the loaded row has the same record.
    fn close(&mut self, group: &Group) -> Result<()> {
        if group.refused.is_empty() {
            return Ok(());
        }
        for (columns, keys) in &mut self.children {
            let Some(key) = Texts::of(&group.row, columns)?.key(0) else {
                keys.nameless = true;
                continue;
            };
            match group.kept {
                None => {
                    keys.keys.insert(key);
                }
                Some(kept) => {
                    let others = group.refused.iter().filter(|record| **record != kept.record);
                    keys.of_records
                        .extend(others.filter_map(|record| Some(((*record)?, key.clone()))));
                }
            }
        }
        Ok(())
    }

    /// Remembers the refused rows of an entity without a key, where each row is a group by itself.
    fn remember_refused(&mut self, batch: &RecordBatch, pass: &Pass) -> Result<()> {
        if pass.cascading.is_empty() {
            return Ok(());
        }
        for (columns, keys) in &mut self.children {
            let texts = Texts::of(batch, columns)?;
            for row in &pass.cascading {
                match texts.key(*row) {
                    Some(key) => drop(keys.keys.insert(key)),
                    None => keys.nameless = true,
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, pass: &mut Pass, row: usize, grounds: Grounds) {
        pass.kept[row] = false;
        if grounds.cascades {
            pass.cascading.insert(row);
        }
        let record = pass.record(row).map(pass.locate);
        self.report.refusals.push(Refusal {
            entity: Some(self.entity.clone()),
            check: grounds.check.to_owned(),
            file: record.as_ref().and_then(|record| record.file.clone()),
            record: record.map(|record| record.number),
            path: grounds.path.map(str::to_owned),
            reason: grounds.reason.to_owned().into(),
            ..Refusal::default()
        });
    }

    fn broken(&self) -> Error {
        Error::batch(format!("the rows of {} can't be checked", self.entity))
    }
}
