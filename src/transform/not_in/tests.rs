//! What is refused, and that the engine is wrong still.

use datafusion::prelude::SessionContext;

use super::*;
use crate::transform::parse;

fn refused(sql: &str) -> Option<(String, u64, u64)> {
    let session = SessionContext::new().state();
    let statement = parse::statement(&session, sql).unwrap();
    let query = crate::transform::ast::query(&statement).expect("a query").clone();
    let found = in_query(&query)?;
    Some((found.message, found.span.start.line, found.span.start.column))
}

#[test]
fn every_form_is_refused_at_its_place() {
    for (sql, place) in [
        ("select 1 from t where x not in (select y from u)", "x not in"),
        (
            "select 1 from t where a = 1\n and (b or not (x in (select y from u)))",
            "x in",
        ),
        (
            "select case when x not in (select y from u) then 1 end from t",
            "x not in",
        ),
        (
            "with c as (select 1 from t where x not in (select y from u)) select * from c",
            "x not in",
        ),
        (
            "select 1 from (select 1 from t where exists (select 1 from v where x not in (select y from u)))",
            "x not in",
        ),
        ("select 1 from t where x <> all (select y from u)", "x <> all"),
        ("select 1 from t where not (x = any (select y from u))", "x = any"),
        ("select x in (select y from u) as v from t", "x in"),
        ("select 1 from t where (x in (select y from u)) is not true", "x in"),
        ("select 1 from t where (x in (select y from u)) = false", "x in"),
        ("select 1 from t join v on t.x not in (select y from u)", "t.x not in"),
        (
            "select 1 from t union all select 1 from t where x not in (select y from u)",
            "x not in",
        ),
        ("select 1 from t order by x not in (select y from u)", "x not in"),
        (
            "select count(*) filter (where x not in (select y from u)) from t",
            "x not in",
        ),
    ] {
        let (message, line, column) = refused(sql).unwrap_or_else(|| panic!("{sql} passes"));
        assert!(message.contains("DataFusion 55"), "{message}");
        let line = sql.lines().nth(usize::try_from(line).unwrap() - 1).unwrap();
        let here = &line[usize::try_from(column).unwrap() - 1..];
        assert!(here.starts_with(place), "{sql}: {here}");
    }
}

#[test]
fn what_is_right_passes() {
    for sql in [
        "select 1 from t where x not in (1, 2, null)",
        "select 1 from t where x in (select y from u)",
        "select 1 from t where a = 1 and (x in (select y from u) or b)",
        "select case when x in (select y from u) then 1 else 2 end from t",
        "select 1 from t where not exists (select 1 from u where y = x)",
        "select 1 from t where x = any (select y from u)",
        "select 1 from t where x > all (select y from u)",
        "select 1 from t where x = all (make_array(1, 2))",
    ] {
        assert!(refused(sql).is_none(), "{sql} is refused: {:?}", refused(sql));
    }
}

async fn rows(sql: &str) -> usize {
    let context = SessionContext::new();
    let tables = "with o as (select * from (values (1, 10), (2, 20), (3, 30), (4, 40)) as o (id, g)),
                       i as (select * from (values (3, 20), (cast(null as bigint), 20), (7, 10)) as i (v, g)) ";
    let rows = context
        .sql(&format!("{tables}{sql}"))
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    rows.iter().map(datafusion::arrow::array::RecordBatch::num_rows).sum()
}

/// The day this fails, DataFusion is right: take the refusal out, with its docs.
#[tokio::test]
async fn the_engine_is_wrong_still() {
    // 5 is in no way known not to be among 3, null and 7: no row is right.
    let uncorrelated = rows("select id from o where 5 not in (select i.v from i)").await;
    // Of o, 2 has 3 and null, so that only 1, 3 and 4 are right.
    let correlated = rows("select id from o where 3 not in (select i.v from i where i.g = o.g)").await;
    let negated = rows("select id from o where not (5 in (select i.v from i))").await;
    // 1, 2 and 4 are neither known to be among them nor known not to be.
    let value = rows("select id from o where (id in (select i.v from i)) is null").await;
    assert_ne!(value, 3, "right now: DataFusion's IN as a value may be allowed again");
    assert_ne!(
        negated, 0,
        "right now: DataFusion's NOT (... IN ...) may be allowed again"
    );
    assert_ne!(
        (uncorrelated, correlated),
        (0, 3),
        "right now: DataFusion's NOT IN may be allowed again"
    );
}

/// Forms that pass.
#[tokio::test]
async fn the_engine_is_right_where_only_true_counts() {
    for (right, condition) in [
        (1, "id in (select i.v from i)"),
        (2, "id in (select i.v from i) or id = 1"),
        (1, "case when id in (select i.v from i) then true else false end"),
        (0, "id + 10 > all (select i.v from i)"),
        (4, "id + 4 > any (select i.v from i)"),
    ] {
        let found = rows(&format!("select id from o where {condition}")).await;
        assert_eq!(found, right, "{condition}");
    }
}
