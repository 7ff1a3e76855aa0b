//! Tests of views that read other views, and of SQL that DataFusion can't plan.

use super::*;
use crate::model::{View, ViewKind};

async fn of(views: Vec<View>) -> ProjectLineage {
    let sql = "SELECT id, city, hiv FROM source";
    let tables = vec![entity("people", "id, city, hiv"), entity("labs", "id, code, day:date")];
    let source = source("s", "id, city, hiv", &[("people", sql)]);
    lineage(&project(tables, vec![source], views)).await
}

fn a_view(name: &str, sql: &str) -> View {
    view(ViewKind::View, name, sql)
}

#[tokio::test]
async fn a_view_over_a_view_is_followed_through() {
    let lineage = of(vec![
        a_view("above", "select c as d, count(*) from below where c <> '' group by 1;"),
        a_view("below", "select city as c, hiv from people where hiv = 'pos'"),
    ])
    .await;
    assert_eq!(
        shown_view(&lineage, "above.d"),
        "people.city | people.hiv people.(rows)"
    );
    assert_eq!(
        shown_view(&lineage, "above.count"),
        "| people.city people.hiv people.(rows)"
    );
    assert_eq!(shown_view(&lineage, "below.hiv"), "people.hiv | people.(rows)");
}

#[tokio::test]
async fn what_can_not_be_planned_counts_whole() {
    let people = "people.batch_date people.city people.hiv people.id people.source | people.(rows)";
    let both = "labs.batch_date labs.code labs.day labs.id labs.source \
                people.batch_date people.city people.hiv people.id people.source | labs.(rows) people.(rows)";
    let lineage = of(vec![
        a_view("whole_row", "select p as row_of, id from people p"),
        a_view("sideways", "select x.id, string_agg(pg_typeof(x)::text, ',') as t from people, lateral (select * from labs where labs.id = people.id) x group by 1"),
        a_view("above", "select id as same from sideways"),
        a_view("broken", "select from where people"),
        a_view("aside", "select * from whole_row, generate_subscripts(array[1], 1)"),
    ])
    .await;
    assert_eq!(shown_view(&lineage, "whole_row.id"), format!("{people} approximate"));
    assert_eq!(shown_view(&lineage, "sideways.t"), format!("{both} approximate"));
    // The view itself can be planned, but it reads a view that can't be.
    assert_eq!(shown_view(&lineage, "above.same"), format!("{both} approximate"));
    assert_eq!(shown_view(&lineage, "broken.*"), format!("{people} approximate"));
    assert_eq!(shown_view(&lineage, "aside.*"), format!("{people} approximate"));
}

#[tokio::test]
async fn views_that_name_each_other_end() {
    let lineage = of(vec![
        a_view("one", "select pg_typeof(two) from two"),
        a_view("two", "select pg_typeof(one), id from people, one"),
    ])
    .await;
    let people = "people.batch_date people.city people.hiv people.id people.source | people.(rows)";
    assert_eq!(shown_view(&lineage, "one.pg_typeof"), format!("{people} approximate"));
    assert_eq!(shown_view(&lineage, "two.id"), format!("{people} approximate"));
}

#[tokio::test]
async fn functions() {
    let function = |name: &str, sql: &str| view(ViewKind::Function, name, sql);
    let lineage = of(vec![
        function(
            "by_city",
            "create function by_city(wanted text, n int) returns table (who text, rows bigint) language sql as $$
            select id, count(*) from people where city = wanted group by id limit n $$",
        ),
        // As in PostgreSQL, the column wins over the parameter of the same name.
        function(
            "shadowed",
            "create or replace function shadowed(hiv text) returns setof text language sql as $$
            select id from people where hiv = 'pos' $$",
        ),
        function(
            "scalar",
            "create function scalar() returns text language sql as 'select max(city) from people'",
        ),
        function(
            "procedural",
            "create function procedural() returns setof people language plpgsql as $$
            begin return query execute 'select * from labs'; end $$",
        ),
        a_view("uses", "select f.who from by_city('x', 1) f"),
    ])
    .await;
    assert_eq!(
        shown_view(&lineage, "by_city.who"),
        "people.id | people.city people.(rows)"
    );
    assert_eq!(
        shown_view(&lineage, "by_city.rows"),
        "| people.city people.id people.(rows)"
    );
    assert_eq!(
        shown_view(&lineage, "shadowed.shadowed"),
        "people.id | people.hiv people.(rows)"
    );
    assert_eq!(shown_view(&lineage, "scalar.scalar"), "people.city | people.(rows)");
    let both = "labs.batch_date labs.code labs.day labs.id labs.source \
                people.batch_date people.city people.hiv people.id people.source | labs.(rows) people.(rows) approximate";
    assert_eq!(shown_view(&lineage, "procedural.*"), both);
    assert_eq!(
        shown_view(&lineage, "uses.who"),
        "people.id | people.city people.(rows) approximate"
    );
}

#[tokio::test]
async fn rows_of_a_table_lead_to_what_decides_on_them() {
    let transform = "SELECT city AS id, 'x' AS city, 'y' AS hiv FROM source WHERE hiv = 'pos'";
    let tables = vec![entity("people", "id, city, hiv")];
    let views = vec![a_view("counted", "select count(*) as n from people")];
    let lineage = lineage(&project(
        tables,
        vec![source("s", "id, city, hiv", &[("people", transform)])],
        views,
    ))
    .await;
    assert_eq!(shown_view(&lineage, "counted.n"), "| people.(rows)");
    let fields: Vec<_> = lineage.fields_of(&lineage.views[0]).into_iter().collect();
    assert_eq!(fields, [(("s", "hiv"), Dependence::Indirect)]);
}

/// PostgreSQL takes another column than DataFusion would for one of the names.
#[tokio::test]
async fn names_that_postgresql_resolves_otherwise_are_not_planned() {
    let hidden = "(select id, day, batch_date from labs) x";
    let unlike = [
        format!("select day as batch_date, id from {hidden} order by case when batch_date > date '2026-05-03' then 1 end"),
        format!("select day as batch_date, id from {hidden} order by (batch_date, 1)"),
        format!("(select day as batch_date, id from {hidden}) order by coalesce(batch_date, batch_date)"),
        "select max(day) as batch_date, id from labs group by labs.batch_date, id having batch_date > date '2026-05-03'".to_owned(),
        "select min(day) as batch_date from labs group by labs.batch_date, (batch_date > date '2026-05-03')".to_owned(),
        "select distinct on (id) 'x' as id, code from labs order by id, batch_date desc".to_owned(),
        "select w.id from labs w where exists (select 1 from (select batch_date as bd, id from labs) v, \
         unnest(array[date '2026-05-03']) as batch_date where v.bd = batch_date and v.id = w.id)".to_owned(),
        "select w.id from labs w where exists (select 1 from (select batch_date as bd, id from labs) v, \
         generate_series(1, 2) batch_date where v.bd = batch_date and v.id = w.id)".to_owned(),
        "select (select max(tableoid) from labs v where v.id = o.id) from (select id, 0 as tableoid from labs) o".to_owned(),
        "select (select max from (select max(batch_date) from labs v where v.id = o.id) s) \
         from (select id, 0 as max from labs) o".to_owned(),
        "select (select \"v.day\" from (select cast(v.day as text) from labs v) s) \
         from (select id, batch_date as \"v.day\" from labs) o".to_owned(),
        "with c (a, b, d, e, f) as (select * from labs) select d from c".to_owned(),
        "select c.d from labs as c (a, b, d, e, f)".to_owned(),
        "select id from (select * from labs union all select * from labs) u".to_owned(),
        "with recursive a as (select day from labs), labs as (select batch_date as day from people) select day from a".to_owned(),
        "select id from (select 'c' as id) a right join (select id from people) b using (id)".to_owned(),
        "select id from (select 'c' as id) a natural full join (select id from people) b".to_owned(),
        "select l.id from (people p full join labs l using (id))".to_owned(),
        "select t.b from (select * from labs v join people p using (id)) as t(a, b, c, d, e, f, g, h)".to_owned(),
        "select (select max(labs.concat) from labs where labs.id = x) from (select id as x, id as concat from labs) labs".to_owned(),
        "select id, day from (select * from labs order by batch_date desc) q limit 6".to_owned(),
        "with q as (select * from labs order by batch_date) select id, row_number() over (order by id) as n from q".to_owned(),
        "select q.id from (select batch_date > date '2026-05-03' as x, id from labs) q order by q.* limit 6".to_owned(),
        "select count(distinct q.*) as n from labs q".to_owned(),
    ];
    let alike = [
        "select day as d, id from labs order by d, lower(id)",
        "select id as who, count(*) as n from labs group by who having count(*) > 1 order by n desc",
        "select distinct on (id) id, code from labs order by id, batch_date desc",
        "select a.id from labs a join labs b using (batch_date) left join people c on c.id = a.id",
        "with c as (select id, max(day) as latest from labs group by id) select * from c order by c.latest",
        "select s.n from (select count(*) as n from labs) s",
        "select u.d from unnest(array[1, 2]) u (d)",
        "with a as (select id from labs), b as (select a.id from a) select b.id from a join b on a.id = b.id",
        "select x.id from (select distinct on (id) id, code from labs order by id, batch_date desc) x",
        "select id from labs where id in (select p.id from people p order by p.id limit 3)",
        "select id, (select count(*) from people p where p.id = labs.id) from labs",
    ];
    let name = |kind: &str, at: usize| format!("{kind}_{at}");
    let of_kind = |kind: &'static str, sql: Vec<String>| {
        let views = sql.into_iter().enumerate();
        views.map(move |(at, sql)| a_view(&name(kind, at), &sql))
    };
    let alike = alike.map(str::to_owned).to_vec();
    let views = of_kind("unlike", unlike.to_vec())
        .chain(of_kind("alike", alike))
        .collect();
    let lineage = of(views).await;
    for view in &lineage.views {
        assert_eq!(view.approximate, view.view.starts_with("unlike"), "{}", view.view);
    }
}
