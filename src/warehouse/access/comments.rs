//! Comments on tables and columns, for users who look at the database in psql or a BI tool. A comment is written only
//! where its text differs. Each table is one statement batch: COMMENT takes a SHARE UPDATE EXCLUSIVE lock, which
//! blocks neither readers nor COPY.

use std::collections::HashMap;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::Result;
use crate::warehouse::sql::{ENTITIES, READING, db_error, describe, ident, is_unreachable, literal};

/// Starts the generated part of a comment. Text before it is kept where the contract has no description.
const MARK: &str = "[lineage: ";

/// The wanted comment of one column, or of a table where `column` is `None`.
#[derive(Debug, Clone)]
pub struct Comment {
    /// A table of the schema `public`. The view of the same name for the reader role gets the same comment.
    pub table: String,
    pub column: Option<String>,
    pub description: Option<String>,
    /// Used where there is no description and no user has written a comment.
    pub fallback: Option<&'static str>,
    pub lineage: Option<String>,
}

// Column 0 is the table itself. Views are listed only where this program made them.
const CURRENT: &str = "
SELECT n.nspname::text, c.relname::text, a.attname::text, d.description
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT 0::int2, NULL::name WHERE c.relkind = 'p'
    UNION ALL
    SELECT x.attnum, x.attname FROM pg_catalog.pg_attribute x
    WHERE x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped
) a (attnum, attname)
LEFT JOIN pg_catalog.pg_description d
    ON d.objoid = c.oid AND d.objsubid = a.attnum AND d.classoid = 'pg_catalog.pg_class'::regclass
WHERE c.relname = ANY ($1) AND (
    (n.nspname = $2 AND (c.relkind = 'p' OR EXISTS (SELECT FROM pipeline.views v WHERE v.name = c.relname
        AND v.kind = CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized' END)))
    OR (n.nspname = $3 AND c.relkind = 'v'))
ORDER BY 1, 2, a.attnum";

/// Writes the comments that differ and returns how many. A comment that can't be written, because another role owns
/// the table or a session has it locked, is reported as a warning and tried again on the next run.
pub async fn apply(client: &Client, wanted: &[Comment]) -> Result<usize> {
    let tables: Vec<&str> = wanted.iter().map(|comment| comment.table.as_str()).collect();
    let parameters = [
        (&tables as _, Type::TEXT_ARRAY),
        (&ENTITIES as _, Type::TEXT),
        (&READING as _, Type::TEXT),
    ];
    let failed = |error: tokio_postgres::Error| db_error("the comments on the tables can't be read", &error);
    let rows = client.query_typed(CURRENT, &parameters).await.map_err(failed)?;
    let by_place: HashMap<(&str, Option<&str>), &Comment> = wanted
        .iter()
        .map(|comment| ((comment.table.as_str(), comment.column.as_deref()), comment))
        .collect();
    let mut statements: Vec<(String, Vec<String>)> = Vec::new();
    for row in &rows {
        let (schema, table, column): (&str, &str, Option<&str>) = (row.get(0), row.get(1), row.get(2));
        let current: Option<&str> = row.get(3);
        let Some(comment) = by_place.get(&(table, column)) else {
            continue;
        };
        let text = comment.text(current);
        if current.unwrap_or_default() == text {
            continue;
        }
        let name = format!("{}.{}", ident(schema), ident(table));
        let statement = match column {
            Some(column) => format!("COMMENT ON COLUMN {name}.{} IS {}", ident(column), literal(&text)),
            None => format!("COMMENT ON TABLE {name} IS {}", literal(&text)),
        };
        match statements.last_mut() {
            Some((known, of_table)) if *known == name => of_table.push(statement),
            _ => statements.push((name, vec![statement])),
        }
    }
    let mut written = 0;
    for (name, list) in statements {
        // All statements go in one simple-query message, which is one transaction. SET LOCAL ends with it.
        let sql = format!("SET LOCAL lock_timeout = '2s'; {}", list.join("; "));
        match client.batch_execute(&sql).await {
            Ok(()) => written += list.len(),
            Err(error) if is_unreachable(&error) => {
                return Err(db_error(format!("the comments on {name} can't be written"), &error));
            }
            Err(error) => tracing::warn!(
                table = name,
                error = describe(&error),
                "its comments could not be written"
            ),
        }
    }
    Ok(written)
}

impl Comment {
    /// The contract's description, else the comment that a user has written, followed by the generated part.
    fn text(&self, current: Option<&str>) -> String {
        let by_hand = current.map(|text| text.split(MARK).next().unwrap_or_default().trim_end());
        let description = self.description.as_deref().or(by_hand.filter(|text| !text.is_empty()));
        let description = description.or(self.fallback).unwrap_or_default();
        match &self.lineage {
            None => description.to_owned(),
            Some(lineage) if description.is_empty() => format!("{MARK}{lineage}]"),
            Some(lineage) => format!("{description} {MARK}{lineage}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_by_hand_stays_where_the_contract_is_silent() {
        let comment = |description: Option<&str>, lineage: Option<&str>| Comment {
            table: "t".to_owned(),
            column: Some("c".to_owned()),
            description: description.map(str::to_owned),
            fallback: None,
            lineage: lineage.map(str::to_owned),
        };
        let ours = comment(None, Some("a: x"));
        assert_eq!(ours.text(None), "[lineage: a: x]");
        assert_eq!(ours.text(Some("by hand")), "by hand [lineage: a: x]");
        assert_eq!(ours.text(Some("by hand [lineage: old]")), "by hand [lineage: a: x]");
        assert_eq!(ours.text(Some("[lineage: old]")), "[lineage: a: x]");
        assert_eq!(
            comment(Some("Said"), Some("a: x")).text(Some("by hand")),
            "Said [lineage: a: x]"
        );
        assert_eq!(comment(Some("Said"), None).text(Some("x [lineage: old]")), "Said");
        assert_eq!(comment(None, None).text(Some("kept")), "kept");
        let own = Comment {
            fallback: Some("Ours"),
            ..comment(None, Some("x"))
        };
        assert_eq!(own.text(None), "Ours [lineage: x]");
        assert_eq!(own.text(Some("by hand")), "by hand [lineage: x]");
    }
}
