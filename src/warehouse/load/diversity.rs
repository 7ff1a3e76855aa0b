//! Measures a view: how few persons share a combination of values (k), and how few values of another column they have
//! between them (l). Only numbers leave the database.

use tokio_postgres::Client;

use crate::error::Result;
use crate::warehouse::sql::{ENTITIES, ident, idents, qualified, rows_error, sqlstate};

/// What is to be measured of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub view: String,
    /// The columns whose combinations are counted. There is at least one.
    pub quasi: Vec<String>,
    /// The columns that tell persons apart. Without any, rows are counted, of which a person may have many.
    pub person: Vec<String>,
    /// The columns whose values are counted within each combination.
    pub others: Vec<String>,
}

/// The smallest numbers that were found. `None` where the view has no row with such values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversity {
    pub k: Option<u64>,
    /// For each of [`Measured::others`].
    pub l: Vec<Option<u64>>,
}

/// Measures a view that this program made. A combination of nulls only tells nothing and does not count.
pub async fn diversity(client: &Client, measured: &Measured) -> Result<Diversity> {
    let failed = |error: tokio_postgres::Error| {
        let told = rows_error(format!("the view {} can't be measured", measured.view), &error);
        match sqlstate(&error) {
            // There is no such view, or it has not the columns of its file yet.
            Some("42P01" | "42703") => told.hint("`pipeline views` makes the views as the files of `sql` have them"),
            _ => told,
        }
    };
    let quasi = idents(&measured.quasi);
    let persons = if measured.person.is_empty() {
        "pg_catalog.count(*)".to_owned()
    } else {
        format!("pg_catalog.count(DISTINCT ROW({}))", idents(&measured.person))
    };
    let count = |(at, column): (usize, &String)| format!(", pg_catalog.count(DISTINCT {}) AS l{at}", ident(column));
    let counts: Vec<String> = measured.others.iter().enumerate().map(count).collect();
    let counts = counts.concat();
    let least: Vec<String> = (0..measured.others.len())
        .map(|at| format!(", pg_catalog.min(l{at})"))
        .collect();
    let least = least.concat();
    let sql = format!(
        "SELECT pg_catalog.min(k){least} FROM (SELECT {persons} AS k{counts} FROM {} \
         WHERE pg_catalog.num_nonnulls({quasi}) > 0 GROUP BY {quasi}) g",
        qualified(ENTITIES, &measured.view)
    );
    let row = client.query_typed_one(&sql, &[]).await.map_err(failed)?;
    let number = |at: usize| {
        let number = row.try_get::<_, Option<i64>>(at).map_err(failed)?;
        Ok(number.map(i64::unsigned_abs))
    };
    Ok(Diversity {
        k: number(0)?,
        l: (1..=measured.others.len()).map(number).collect::<Result<_>>()?,
    })
}
