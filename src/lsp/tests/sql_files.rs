use super::*;

const VISITS: &str = "sql/clinic/visits.sql";

fn read<'a>(path: &str, text: &str) -> Sql<'a> {
    Sql::read(&SMALL.project, Path::new(path), text).expect("a SQL file of the project")
}

fn items(path: &str, text: &str) -> Vec<Item> {
    let (text, offset) = marked(text);
    sql::completions(&read(path, &text), &text, offset, &SMALL.functions).items
}

/// The first labels that are offered, functions left out.
fn offered(path: &str, text: &str) -> String {
    let items = items(path, text).into_iter().filter(|item| item.rank < 7);
    labels(items.collect()).join(" ")
}

/// The text after the completion with this label is taken.
fn taken(text: &str, label: &str) -> String {
    let (text, offset) = marked(text);
    let found = sql::completions(&read(VISITS, &text), &text, offset, &SMALL.functions);
    let item = found.items.iter().find(|item| item.label == label).expect(label);
    let (start, end) = found.replaces;
    format!("{}{}{}", &text[..start], item.insert, &text[end..])
}

#[test]
fn offers_nested_fields_in_every_state_of_typing() {
    let from = "from (select unnest(visits) as item from source) v";
    for written in [
        "item['|']",
        "item['|",
        "item['d|",
        "item[|",
        "item[|]",
        "item.|",
        "v.item.|",
        "visits[1]['|']",
    ] {
        let from = if written.starts_with("visits") {
            "from source"
        } else {
            from
        };
        let text = format!("select {written} {from}");
        assert_eq!(offered(VISITS, &text), "codes date no tags", "{text}");
    }
    assert_eq!(offered(VISITS, "select Address['|'] from source"), "");
    assert_eq!(offered(VISITS, "select \"Address\"['|'] from source"), "Zip city");
    assert_eq!(offered(VISITS, "select born['|'] from source"), "precision value");
    // The field of all elements of a list.
    assert_eq!(
        offered(VISITS, "select visits['codes']['|'] from source"),
        "code system"
    );
    assert_eq!(offered(VISITS, "select id['|'] from source"), "");
    assert_eq!(offered(VISITS, "select 'it|' from source"), "");
    assert_eq!(offered(VISITS, "select id -- item['|\nfrom source"), "");
}

#[test]
fn what_is_taken_leaves_whole_sql() {
    for (before, label, after) in [
        ("select item['d| from visit", "date", "select item['date'] from visit"),
        ("select item['d|'] from visit", "date", "select item['date'] from visit"),
        ("select item[| from visit", "date", "select item['date'] from visit"),
        ("select item[|] from visit", "date", "select item['date'] from visit"),
        ("select it|em from visit", "item", "select itemem from visit"),
        (
            "select \"Address\".| from source",
            "Zip",
            "select \"Address\".\"Zip\" from source",
        ),
        ("select a from so|", "source", "select a from source"),
    ] {
        let with = "with visit as (select unnest(visits) as item from source) ";
        assert_eq!(
            taken(&format!("{with}{before}"), label),
            format!("{with}{after}"),
            "{before}"
        );
    }
}

#[test]
fn offers_tables_columns_and_what_is_lacking() {
    let with =
        "with visit as (select id, unnest(visits) as item from source), more(x) as (select item['no'] from visit)";
    assert_eq!(offered(VISITS, &format!("{with} select 1 from |")), "more visit source");
    assert_eq!(
        offered(VISITS, &format!("{with} select 1 from visit join m|")),
        "more visit source"
    );
    assert_eq!(
        offered(VISITS, "with visit as (select 1 from |) select 2 from visit"),
        "source"
    );
    let lacking = "null as code null as day null as person_id null as visit_id";
    assert_eq!(
        offered(VISITS, &format!("{with} select | from visit")),
        format!("id item {lacking} visit")
    );
    assert_eq!(
        offered(VISITS, &format!("{with} select v.| from visit as v")),
        "id item"
    );
    assert_eq!(offered(VISITS, &format!("{with} select x.| from more as x")), "x");
    // Before FROM is written, a transform can only mean its records.
    assert_eq!(
        offered(VISITS, "select |"),
        format!("Address born id visits {lacking} source")
    );
    assert_eq!(
        offered(VISITS, "select id as person_id, null as |, 1 as day from source"),
        "code visit_id"
    );
    assert_eq!(offered(VISITS, "select cast(id as |) as person_id from source"), "");
    // The columns that a part of WITH gives are its own affair.
    assert_eq!(
        offered(VISITS, "with v as (select id as | from source) select 1 from v"),
        ""
    );
    assert_eq!(offered(VISITS, "select $|"), "$date $source");
    assert_eq!(
        offered(
            VISITS,
            "select w.| from (select unnest(with_ordinality(visits)) as w from source) x"
        ),
        "item ordinality"
    );
}

#[test]
fn offers_functions_with_their_documentation() {
    let all = items(VISITS, "select | from source");
    let find = |name: &str| {
        all.iter()
            .find(|item| item.label == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!(find("parse_date").detail, "parse_date(text, format, ...)");
    assert!(
        find("parse_date").markdown.contains("first format that fits"),
        "{:?}",
        find("parse_date")
    );
    assert!(
        find("date_trunc").markdown.contains("precision"),
        "{:?}",
        find("date_trunc")
    );
    for name in [
        "unnest",
        "count",
        "row_number",
        "array_filter",
        "with_ordinality",
        "json_get_str",
    ] {
        find(name);
    }
    // What `check` refuses is not offered.
    for refused in ["random", "now", "current_date", "uuid"] {
        assert!(all.iter().all(|item| item.label != refused), "{refused}");
    }
}

#[test]
fn views_know_entities_and_other_views() {
    let view = "sql/views/days.sql";
    assert_eq!(offered(view, "select 1 from |"), "a_later days people visits");
    assert_eq!(
        offered(view, "select v.| from visits v"),
        "batch_date code day person_id source visit_id"
    );
    assert_eq!(offered(view, "select v.| from a_later v"), "on_day visit_id");
    assert_eq!(
        offered("sql/checks/new.sql", "select p.| from people p"),
        "batch_date born person_id source"
    );
    assert!(Sql::read(&SMALL.project, Path::new("notes/a.sql"), "select 1").is_none());
}

fn hovered(path: &str, text: &str) -> String {
    let (text, offset) = marked(text);
    sql::hover(&read(path, &text), offset, &SMALL.functions).map_or_else(String::new, |(text, ..)| text)
}

#[test]
fn a_hover_tells_type_class_mask_and_description() {
    insta::assert_snapshot!(hovered(VISITS, "select i|d from source"), @r"
    `id`: string, required (field of clinic)

    class: identifier; mask `hash`, domain `person`

    The card's number
    ");
    insta::assert_snapshot!(hovered(VISITS, "with v as (select unnest(visits) as item from source) select item['d|ate'] as day from v"), @r"
    `visits[].date`: date (field of clinic)

    class: date; no mask: SQL sees the value as it is (asked for)
    ");
    insta::assert_snapshot!(hovered("sql/clinic/people.sql", "select id as person|_id from source"), @r"
    `people.person_id`: text, not null, part of the key

    Who it is

    ---

    `id`: string, required (field of clinic)

    class: identifier; mask `hash`, domain `person`

    The card's number
    ");
    assert!(hovered(VISITS, "select parse_|date(id) from source").contains("parse_date(text, format, ...)"));
    assert!(hovered(VISITS, "with v as (select id, 1 as n from source) select n from |v").contains("`id`, `n`"));
    assert!(hovered(VISITS, "select id from sou|rce").contains("Visits of the clinic"));
    assert!(hovered("sql/views/days.sql", "select d|ay from visits").contains("`visits.day`: date"));
    assert_eq!(hovered(VISITS, "select 1| from source"), "");
}

fn targets(path: &str, text: &str) -> Vec<String> {
    let (text, offset) = marked(text);
    let shown = |target| match target {
        Target::Here(start, end) => format!("here {} {}", start, &text[start..end]),
        Target::Declared(place) => format!("{}:{}:{}", place.file.display(), place.line, place.column),
    };
    sql::definitions(&read(path, &text), offset)
        .into_iter()
        .map(shown)
        .collect()
}

#[test]
fn goes_to_the_part_the_field_and_the_contract() {
    let text = "with v as (select id as who, unnest(visits) as item from source) select";
    let with = |rest: &str| targets(VISITS, &format!("{text} {rest}"));
    assert_eq!(
        with("w|ho as person_id from v"),
        ["here 24 who", "pipelines/clinic.yaml:5:3"]
    );
    assert_eq!(with("item['n|o'] as visit_id from v"), ["pipelines/clinic.yaml:10:7"]);
    assert_eq!(
        with("item['no'] as visit|_id from v"),
        ["pipelines/clinic.yaml:10:7", "pipeline.yaml:12:7"]
    );
    assert_eq!(with("1 from |v"), ["here 5 v"]);
    assert_eq!(with("v|.who from v"), ["here 5 v"]);
    assert_eq!(targets(VISITS, "select id from s|ource"), ["pipelines/clinic.yaml:1:7"]);
    assert_eq!(
        targets("sql/views/days.sql", "select visit_i|d from visits"),
        ["pipeline.yaml:12:7"]
    );
    assert_eq!(
        targets("sql/views/days.sql", "select 1 from a_lat|er"),
        ["sql/views/a_later.sql:1:1"]
    );
    assert_eq!(targets(VISITS, "select nothing|_here from source"), [""; 0]);
}

#[test]
fn finds_where_a_field_is_read_and_what_it_fills() {
    let text = FILES[3].1;
    let sql = read(VISITS, text);
    let of = |path: &str| {
        let all = sql::readings(&sql).into_iter().filter(|reading| reading.path == path);
        all.map(|reading| &text[reading.start..reading.end])
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of("visits[].date"), "'date'");
    assert_eq!(of("visits[].codes[].code"), "'code'");
    assert_eq!(of("id"), "id");
    let all = sql::readings(&sql);
    let fills = |path: &str| {
        let reading = all.iter().find(|reading| reading.path == path).expect("a reading");
        sql.fills_from(reading.declared)
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(fills("visits[].date"), "day");
    assert_eq!(fills("id"), "person_id");
    assert_eq!(fills("visits[].no"), "visit_id");
}

/// The text after the change with this number is made.
fn changed(text: &str, number: usize) -> String {
    let changes = sql::add_missing_columns(&read(VISITS, text), text);
    let mut edits = changes[number].texts.clone();
    edits.reverse();
    let mut text = text.to_owned();
    for (at, new) in edits {
        text.insert_str(at, &new);
    }
    text
}

#[test]
fn missing_columns_are_added_as_null() {
    let text = "select\n  id as person_id,\n  1 as visit_id -- the only one\nfrom source\n";
    let titles = sql::add_missing_columns(&read(VISITS, text), text);
    let titles: Vec<&str> = titles.iter().map(|change| change.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "Add all 2 missing columns as null",
            "Add the missing column `day` as null",
            "Add the missing column `code` as null"
        ]
    );
    assert_eq!(
        changed(text, 0),
        "select\n  id as person_id,\n  1 as visit_id, -- the only one\n  null as day, -- no field found\n  \
         null as code -- no field found\nfrom source\n"
    );
    assert_eq!(
        changed("select id as person_id, 1 as visit_id, null as day from source", 0),
        "select id as person_id, 1 as visit_id, null as day,\n    null as code -- no field found\n from source"
    );
    assert_eq!(
        changed("select id as person_id, 1 as visit_id, null as day,\nfrom source", 0),
        "select id as person_id, 1 as visit_id, null as day,\n    null as code -- no field found\nfrom source"
    );
    assert!(sql::add_missing_columns(&read(VISITS, FILES[3].1), FILES[3].1).is_empty());
    assert!(sql::add_missing_columns(&read("sql/views/days.sql", "select 1"), "select 1").is_empty());
    assert!(sql::add_missing_columns(&read(VISITS, ""), "").is_empty());
}

/// What is typed can be anything. None of it may end the server.
#[test]
fn every_part_of_a_text_can_be_asked_about() {
    let whole = format!("{} union all select ((a['x', \"ü\" */ 'o", FILES[3].1);
    for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let text = &whole[..end];
        let sql = read(VISITS, text);
        for offset in [end, end / 2] {
            if text.is_char_boundary(offset) {
                sql::completions(&sql, text, offset, &SMALL.functions);
                sql::hover(&sql, offset, &SMALL.functions);
                sql::definitions(&sql, offset);
            }
        }
        sql::readings(&sql);
        sql::add_missing_columns(&sql, text);
    }
}

#[test]
fn a_parameter_of_a_lambda_is_an_element() {
    let offer = |sql: &str| offered(VISITS, sql);
    assert_eq!(
        offer("select array_filter(visits, i -> i['|'] = 'a') from source"),
        "codes date no tags"
    );
    assert_eq!(offer("select array_filter(visits, i -> i['|"), "codes date no tags");
    assert_eq!(
        offer("select array_filter(visits, (i, n) -> i.| = 1) from source"),
        "codes date no tags"
    );
    // Within another one, over a list of the outer one's element, and over what a call leaves of a list.
    assert_eq!(
        offer("select array_any_match(visits, i -> array_any_match(i['codes'], c -> c['|'] = i['no'])) from source"),
        "code system"
    );
    assert_eq!(
        offer("select array_transform(array_filter(visits, v -> v['no'] = '1'), i -> i['|']) from source"),
        "codes date no tags"
    );
    // Behind the lambda's argument, and outside of the call, the name is not known.
    assert_eq!(offer("select f(visits, i -> i['no'], i['|']) from source"), "");
    assert_eq!(offer("select f(visits, i -> i['no']), i['|'] from source"), "");
    assert_eq!(offer("select f(visits, (i, n) -> n['|']) from source"), "");
    let names = offer("select array_filter(visits, some_one -> |) from source");
    assert!(names.starts_with("some_one "), "{names}");
    assert!(!offer("select array_filter(visits, some_one -> 1, |) from source").contains("some_one"));
    // A parameter hides a column of its name.
    assert_eq!(
        offer("select array_filter(visits, id -> id['|']) from source"),
        "codes date no tags"
    );
    assert!(
        hovered(
            VISITS,
            "select array_filter(visits, i -> i['d|ate'] is null) from source"
        )
        .contains("`visits[].date`")
    );
    assert!(hovered(VISITS, "select array_filter(visits, |i -> true) from source").contains("`visits[]`"));
    assert_eq!(
        targets(VISITS, "select array_filter(visits, it -> i|t['no'] = '1') from source"),
        ["here 28 it", "pipelines/clinic.yaml:9:5"]
    );
}

fn mentioned(path: &str, text: &str, at: &str) -> String {
    let (marked_text, offset) = marked(at);
    let symbols = sql::symbols(&read(VISITS, &marked_text), offset);
    let [symbol] = &symbols[..] else {
        panic!("{} symbols", symbols.len())
    };
    let found = sql::mentions(&read(path, text), symbol).into_iter();
    found
        .map(|(start, end)| format!("{start} {}", &text[start..end]))
        .collect::<Vec<_>>()
        .join(", ")
}

#[test]
fn all_mentions_of_a_field_and_of_a_column_are_found() {
    let date = "with v as (select unnest(visits) as i from source) select i['d|ate'] as day from v";
    assert_eq!(
        mentioned(
            VISITS,
            "with v as (select unnest(visits) as item, visits, 'date' as date from source) select item['date'] as day, date, \
             upper(item.date) as code from v where array_any_match(visits, x -> x['date'] is null)",
            date
        ),
        "90 'date', 123 date, 181 'date'"
    );
    let day = "select id as d|ay from source";
    assert_eq!(
        mentioned(VISITS, "select 1 as day, 'day' as code from source", day),
        "12 day"
    );
    assert_eq!(
        mentioned(
            "sql/views/days.sql",
            "select v.day, day as on_day, x.day from visits v, people x where v.day > '1' -- day",
            day
        ),
        "9 day, 14 day, 67 day"
    );
    // A name that the view itself gave is not the column's.
    assert_eq!(mentioned("sql/views/a_later.sql", "select on_day from days", day), "");
    let ddl =
        "create table visits (day date);\ncreate table others (day date);\nalter table visits drop \"day\"; -- day";
    let found: Vec<usize> = sql::mentions_in_statements(ddl, "visits", "day")
        .into_iter()
        .map(|(start, _)| start)
        .collect();
    assert_eq!(found, [21, 88]);
}
