//! What could not be searched for a person, and why.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::model::{Batch, Project, Source};
use crate::run::LeftTable;
use crate::run::fingerprint::sql_fingerprint;
use crate::run::suppression::holds_persons;
use crate::warehouse::masks::{Live, LiveBatch};

/// Rows that may be the person's and can't be looked through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsearched {
    pub source: String,
    /// Empty: all dates.
    pub dates: Vec<NaiveDate>,
    /// `None`: all tables.
    pub entity: Option<String>,
    pub why: String,
    pub remedy: Option<String>,
}

/// The live batches that no source explains: those of sources that are gone or renamed, and those of kinds without a subject.
pub(super) fn foreign(project: &Project, live: &Live) -> Vec<Unsearched> {
    let mut dates: BTreeMap<&str, Vec<NaiveDate>> = BTreeMap::new();
    for LiveBatch {
        batch: Batch { source, date },
        ..
    } in &live.batches
    {
        dates.entry(source).or_default().push(*date);
    }
    let mut told = Vec::new();
    for (name, dates) in dates {
        let mut add = |why: String, remedy: &str| {
            told.push(Unsearched {
                source: name.to_owned(),
                dates: dates.clone(),
                entity: None,
                why,
                remedy: Some(remedy.to_owned()),
            });
        };
        match project.source(name) {
            Ok(source) if source.name == name => {
                let nobodys = source.kinds.iter().filter(|kind| kind.subject.is_none());
                for kind in nobodys.filter(|kind| holds_persons(kind)) {
                    let who = match kind.prefix() {
                        "" => "the source".to_owned(),
                        name => format!("the kind {name}"),
                    };
                    add(
                        format!("{who} names no subject"),
                        "name it: `subject: patient_id`, beside `schema`",
                    );
                }
            }
            Ok(source) => add(
                format!(
                    "the source has the name {} by now, so these batches are not looked through",
                    source.name
                ),
                "`pipeline drop` with the old name removes a batch",
            ),
            Err(_) => add(
                "the source is no longer in the project".to_owned(),
                "`pipeline drop` removes a batch; its file in `pipelines` brings the source back",
            ),
        }
    }
    told
}

/// The tables that hold rows and are no entity of the project any more.
pub(super) fn left(tables: &[LeftTable]) -> Vec<Unsearched> {
    let mut told = Vec::new();
    for LeftTable { table, batches } in tables {
        let mut dates: BTreeMap<&str, Vec<NaiveDate>> = BTreeMap::new();
        for Batch { source, date } in batches {
            dates.entry(source).or_default().push(*date);
        }
        told.extend(dates.into_iter().map(|(source, dates)| Unsearched {
            source: source.to_owned(),
            dates,
            entity: Some(table.clone()),
            why: "the table is no longer in pipeline.yaml".to_owned(),
            remedy: Some(
                "`drop table` in a migration removes it, `pipeline drop` one batch from it; back in pipeline.yaml, it is \
                 searched"
                    .to_owned(),
            ),
        }));
    }
    told
}

/// The live batches of a source that other SQL has loaded than that by which they are searched. What is found in them is the
/// person's, and there may be more. `None`: there is none.
pub(super) fn by_other_sql(source: &Source, live: &Live) -> Option<Unsearched> {
    let today = sql_fingerprint(source);
    let others = live
        .batches
        .iter()
        .filter(|one| one.batch.source == source.name && one.sql.as_ref() != Some(&today));
    let dates: Vec<NaiveDate> = others.map(|one| one.batch.date).collect();
    (!dates.is_empty()).then(|| Unsearched {
        source: source.name.clone(),
        dates,
        entity: None,
        why: "loaded by other SQL than that of today, or by an older version, so not all that it holds of the person may \
              be found"
            .to_owned(),
        remedy: Some(
            "`pipeline run` loads these batches by the SQL of today; once the person is on the suppression list, without \
             the person"
                .to_owned(),
        ),
    })
}

impl Unsearched {
    /// For receipts and for JSON output.
    pub fn as_json(&self) -> Value {
        json!({
            "source": self.source,
            "dates": self.dates.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "table": self.entity,
            "why": self.why,
            "remedy": self.remedy,
        })
    }
}
