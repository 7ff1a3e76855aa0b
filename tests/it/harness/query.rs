//! Reads rows with `pipeline query`, which works on both kinds of database.
use super::{Database, Project};

impl Project {
    /// The rows of a query. Cells are joined by commas, as `--output csv` prints them.
    pub fn query(&self, sql: &str) -> Vec<String> {
        let answer = self.run(&["query", sql, "--output", "csv"]).code(0);
        answer.stdout.lines().skip(1).map(str::to_owned).collect()
    }
}

/// The number of rows of each batch in each of these tables.
pub fn counts_by_batch(entities: &[&str]) -> String {
    let selects: Vec<String> = entities
        .iter()
        .map(|entity| {
            format!(
                "select source, batch_date::text as date, '{entity}' as entity, count(*)::int as rows from {entity} group by 1, 2"
            )
        })
        .collect();
    format!("{} order by 1, 2, 3", selects.join(" union all "))
}

/// A query that returns a single text. The text changes if any row of the four tables changes.
pub const CONTENT: &str = "select md5(string_agg(row, E'\\n' order by row)) from (
    select 'p' || t::text as row from patients t union all select 'v' || t::text from visits t
    union all select 'd' || t::text from diagnoses t union all select 't' || t::text from treatments t) as rows";

impl Database {
    pub fn content(&self) -> String {
        self.value(CONTENT)
    }
}
