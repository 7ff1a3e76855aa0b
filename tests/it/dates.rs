//! Dates and times are read by the format that wrote them or not at all, what stands for null is null, and digits that
//! no column holds are cut off and said.
use crate::harness::Small;

#[test]
fn a_text_that_a_format_did_not_write_is_read_by_the_next_or_refused() {
    let (database, project) = Small::new()
        .quarantine()
        .input("path: in/{date:%Y-%m-%d}.csv\nformat: csv")
        .columns(&[
            ("id", "text"),
            ("d", "date"),
            ("f", "date"),
            ("g", "date"),
            ("t", "timestamp"),
        ])
        .schema("id: string\nd: {type: date, format: [\"%Y-%m-%d\", \"%d-%m-%y\"]}\nf: string")
        .sql(
            "select id, d, try_parse_date(f, '%m%d%Y') as f, try_parse_date(f) as g, \
             try_parse_timestamp(f, '%m/%d/%Y %H:%M', '%m/%d/%y') as t from source",
        )
        .rest("max_quarantined: 100")
        .on_server();
    let project = project.file(
        "in/2023-05-01.csv",
        "id,d,f\n\
         a,30-09-19,05012023\n\
         b,2019-09-30,5012023\n\
         c,12-11-10,1012023\n\
         d,0030-09-19,2023-05-01\n\
         e,,2023-5-1\n\
         f,,5/1/2023 9:30\n\
         g,,5/1/23\n\
         h,,5/1/23 9:30\n\
         x,0000-01-01,\n\
         x,30-9-2019,\n\
         x, 2019-09-30,\n\
         x,2019-09- 1,\n\
         x,+2019-09-30,\n",
    );
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select id, d, f, g, t from items order by id"),
        [
            "a|2019-09-30|2023-05-01||",
            "b|2019-09-30|||",
            "c|2010-11-12|||",
            "d|0030-09-19||2023-05-01|",
            "e||||",
            "f||||2023-05-01 09:30:00",
            "g||||2023-05-01 00:00:00",
            "h||||",
        ]
    );
    assert_eq!(database.count("pipeline.quarantine"), 5);
}

#[test]
fn a_format_in_sql_is_checked_with_the_project() {
    for (call, message) in [
        ("parse_date(id, '%Q')", "parse_date: `%Q` is no date format"),
        (
            "try_parse_timestamp(id, '%Y-%m-%d %H:%M %Z')",
            "has the name of a time zone (%Z)",
        ),
    ] {
        let project = Small::new()
            .columns(&[("id", "text"), ("t", "timestamp")])
            .sql(&format!(
                "select id, arrow_cast({call}, 'Timestamp(Microsecond, None)') as t from source"
            ))
            .project();
        project
            .run(&["check"])
            .code(2)
            .stderr_contains(message)
            .stderr_contains("items.sql");
    }
}

#[test]
fn what_is_finer_than_a_microsecond_is_cut_off_and_said_once() {
    let (database, project) = Small::new()
        .columns(&[
            ("id", "text"),
            ("a", "timestamp"),
            ("b", "timestamptz"),
            ("c", "timestamp"),
            ("d", "timestamp"),
        ])
        .schema("id: string\na: timestamp\nb: {list: timestamptz}\nc: string")
        .sql("select id, a, b[1] as b, parse_timestamp(c) as c, cast(c as timestamp) as d from source")
        .on_server();
    let project = project.json(
        r#"[{"id": "1", "a": "2023-05-01T10:00:00.1234567", "b": ["2023-05-01T10:00:00.123456789Z"], "c": "2023-05-01T10:00:00.1234567"},
            {"id": "2", "a": "2023-05-01T10:00:00.123456", "b": ["2023-05-01T10:00:00.1234569Z"], "c": "2023-05-01T10:00:00.123456"}]"#,
    );
    let outcome = project.run_clinic().code(0);
    outcome
        .stderr_contains("times finer than a microsecond were cut off")
        .stderr_contains("path=$.a count=1")
        .stderr_contains("path=$.b[] count=2")
        .output_lacks("1234567");
    let time = "2023-05-01 10:00:00.123456";
    assert_eq!(
        database.rows("select id, a, b at time zone 'UTC', c, d from items order by id"),
        [1, 2].map(|id| format!("{id}|{time}|{time}|{time}|{time}"))
    );
}

#[test]
fn what_stands_for_null_is_null_before_any_mask() {
    let (database, project) = Small::new()
        .columns(&[
            ("id", "text"),
            ("d", "date"),
            ("y", "int4"),
            ("n", "int4"),
            ("h", "text"),
        ])
        .schema(
            "id: {type: string, required: true, phi: identifier, mask: hash}\n\
             d: {type: date, phi: date, mask: date_shift, nulls: [9999-12-31, 0001-01-01]}\n\
             y: {type: date, phi: date, mask: year, nulls: [9999-12-31]}\n\
             n: {type: int, nulls: [-999]}\n\
             h: {type: string, phi: identifier, mask: hash, nulls: [unknown]}",
        )
        .sql("select id, d, y, n, h from source")
        .rest("subject: id")
        .on_server();
    let project = project.json(
        r#"[{"id": "1", "d": "9999-12-31", "y": "9999-12-31", "n": -999, "h": "unknown"},
            {"id": "2", "d": "0001-01-01", "y": "2023-05-01", "n": -998, "h": "known"}]"#,
    );
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select d, y, n, h is null from items order by n nulls first"),
        ["|||t", "|2023|-998|f"]
    );
}

/// One field takes FHIR's `date`, `dateTime` and `instant`, and local times where a zone is declared.
#[test]
fn a_local_time_is_one_of_the_declared_zone() {
    let (database, project) = Small::new()
        .quarantine()
        .columns(&[
            ("id", "text"),
            ("seen", "timestamptz"),
            ("precision", "text"),
            ("sent", "timestamptz"),
        ])
        .schema(
            "id: {type: string, required: true}\n\
             seen: {type: timestamptz, precision: partial, zone: Europe/Berlin}\n\
             sent: {type: timestamptz, format: [\"%d.%m.%Y %H:%M%:z\", \"%d.%m.%Y %H:%M\"], zone: \"+05:30\"}",
        )
        .sql("select id, seen['value'] as seen, seen['precision'] as precision, sent from source")
        .rest("max_quarantined: 100%")
        .on_server();
    let project = project.json(
        r#"[{"id": "1", "seen": "2023", "sent": "01.05.2023 10:00"},
            {"id": "2", "seen": "2023-05", "sent": "01.05.2023 10:00+02:00"},
            {"id": "3", "seen": "2023-05-01"},
            {"id": "4", "seen": "2023-05-01T00:30:00.5"},
            {"id": "5", "seen": "2023-05-01T00:30:00-05:00"},
            {"id": "6", "seen": "2023-01-01T00:30Z"},
            {"id": "7", "seen": "2023-01-01T00:30"},
            {"id": "8", "seen": "2023-10-29T02:30:00"}, {"id": "9", "seen": "2023-03-26T02:30:00"},
            {"id": "10", "seen": "2023-10-29T02:30:00+01:00"},
            {"id": "11", "seen": "2023-05-01T00:30:00 Europe/Berlin"}]"#,
    );
    project.run_clinic().code(0);
    assert_eq!(
        database
            .rows("select id, seen at time zone 'UTC', precision, sent at time zone 'UTC' from items order by id::int"),
        [
            "1|2023-01-01 00:00:00|year|2023-05-01 04:30:00",
            "2|2023-05-01 00:00:00|month|2023-05-01 08:00:00",
            "3|2023-05-01 00:00:00|day|",
            "4|2023-04-30 22:30:00.5|second|",
            "5|2023-05-01 05:30:00|second|",
            "6|2023-01-01 00:30:00|minute|",
            "7|2022-12-31 23:30:00|minute|",
            "10|2023-10-29 01:30:00|second|",
        ]
    );
    assert_eq!(
        database.rows("select record, path, check_name, reason from pipeline.quarantine order by record"),
        [
            "8|$.seen|malformed|a local time that the clock of its zone shows twice, without its offset",
            "9|$.seen|malformed|a local time that the clock of its zone skips",
            "11|$.seen|malformed|a timestamp whose offset (Z or +hh:mm) is missing or wrong",
        ]
    );
}

#[test]
fn a_zone_is_one_and_belongs_to_a_time_with_a_zone() {
    for (field, message) in [
        ("{type: timestamptz, zone: Berlin}", "`Berlin` is no time zone"),
        ("{type: timestamp, zone: UTC}", "`zone` is nothing for a timestamp"),
        ("{type: string, zone: UTC}", "`zone` is nothing for a string"),
        (
            "{type: timestamptz, format: \"%d.%m.%Y %H:%M\"}",
            "does not give a date, a time of day and an offset",
        ),
    ] {
        let project = Small::new()
            .schema(&format!("id: string\nn: bigint\nt: {field}"))
            .project();
        project.run(&["check"]).code(2).stderr_contains(message);
    }
}
