//! Finds the rows of one person: those where a column holds what the person's id became, and those below them. It makes
//! SQL and counts with it. A value that a table holds in clear is never sent: the server hashes the column with a salt
//! and compares the hashes.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::error::Result;
use crate::model::{Batch, Entity, PgType};
use crate::warehouse::sql::{ENTITIES, ident, literal, qualified, rows_error};

/// How many batches a query looks through at once: each partition takes locks.
const BATCHES: usize = 50;

/// What a column holds of a person.
#[derive(Clone, PartialEq, Eq)]
pub struct Mark {
    pub column: String,
    text: String,
    /// The text may stand in a statement, since it is a mask's.
    masked: bool,
}

impl Mark {
    /// What a column of this type holds. `None`: values of the type have no text that could be compared.
    pub fn new(column: &str, pg_type: PgType, text: &str, masked: bool) -> Option<Self> {
        let text = match pg_type {
            PgType::Text | PgType::Varchar(_) => text.to_owned(),
            PgType::Uuid => text.to_lowercase().replace(['-', '{', '}'], ""),
            PgType::Numeric(_) if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Numeric(_) | PgType::Bool | PgType::Date => {
                text.to_owned()
            }
            _ => return None,
        };
        Some(Self {
            column: column.to_owned(),
            text,
            masked: masked && matches!(pg_type, PgType::Text | PgType::Varchar(_)),
        })
    }

    fn condition(&self, table: &str, pg_type: PgType, salt: &str) -> String {
        let column = format!("{table}.{}", ident(&self.column));
        if self.masked {
            return format!("{column} = {}", literal(&self.text));
        }
        let text = match pg_type {
            PgType::Uuid => format!("pg_catalog.replace({column}::text, '-', '')"),
            PgType::Numeric(_) => format!("pg_catalog.trim_scale({column})::text"),
            _ => format!("{column}::text"),
        };
        let hash = hex::encode(Sha256::digest(format!("{salt}{}", self.text)));
        format!(
            "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({} || {text}, 'UTF8')), 'hex') = {}",
            literal(salt),
            literal(&hash)
        )
    }
}

impl std::fmt::Debug for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mark({})", self.column)
    }
}

/// Rows of one entity that belong to rows of another, which have the same values in these columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub entity: String,
    pub above: String,
    pub columns: Vec<String>,
    /// The row above may be in another batch of the source.
    pub across: bool,
}

/// How to find a person's rows in some batches of a source that were loaded alike.
#[derive(Debug, Clone)]
pub struct Search {
    pub source: String,
    pub dates: Vec<NaiveDate>,
    /// By entity.
    pub marks: BTreeMap<String, Vec<Mark>>,
    pub links: Vec<Link>,
    /// Random, and used once.
    pub salt: String,
}

/// Rows of one entity in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub batch: Batch,
    pub entity: String,
    pub rows: u64,
}

impl Search {
    /// Whether rows of the entity can be found at all.
    pub fn reaches(&self, entities: &[Entity], entity: &str) -> bool {
        self.condition(entities, entity, "", &mut Vec::new()).is_some()
    }

    /// Counts the person's rows of every entity and batch; those without any are left out.
    ///
    /// # Errors
    /// A table can't be read.
    pub async fn count(&self, client: &Client, entities: &[Entity]) -> Result<Vec<Found>> {
        self.count_beside(client, entities, &[]).await
    }

    /// The same without the rows that other searches find.
    ///
    /// # Errors
    /// A table can't be read.
    pub async fn count_beside(&self, client: &Client, entities: &[Entity], others: &[Self]) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for entity in entities {
            for dates in self.dates.chunks(BATCHES) {
                let Some(rows) = self.rows(entities, &entity.name, dates) else {
                    continue;
                };
                let beside = others
                    .iter()
                    .filter_map(|other| other.is_none_of(entities, &entity.name, &self.source));
                let beside: String = beside.collect();
                let failed =
                    |error: tokio_postgres::Error| rows_error(format!("{} can't be searched", entity.name), &error);
                let sql =
                    format!("SELECT t0.batch_date, pg_catalog.count(*) FROM {rows}{beside} GROUP BY 1 ORDER BY 1");
                for row in client.query_typed(&sql, &[]).await.map_err(failed)? {
                    found.push(Found {
                        batch: Batch {
                            source: self.source.clone(),
                            date: row.try_get(0).map_err(failed)?,
                        },
                        entity: entity.name.clone(),
                        rows: row.try_get::<_, i64>(1).map_err(failed)?.unsigned_abs(),
                    });
                }
            }
        }
        Ok(found)
    }

    /// The condition that a row `t0` of a source is none that is found. `None`: no row of the entity is.
    fn is_none_of(&self, entities: &[Entity], entity: &str, source: &str) -> Option<String> {
        if self.source != source {
            return None;
        }
        let dates = array(&self.dates);
        let condition = self.condition(entities, entity, &dates, &mut Vec::new())?;
        Some(format!(
            " AND (t0.batch_date = ANY ({dates}) AND {condition}) IS NOT TRUE"
        ))
    }

    /// The columns of an entity that are searched.
    pub fn columns(&self, entity: &str) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for mark in self.marks.get(entity).into_iter().flatten() {
            if !columns.contains(&mark.column) {
                columns.push(mark.column.clone());
            }
        }
        columns
    }

    /// The statement that deletes the person's rows of an entity in one batch. Rows below must go first.
    pub fn delete(&self, entities: &[Entity], entity: &str, date: NaiveDate) -> Option<String> {
        Some(format!("DELETE FROM {}", self.rows(entities, entity, &[date])?))
    }

    /// `table t0 WHERE ...`
    fn rows(&self, entities: &[Entity], entity: &str, dates: &[NaiveDate]) -> Option<String> {
        let dates = array(dates);
        let condition = self.condition(entities, entity, &dates, &mut Vec::new())?;
        Some(format!(
            "{} t0 WHERE t0.source = {} AND t0.batch_date = ANY ({dates}) AND {condition}",
            qualified(ENTITIES, entity),
            literal(&self.source),
        ))
    }

    /// The condition on `t<n>`, where n entities are below. `None`: nothing leads from the entity to the person.
    fn condition<'a>(
        &'a self,
        entities: &[Entity],
        name: &'a str,
        dates: &str,
        below: &mut Vec<&'a str>,
    ) -> Option<String> {
        let entity = entities.iter().find(|entity| entity.name == name)?;
        let table = format!("t{}", below.len());
        let marks = self.marks.get(name).map_or(&[][..], Vec::as_slice);
        let of_mark = |mark: &Mark| {
            let column = entity.columns.iter().find(|column| column.name == mark.column)?;
            Some(mark.condition(&table, column.pg_type, &self.salt))
        };
        let mut any: Vec<String> = marks.iter().filter_map(of_mark).collect();
        below.push(name);
        for link in self.links.iter().filter(|link| link.entity == name) {
            // A row with the person's own id in such a column is found by it.
            let direct = marks.iter().any(|mark| link.columns.contains(&mark.column));
            if !direct && !below.contains(&link.above.as_str()) {
                any.extend(self.under(entities, link, &table, dates, below));
            }
        }
        below.pop();
        (!any.is_empty()).then(|| format!("({})", any.join(" OR ")))
    }

    fn under<'a>(
        &'a self,
        entities: &[Entity],
        link: &'a Link,
        table: &str,
        dates: &str,
        below: &mut Vec<&'a str>,
    ) -> Option<String> {
        let entity = entities.iter().find(|entity| entity.name == link.above)?;
        let all = array(&self.dates);
        let dates = if link.across { all.as_str() } else { dates };
        let condition = self.condition(entities, &link.above, dates, below)?;
        let above = format!("t{}", below.len());
        let columns = |table: &str| {
            let date = (!link.across).then(|| format!("{table}.batch_date"));
            let columns = link.columns.iter().map(|column| format!("{table}.{}", ident(column)));
            date.into_iter().chain(columns).collect::<Vec<_>>().join(", ")
        };
        let from = format!(
            "{} {above} WHERE {above}.source = {}",
            qualified(ENTITIES, &link.above),
            literal(&self.source)
        );
        let theirs = format!(
            "({}) IN (SELECT {} FROM {from} AND {above}.batch_date = ANY ({dates}) AND {condition})",
            columns(table),
            columns(&above)
        );
        let is_key = !entity.key.is_empty() && entity.key.iter().all(|column| link.columns.contains(column));
        if is_key && !link.across {
            return Some(theirs);
        }
        // Somebody else's row has the same values, so the row below is not this person's alone.
        let same = link.columns.iter().map(|column| {
            let column = ident(column);
            format!(" AND {above}.{column} = {table}.{column}")
        });
        let beside = if link.across {
            format!("{above}.batch_date = ANY ({dates})")
        } else {
            format!("{above}.batch_date = {table}.batch_date")
        };
        Some(format!(
            "({theirs} AND NOT EXISTS (SELECT FROM {from} AND {beside}{} AND {condition} IS NOT TRUE))",
            same.collect::<String>()
        ))
    }
}

fn array(dates: &[NaiveDate]) -> String {
    let dates: Vec<String> = dates.iter().map(ToString::to_string).collect();
    format!("'{{{}}}'::date[]", dates.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_table_holds_in_clear_is_never_sent() {
        let mark = Mark::new("id", PgType::Text, "Quillon", false).unwrap();
        let condition = mark.condition("t0", PgType::Text, "salt");
        assert!(
            !condition.contains("Quillon") && condition.contains("sha256"),
            "{condition}"
        );
        assert!(!format!("{mark:?}").contains("Quillon"));
        let masked = Mark::new("id", PgType::Text, "5d34", true).unwrap();
        assert_eq!(masked.condition("t0", PgType::Text, "salt"), "t0.\"id\" = '5d34'");
    }

    #[test]
    fn a_value_is_compared_as_the_server_writes_it() {
        let text = |pg_type, text: &str| Mark::new("c", pg_type, text, true).map(|mark| mark.text);
        assert_eq!(text(PgType::Numeric(None), "12.50").as_deref(), Some("12.5"));
        assert_eq!(text(PgType::Numeric(None), "1200").as_deref(), Some("1200"));
        assert_eq!(text(PgType::Uuid, "{AB-12}").as_deref(), Some("ab12"));
        assert_eq!(text(PgType::Jsonb, "1"), None);
    }
}
