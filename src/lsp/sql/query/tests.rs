use std::fmt::Write as _;

use super::*;
use crate::model::sql_tokens::tokens;

/// The outline as text: WITH parts, items as `expression>alias`, tables as `name alias`.
fn outline(sql: &str) -> String {
    let tokens = tokens(sql);
    shown(&read(&tokens, sql.len()), &tokens)
}

fn shown(query: &Query, tokens: &[Token]) -> String {
    let name = |at: usize| tokens[at].value.clone();
    let mut text = String::new();
    for cte in &query.with {
        write!(text, "{}=({}) ", name(cte.name), shown(&cte.body, tokens)).unwrap();
    }
    for select in &query.selects {
        for item in &select.items {
            let words: Vec<String> = item.expression.clone().map(name).collect();
            write!(text, "{}>{} ", words.concat(), item.alias.map_or("-".to_owned(), name)).unwrap();
        }
        text += "from";
        for table in &select.tables {
            let of = table.query.map(|at| format!("({})", shown(&select.inner[at], tokens)));
            let of = table.name.map(name).or(of).unwrap_or_default();
            write!(text, " {of} {}", table.alias.map_or("-".to_owned(), name)).unwrap();
        }
        text += ";";
    }
    text
}

#[test]
fn reads_parts_items_and_tables() {
    for (sql, expected) in [
        (
            "with v as (select unnest(visits) as item from source), w(a) as (select 1) select v.item x, a from v join w as q on v.a = q.a where 1 = 1",
            "v=(unnest(visits)>item from source -;) w=(1>- from;) v.item>x a>- from v - w q;",
        ),
        (
            "select case when a then b end, x is null, count(*) n from (select a from b) t, public.c union all select * from d",
            "casewhenathenbend>- xisnull>- count(*)>n from (a>- from b -;) t c -;*>- from d -;",
        ),
        ("select a, from", "a>- from;"),
        ("select a as", "a>- from;"),
        ("with v as (select x", "v=(x>- from;) "),
        ("with v as", ""),
        (
            "select (select max(a) from b) as m from c",
            "(selectmax(a)fromb)>m from c -;",
        ),
    ] {
        assert_eq!(outline(sql), expected, "{sql}");
    }
}
