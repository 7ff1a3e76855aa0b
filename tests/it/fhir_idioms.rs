//! What FHIR and documents like it need of a schema and of SQL: dates of which only a part is known, one element in place
//! of a list, elements by their system or url, numbers of elements, and the patient of a record deep inside of it.
use crate::harness::{Small, hashed, repository};

#[test]
fn partial_dates_give_sql_the_first_moment_and_the_precision() {
    let (database, project) = Small::new()
        .quarantine()
        .columns(&[
            ("id", "text"),
            ("born", "date"),
            ("born_precision", "text"),
            ("seen", "timestamptz"),
            ("seen_precision", "text"),
            ("deep", "text"),
            ("days", "text"),
        ])
        .schema(
            "id: {type: string, required: true}\n\
             born: {type: date, precision: partial, nulls: [9999-12-31, unknown], range: {min: 1900-01-01}}\n\
             seen: {type: timestamptz, precision: partial}\n\
             visits: {list: {day: {type: date, precision: partial, format: [\"%d.%m.%Y\", \"%m.%Y\"]}}}\n\
             days: {list: date, precision: partial}",
        )
        .sql(
            "select id, born['value'] as born, born['precision'] as born_precision, seen['value'] as seen,
               seen['precision'] as seen_precision, visits[1]['day']['precision'] as deep,
               array_to_string(array_transform(days, d -> d['precision'] || ' ' || cast(d['value'] as varchar)), ', ') as days
             from source",
        )
        .rest("max_quarantined: 10")
        .on_server();
    let project = project.json(
        r#"[{"id": "1", "born": "1970", "seen": "2023", "visits": [{"day": "03.1970"}], "days": ["1970", "1970-03-05"]},
            {"id": "2", "born": "1970-03", "seen": "2023-05-01T10:00:00.1234567+02:00", "visits": [{"day": "05.03.1970"}], "days": []},
            {"id": "3", "born": "1970-03-05", "seen": "2023-05-01", "days": [null]},
            {"id": "4", "born": "unknown", "seen": "2023-05-01T10:00Z"},
            {"id": "5", "born": "9999-12-31"}, {"id": "6", "born": null},
            {"id": "7", "born": "1899"}, {"id": "8", "born": "1970-3"}, {"id": "9", "born": 1970},
            {"id": "10", "seen": "2023-05-01T10:00:00"}]"#,
    );
    project
        .run_clinic()
        .code(0)
        .stderr_contains("path=$.seen count=1")
        .output_lacks("1234567");
    assert_eq!(
        database.rows(
            "select id, born, born_precision, seen at time zone 'UTC', seen_precision, deep, days from items order by id"
        ),
        [
            "1|1970-01-01|year|2023-01-01 00:00:00|year|month|year 1970-01-01, day 1970-03-05",
            "2|1970-03-01|month|2023-05-01 08:00:00.123456|second|day|",
            "3|1970-03-05|day|2023-05-01 00:00:00|day||",
            "4|||2023-05-01 10:00:00|minute||",
            "5||||||",
            "6||||||",
        ]
    );
    assert_eq!(
        database.rows("select record, path, check_name, reason from pipeline.quarantine order by record"),
        [
            "7|$.born|range|it is out of range",
            "8|$.born|malformed|not a date (yyyy, yyyy-mm or yyyy-mm-dd)",
            "9|$.born|malformed|a number where partial date is declared",
            "10|$.seen|malformed|a timestamp whose offset (Z or +hh:mm) is missing or wrong",
        ]
    );
}

#[test]
fn a_partial_date_is_masked_as_a_whole_one_and_its_day_tells_no_shift() {
    let (database, project) = Small::new()
        .columns(&[
            ("id", "text"),
            ("born", "date"),
            ("onset", "date"),
            ("onset_precision", "text"),
            ("seen", "timestamptz"),
            ("died", "int4"),
            ("coded", "text"),
            ("gone", "text"),
        ])
        .schema(
            "id: {type: string, required: true}\n\
             subject:\n  struct:\n    reference: {type: string, phi: identifier, mask: hash, domain: patient}\n\
             born: {type: date, phi: date, mask: date_shift}\n\
             onset: {type: date, precision: partial, phi: date, mask: date_shift}\n\
             seen: {type: timestamptz, precision: partial, phi: date, mask: date_shift}\n\
             died: {type: timestamptz, precision: partial, phi: date, mask: year}\n\
             coded: {type: date, precision: partial, phi: date, mask: hash, domain: day}\n\
             gone: {type: date, precision: partial, phi: date, mask: null}",
        )
        .sql(
            "select id, born, onset['value'] as onset, onset['precision'] as onset_precision, seen['value'] as seen, died,
               coded, coalesce(gone['precision'], cast(gone['value'] as varchar)) as gone from source",
        )
        .rest("subject: subject.reference")
        .on_server();
    let record = |id: &str, subject: &str, onset: &str, seen: &str| {
        format!(
            r#"{{"id": "{id}", "subject": {subject}, "born": "2000-06-15", "onset": "{onset}", "seen": "{seen}",
                "died": "2023-05", "coded": "{onset}", "gone": "{onset}"}}"#
        )
    };
    let one = r#"{"reference": "P1"}"#;
    let project = project.json(format!(
        "[{}]",
        [
            record("1", one, "2000-06-20", "2000-06-25T01:02:03Z"),
            record("2", one, "2000-06", "2000-06-25"),
            record("3", one, "2000", "2000-06"),
            record("4", r#"{"reference": "P2"}"#, "2000-06", "2000"),
            record("5", "null", "2000-06", "2000"),
            record("6", r#"{"reference": null}"#, "2000-06", "2000"),
        ]
        .join(",")
    ));
    project.run_clinic().code(0);
    // The shift of a patient, from the date that is known to the day.
    let shift = "(select min(born) - date '2000-06-15' from items i where i.id = '1')";
    assert_eq!(
        database.rows(&format!(
            "select id, born = date '2000-06-15' + {shift}, onset_precision, onset = case id
                 when '1' then date '2000-06-20' + {shift}
                 when '2' then date_trunc('month', date '2000-06-01' + {shift})
                 else date_trunc('year', date '2000-01-01' + {shift}) end,
               seen at time zone 'UTC' = case id
                 when '1' then timestamp '2000-06-25 01:02:03' + {shift} * interval '1 day'
                 when '2' then timestamp '2000-06-25' + {shift} * interval '1 day'
                 else date_trunc('month', date '2000-06-01' + {shift}) end
             from items where id in ('1', '2', '3') order by id"
        )),
        ["1|t|day|t|t", "2|t|month|t|t", "3|t|year|t|t"]
    );
    assert_eq!(
        database.value(&format!("select abs({shift}) between 1 and 183")),
        "t",
        "the dates have moved"
    );
    // Without a patient there is no shift, and so no date.
    assert_eq!(
        database.rows("select born, onset, onset_precision, seen from items where id in ('5', '6')"),
        ["|||", "|||"]
    );
    assert_eq!(
        database.rows("select distinct died, gone, coded ~ '^[0-9a-f]{32}$' from items"),
        ["2023||t"]
    );
    assert_eq!(database.value("select count(distinct coded) from items"), "3");
}

#[test]
fn safe_harbor_knows_a_partial_date_by_its_type() {
    let schema = "id: {type: string, required: true}\nborn: {type: date, precision: partial}";
    let small = Small::new().schema(schema).columns(&[("id", "text"), ("born", "date")]);
    let project = small.sql("select id, born['value'] as born from source").project();
    let contract = project.read("pipeline.yaml");
    let project = project.file("pipeline.yaml", format!("privacy: safe_harbor\n{contract}"));
    project.run(&["check"]).code(2).stderr_contains(
        "`born` is kept, but Safe Harbor, 45 CFR 164.514(b)(2)(i)(C), removes all of a date but the year",
    );
    let source = project.read("pipelines/clinic.yaml");
    let masked = source.replace("precision: partial}", "precision: partial, phi: date, mask: year}");
    let project = project.file("pipelines/clinic.yaml", masked);
    // The mask gives the year alone, which is no struct.
    let project = project.file(
        "sql/clinic/items.sql",
        "select id, make_date(born, 1, 1) as born from source\n",
    );
    project.run(&["check"]).code(0);
}

#[test]
fn a_partial_date_as_a_whole_is_no_date_of_the_contract() {
    let small = Small::new()
        .schema("id: {type: string, required: true}\nborn: {type: date, precision: partial}")
        .columns(&[("id", "text"), ("born", "date")])
        .sql("select id, born from source");
    small
        .project()
        .run(&["check"])
        .code(2)
        .stderr_contains("column `born` of items is date but the transform returns Struct")
        .stderr_contains("take born['value'], and born['precision'] in another column");
}

#[test]
fn one_element_stands_for_a_list_of_one() {
    let (database, project) = Small::new()
        .quarantine()
        .columns(&[("id", "text"), ("n", "int8"), ("code", "text"), ("names", "text")])
        .schema(
            "id: {type: string, required: true}\n\
             codes: {one_or_many: {code: {type: string, required: true}, tags: {one_or_many: string}}}\n\
             names: {one_or_many: string, normalize: [trim, empty_as_null], phi: name, mask: hash, domain: name}",
        )
        .sql(
            "select id, cardinality(codes) as n, array_to_string(codes['code'], ',') || ':' ||
               array_to_string(codes[1]['tags'], '+') as code, array_to_string(names, ',', '-') as names from source",
        )
        .rest("max_quarantined: 10")
        .on_server();
    let project = project.json(
        r#"[{"id": "1", "codes": {"code": "a", "tags": "x"}, "names": " n "},
            {"id": "2", "codes": [{"code": "a", "tags": ["x", "y"]}, {"code": "b"}], "names": ["n", null]},
            {"id": "3", "codes": [], "names": ""},
            {"id": "4", "codes": null, "names": null}, {"id": "5"},
            {"id": "6", "codes": ""}, {"id": "7", "codes": {"tags": "x"}}, {"id": "8", "names": {"a": 1}},
            {"id": "9", "names": [["n"]]}]"#,
    );
    project.run_clinic().code(0);
    let name = database.value("select names from items where id = '1'");
    assert!(name.len() == 32 && name != "n", "{name}");
    assert_eq!(
        database.rows("select id, n, code, names from items order by id"),
        [
            format!("1|1|a:x|{name}"),
            format!("2|2|a,b:x+y|{name},-"),
            "3|0||-".to_owned(),
            "4|||".to_owned(),
            "5|||".to_owned(),
        ]
    );
    assert_eq!(
        database.rows("select record, path, reason from pipeline.quarantine order by record"),
        [
            "6|$.codes[]|a string where a struct is declared",
            "7|$.codes[].code|required, but missing",
            "8|$.names[]|an object where string is declared",
            "9|$.names[]|a list where string is declared",
        ]
    );
}

#[test]
fn elements_are_chosen_by_system_or_url_and_numbered() {
    let (database, project) = Small::new()
        .columns(&[
            ("id", "text"),
            ("n", "int8"),
            ("code", "text"),
            ("mrn", "text"),
            ("race", "text"),
            ("official", "bool"),
        ])
        .schema(
            "id: {type: string, required: true}\n\
             identifier: {list: {system: string, value: {type: string, phi: identifier, mask: hash, domain: patient}}}\n\
             extension: {list: {url: string, extension: {list: {url: string, valueString: string}}}}\n\
             coding: {list: {system: string, code: string}}",
        )
        .sql(
            "with numbered as (
               select id, unnest(with_ordinality(coding)) as c, array_filter(identifier, i -> i['system'] = 'mrn')[1]['value'] as mrn,
                 array_filter(array_filter(extension, e -> e['url'] = 'race')[1]['extension'], e -> e['url'] = 'text')[1]['valueString'] as race,
                 array_any_match(identifier, i -> i['system'] = 'ssn') as official
               from source)
             select id, c['ordinality'] as n, c['item']['code'] as code, mrn, race, official from numbered",
        )
        .on_server();
    let project = project.json(
        r#"[{"id": "1", "identifier": [{"system": "ssn", "value": "S"}, {"system": "mrn", "value": "M"}],
             "extension": [{"url": "other"}, {"url": "race", "extension": [{"url": "code"}, {"url": "text", "valueString": "white"}]}],
             "coding": [{"code": "a"}, null, {"code": "b"}]},
            {"id": "2", "coding": [{"code": "c"}]}, {"id": "3", "coding": []}, {"id": "4"}]"#,
    );
    project.run_clinic().code(0);
    let mrn = hashed("M");
    assert_eq!(
        database.rows("select id, n, code, mrn, race, official from items order by id, n"),
        [
            format!("1|1|a|{mrn}|white|t"),
            format!("1|2||{mrn}|white|t"),
            format!("1|3|b|{mrn}|white|t"),
            "2|1|c|||".to_owned(),
        ]
    );
    // What only chooses an element is used, and the other fields of the element are not.
    let shown = project.run(&["lineage", "items.mrn"]).code(0).stdout.clone();
    assert!(
        shown.contains("identifier[].value (direct, phi identifier, mask hash)"),
        "{shown}"
    );
    assert!(
        shown.contains("identifier[].system (indirect)") && !shown.contains("extension"),
        "{shown}"
    );
}

#[test]
fn spaces_and_compositions_get_one_spelling_before_the_hash() {
    let (database, project) = Small::new()
        .columns(&[("id", "text"), ("a", "text"), ("b", "text")])
        .schema(
            "id: {type: string, required: true}\n\
             a: {type: string, normalize: [nfc, collapse_spaces], phi: identifier, mask: hash, domain: x}\n\
             b: {type: string, normalize: [nfkc, collapse_spaces, empty_as_null]}",
        )
        .sql("select id, a, b from source")
        .on_server();
    let project = project.json(
        "[{\"id\": \"1\", \"a\": \"Ren\u{e9} Roy\", \"b\": \"x\u{b2}\u{fb01}\u{ff11}\"},
          {\"id\": \"2\", \"a\": \" Rene\u{301}\u{a0}\u{200b} \\tRoy\u{feff}\", \"b\": \"\u{200b}\u{a0}\"}]",
    );
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select count(distinct a), min(b), count(b) from items"),
        ["1|x2fi1|1"]
    );
}

/// Each SQL block of the page, and each line of its schemas, is planned as it stands there.
#[test]
fn the_page_of_idioms_shows_what_works() {
    let page = std::fs::read_to_string(repository().join("docs/how-to/fhir-idioms.md")).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let fence = format!("```{language}\n");
        let starts = page.split(&fence).skip(1);
        starts
            .map(|rest| rest.split("```").next().unwrap().to_owned())
            .collect()
    };
    // The blocks declare single fields, but for the second, which has a whole source's keys.
    let mut yaml = blocks("yaml");
    let whole = yaml.remove(1);
    let (rest, schema) = whole.split_once("schema:\n").unwrap();
    let own = schema[2..].replace("\n  ", "\n");
    let schema = format!("id: string\n{own}{}", yaml.concat());
    let columns: [&[(&str, &str)]; 7] = [
        &[("onset", "timestamptz"), ("onset_precision", "text")],
        &[("id", "text"), ("practitioner_id", "text"), ("organization_id", "text")],
        &[("id", "text"), ("performer_name", "text")],
        &[
            ("mrn", "text"),
            ("snomed", "text"),
            ("is_diabetes", "bool"),
            ("all_codes", "text"),
        ],
        &[("id", "text"), ("position", "int8"), ("code", "text")],
        &[("race", "text")],
        &[
            ("value_number", "numeric(20,6)"),
            ("value_unit", "text"),
            ("value_text", "text"),
        ],
    ];
    let sql = blocks("sql");
    assert_eq!(sql.len(), columns.len());
    for (sql, columns) in sql.iter().zip(columns) {
        let small = Small::new().schema(&schema).columns(columns).sql(sql).rest(rest);
        small.project().run(&["check"]).code(0);
    }
}
