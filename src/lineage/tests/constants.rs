//! Fields that a mask makes all alike, in SQL that tells rows apart by them.

use super::*;
use crate::model::MaskKind;

/// A source of `id`, `name`, `notes[text]` and `code`, of which name and the texts are masked so.
fn masked(sql: &str, mask: MaskKind) -> Project {
    let mut source = source("a", "id, name, code, notes[text, kind]", &[("t", sql)]);
    source.kinds[0].schema[1].privacy.mask = Some(mask);
    if let FieldType::List(item) = &mut source.kinds[0].schema[3].field_type
        && let FieldType::Struct(fields) = &mut item.field_type
    {
        // Without a mask, free text is nulled.
        fields[0].privacy.phi = Some(crate::model::PhiClass::FreeText);
    }
    project(vec![entity("t", "out")], vec![source], vec![])
}

fn problems(project: &Project) -> Vec<String> {
    let source = &project.sources[0];
    let outlines = engine().unwrap().outline(project, source, |_, _| Ok(())).unwrap();
    let found = constant_masks(project, source, &outlines);
    let shown = found.into_iter().map(|problem| {
        let place = problem.location.unwrap();
        format!("{}:{} {}", place.line, place.column, problem.message)
    });
    shown.collect()
}

#[tokio::test]
async fn what_tells_rows_apart_by_such_a_field_is_refused() {
    for (sql, what) in [
        (
            "select a.id as out from source a join source b on a.name = b.name",
            "a comparison",
        ),
        (
            "select a.id as out from source a join source b on a.id = b.id and upper(a.name) > b.name",
            "a comparison",
        ),
        (
            "select a.id as out from source a join (select name from source) b using (name)",
            "the condition of a join",
        ),
        (
            "select a.id as out from source a, source b where a.name = b.name",
            "a comparison",
        ),
        ("select max(id) as out from source group by name", "GROUP BY"),
        ("select max(id) as out from source group by id, lower(name)", "GROUP BY"),
        (
            "with g as (select name as n, id from source) select max(id) as out from g group by n",
            "GROUP BY",
        ),
        ("select distinct name as out from source", "DISTINCT"),
        (
            "select name as out from source union select id from source where false",
            "",
        ),
        ("select distinct on (name) id as out from source", "DISTINCT ON"),
        (
            "select cast(row_number() over (partition by name) as varchar) as out from source",
            "PARTITION BY",
        ),
        (
            "select cast(row_number() over (order by name) as varchar) as out from source",
            "ORDER BY of a window",
        ),
        (
            "select cast(count(distinct name) as varchar) as out from source",
            "an aggregate with DISTINCT",
        ),
        (
            "select id as out from source where name in (select name from source)",
            "IN (subquery)",
        ),
        (
            "select id as out from source a where exists (select 1 from source b where b.name = a.name)",
            "a comparison",
        ),
        (
            "with n as (select id, unnest(notes) as note from source) select max(id) as out from n group by note['text']",
            "GROUP BY",
        ),
        (
            "select max(id) as out from source group by array_filter(notes, n -> n['kind'] = 'x')[1]['text']",
            "GROUP BY",
        ),
    ] {
        for mask in [MaskKind::Redact, MaskKind::Null] {
            let found = problems(&masked(sql, mask));
            if what.is_empty() {
                // Rows of both sides make up the column.
                assert!(found.is_empty(), "{sql}: {found:?}");
                continue;
            }
            assert!(!found.is_empty() && found[0].contains(what), "{sql}: {found:?}");
        }
        for mask in [MaskKind::Hash, MaskKind::Pseudonym] {
            let found = problems(&masked(sql, mask));
            assert!(
                found.iter().all(|problem| problem.contains("text`")),
                "{sql}: {found:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_does_not_tell_rows_apart_by_it_passes() {
    for sql in [
        "select name as out from source",
        "select max(name) as out from source group by id",
        "select a.name as out from source a join source b on a.id = b.id",
        "select max(id) as out from source group by coalesce(name, id)",
        "select id as out from source where name = 'x'",
        "with n as (select unnest(notes) as note from source) select max(note['text']) as out from n group by note['kind']",
        "select distinct id || name as out from source",
    ] {
        let found = problems(&masked(sql, MaskKind::Null));
        assert!(found.is_empty(), "{sql}: {found:?}");
    }
    // A redacted value still tells that there is one.
    let presence = "select max(id) as out from source group by name is null";
    assert!(problems(&masked(presence, MaskKind::Redact)).is_empty());
    assert_eq!(problems(&masked(presence, MaskKind::Null)).len(), 1);
}

#[tokio::test]
async fn keys_and_checks_are_refused() {
    let mut keyed = masked("select name as out from source", MaskKind::Redact);
    keyed.entities[0].key = vec!["out".into()];
    let found = problems(&keyed);
    assert_eq!(
        found,
        [
            "1:1 column `out` of t, of the key, derives from `name` alone, but its mask `redact` makes it the same in every record"
        ]
    );
    keyed.sources[0].allow_constant_masks = vec!["name".into()];
    assert!(problems(&keyed).is_empty());
    keyed.sources[0].allow_constant_masks = vec!["name".into(), "code".into()];
    let stale = problems(&keyed);
    assert!(
        stale.len() == 1 && stale[0].contains("names `code`, which is no field"),
        "{stale:?}"
    );
}

#[tokio::test]
async fn the_place_and_the_field_are_named() {
    let found = problems(&masked(
        "select max(id) as out\nfrom source\ngroup by name",
        MaskKind::Null,
    ));
    assert_eq!(
        found,
        ["3:10 `name` is used in GROUP BY, but its mask `null` makes it null in every record"]
    );
}
