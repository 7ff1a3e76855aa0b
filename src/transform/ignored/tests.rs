//! What is refused, where, and that the engine ignores it still.

use datafusion::prelude::SessionContext;

use super::*;
use crate::transform::parse;

fn context() -> SessionContext {
    SessionContext::new()
}

fn found(context: &SessionContext, sql: &str) -> Option<Found> {
    let session = context.state();
    let statement = parse::statement(&session, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let query = crate::transform::ast::query(&statement).expect("a query").clone();
    in_query(&session, sql, &query)
}

/// SQL with a clause, the clause as the message names it, and the place that the message shows.
const IGNORED: &[(&str, &str, &str)] = &[
    ("select x from t tablesample (10 percent)", "TABLESAMPLE", "tablesample"),
    ("select x from t sample 0.1", "SAMPLE", "sample"),
    (
        "with c as (select x from t tablesample bernoulli (1)) select x from c",
        "TABLESAMPLE",
        "tablesample",
    ),
    (
        "select x from (select x from t) as d tablesample (1 rows)",
        "TABLESAMPLE",
        "tablesample",
    ),
    ("select x from t\nfor update", "FOR UPDATE", "for update"),
    ("select x from t for share skip locked", "FOR SHARE", "for share"),
    (
        "select x from t where x in (select y from t for update)",
        "FOR UPDATE",
        "for update",
    ),
    ("select x from t for json auto", "FOR JSON", "for json"),
    ("select x from t for xml raw", "FOR XML", "for xml"),
    ("select x from t for browse", "FOR BROWSE", "for browse"),
    ("select x from t settings max_threads = 1", "SETTINGS", "settings"),
    ("select x from t format csv", "FORMAT", "format"),
    ("select x from t prewhere x > 1", "PREWHERE", "prewhere"),
    ("select x from t connect by prior x = y", "CONNECT BY", "connect by"),
    ("select x into u from t", "INTO", "into"),
    ("select x from t union select x into u from t", "INTO", "into"),
    (
        "select x, count(*) from t group by x with rollup",
        "WITH ROLLUP",
        "with rollup",
    ),
    (
        "select x, count(*) from t group by x with cube",
        "WITH CUBE",
        "with cube",
    ),
    (
        "select x, count(*) from t group by x with totals",
        "WITH TOTALS",
        "with totals",
    ),
    (
        "select x, count(*) from t group by all with totals",
        "WITH TOTALS",
        "with totals",
    ),
    ("select x from t with (nolock)", "WITH", "with"),
    ("select x from t partition (p)", "PARTITION", "partition"),
    ("select x from t with ordinality", "WITH ORDINALITY", "with ordinality"),
    (
        "select x from t as u (x int)",
        "the type of a column of an alias",
        "x int",
    ),
    ("select upper(x) over (order by x) from t", "OVER", "over"),
    ("select upper(x) filter (where x > 1) from t", "FILTER", "filter"),
    ("select upper(distinct x) from t", "DISTINCT", "distinct"),
    ("select upper(x order by x) from t", "ORDER BY", "order by"),
    (
        "select upper(x) within group (order by x) from t",
        "WITHIN GROUP",
        "within group",
    ),
    ("select upper(x) ignore nulls from t", "NULLS", "nulls"),
    (
        "select array_any_value(x) filter (where x is null) from t",
        "FILTER",
        "filter",
    ),
    ("select rank() ignore nulls over (order by x) from t", "NULLS", "nulls"),
    (
        "select row_number() filter (where x > 1) over (order by x) from t",
        "FILTER",
        "filter",
    ),
    (
        "select lag(distinct x) over (order by x) from t",
        "DISTINCT",
        "distinct",
    ),
    ("select corr(distinct x, y) from t", "DISTINCT", "distinct"),
    ("select nth_value(distinct x, 2) from t", "DISTINCT", "distinct"),
    ("select regr_slope(distinct x, y) from t", "DISTINCT", "distinct"),
    (
        "select quantile(0.5)(x) from t",
        "a second list of arguments",
        "quantile",
    ),
    (
        "select x from t qualify sum(x) over w > 1 window w as (order by x)",
        "OVER",
        "over w",
    ),
    (
        "select x from t window w as (order by x) order by sum(x) over w",
        "OVER",
        "over w",
    ),
    (
        "select cast(x as varchar(3)) from t",
        "the length of VARCHAR(3)",
        "x as",
    ),
    ("select x::char(3) from t", "the length of CHAR(3)", "x"),
    (
        "select try_cast(x as varchar(3)) from t",
        "the length of VARCHAR(3)",
        "x as",
    ),
];

#[test]
fn each_clause_is_refused_at_its_place() {
    let context = context();
    for (sql, name, place) in IGNORED {
        let found = found(&context, sql).unwrap_or_else(|| panic!("{sql} passes"));
        assert_eq!(found.message.split(" can't").next(), Some(*name), "{sql}");
        let start = found.span.start;
        let line = sql.lines().nth(usize::try_from(start.line).unwrap() - 1).unwrap();
        let here = &line[usize::try_from(start.column).unwrap() - 1..];
        assert!(here.starts_with(place), "{sql}: {here}");
    }
}

#[test]
fn what_the_engine_heeds_passes() {
    let context = context();
    for sql in [
        "select x from t limit 1 offset 2",
        "select distinct on (x) x, y from t order by x, y",
        "select x from t qualify row_number() over (order by x) = 1",
        "select sum(x) over w as s from t window w as (order by x)",
        "select x, count(*) from t group by rollup (x)",
        "select x, count(*) from t group by grouping sets ((x), ())",
        "select count(*) filter (where x > 1), count(distinct x), array_agg(x order by x) from t",
        "select sum(x) filter (where x > 1) over (order by x) from t",
        "select first_value(x) ignore nulls over (order by x) from t",
        "select lag(x) ignore nulls over (order by x) from t",
        "select percentile_cont(0.5) within group (order by x) from t",
        "from t select x",
        "select cast(x as varchar), x::text, cast(x as decimal(4, 1)) from t",
        "with c (a) as (select x from t) select a from c as d (b)",
        "select x from t where exists (select 1 from t as u where u.x = t.x)",
    ] {
        if let Some(found) = found(&context, sql) {
            panic!("{sql}: {}", found.message);
        }
    }
}

/// Of each pair, the plans are the same, with the clause and without. Where they no longer are, the clause may be taken off
/// the list.
#[tokio::test]
async fn the_engine_ignores_them_still() {
    let context = context();
    for table in ["create table t (x int, y int) as values (1, 2)"] {
        context.sql(table).await.unwrap();
    }
    for (with, without) in [
        ("select x from t tablesample (10 percent)", "select x from t"),
        ("select x from t for update", "select x from t"),
        ("select x from t for json auto", "select x from t"),
        ("select x from t settings max_threads = 1", "select x from t"),
        ("select x from t format csv", "select x from t"),
        ("select x from t prewhere x > 1", "select x from t"),
        ("select x from t connect by prior x = y", "select x from t"),
        (
            "select x, count(*) from t group by x with rollup",
            "select x, count(*) from t group by x",
        ),
        ("select x from t with (nolock)", "select x from t"),
        ("select abs(x) over (order by x) from t", "select abs(x) from t"),
        ("select abs(x) filter (where x > 1) from t", "select abs(x) from t"),
        ("select abs(distinct x) from t", "select abs(x) from t"),
        (
            "select sum(x) as s from t window w as (order by x) order by sum(x) over w",
            "select sum(x) as s from t order by sum(x)",
        ),
        (
            "select cast(x as varchar(3)) from t",
            "select cast(x as varchar) from t",
        ),
    ] {
        let plan = async |sql: &str| {
            let session = context.state();
            let statement = parse::statement(&session, sql).unwrap();
            let plan = session.statement_to_plan(statement).await;
            plan.unwrap_or_else(|error| panic!("{sql}: {error}"))
                .display_indent()
                .to_string()
        };
        assert_eq!(plan(with).await, plan(without).await, "{with}");
    }
}
