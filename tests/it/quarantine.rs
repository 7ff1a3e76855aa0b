//! Damaged records do not load, their neighbours do, and every one is accounted for.
use crate::harness::{Database, Project, Small};

fn small() -> Small {
    Small::new().rest("max_quarantined: 5%")
}

fn good(index: usize) -> String {
    format!("{{\"id\": \"i{index}\", \"n\": {index}}}")
}

/// 1,000 good records and 40 damaged ones among them; with the offsets of the damaged ones.
fn mixed(lines: bool) -> (Vec<u8>, Vec<String>) {
    let damaged: [&[u8]; 10] = [
        b"{\"id\": \"CANARY\\x\"}",
        b"{\"id\": \"CANARY\\udc00\"}",
        b"{\"id\": \"CANARY\xff\"}",
        b"{\"id\": \"CANARY\0\"}",
        b"{\"id\": \"CANARY\", \"n\": 1e999}",
        b"{\"id\": \"CANARY\", \"id\": \"CANARY\"}",
        b"{\"id\": \"CANARY\",}",
        b"{\"id\": \"CANARY\", \"n\": NaN}",
        b"{\"n\": 1}",
        b"[\"CANARY\"]",
    ];
    let deep = format!("{{\"id\": \"x\", \"y\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let (mut text, mut places) = (Vec::new(), Vec::new());
    if !lines {
        text.push(b'[');
    }
    let mut next = 0;
    for record in 1..=1040 {
        if record > 1 {
            text.extend_from_slice(if lines { b"\n" } else { b",\n" });
        }
        if record % 26 == 7 {
            places.push(format!("{record}|{}", text.len()));
            let at = places.len() - 1;
            text.extend_from_slice(if at == 5 { deep.as_bytes() } else { damaged[at % 10] });
        } else {
            text.extend_from_slice(good(next).as_bytes());
            next += 1;
        }
    }
    if !lines {
        text.push(b']');
    }
    assert_eq!((next, places.len()), (1000, 40));
    (text, places)
}

#[test]
fn a_thousand_good_records_load_and_forty_damaged_ones_are_quarantined() {
    for lines in [true, false] {
        let (ending, format) = if lines { ("ndjson", "ndjson") } else { ("json", "json") };
        let input = format!("path: in/{{date:%Y-%m-%d}}.{ending}\nformat: {format}");
        let (database, project) = small().input(&input).on_server();
        let (text, places) = mixed(lines);
        project.write(&format!("in/2023-05-01.{ending}"), &text);
        let outcome = project
            .run(&["run", "--source", "clinic", "--date", "20230501", "--output", "json"])
            .code(0);
        let outcome = outcome.output_lacks("CANARY");
        let account = serde_json::json!({
            "records": {"read": 1040, "accepted": 1000, "quarantined": 40},
            "entities": {"items": {"produced": 1000, "loaded": 1000, "quarantined": 0}},
        });
        assert_eq!(outcome.json()["batches"][0]["account"], account);
        assert_eq!(database.count("items"), 1000);
        assert_eq!(
            database.rows("select record, byte_offset from pipeline.quarantine order by record"),
            places
        );
        assert_eq!(
            database.rows("select distinct file, entity from pipeline.quarantine"),
            [format!("in/2023-05-01.{ending}|")]
        );
        let stored = database.value("select account from pipeline.runs where status = 'committed'");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&stored).unwrap(), account);
        let all = database.rows("select q::text from pipeline.quarantine q");
        assert!(all.iter().all(|row| !row.contains("CANARY")), "{all:?}");
    }
}

/// A batch that is loaded, then replaced by this input.
fn replaced(text: &str) -> (Database, Project, String) {
    let (database, project) = small().on_server();
    let old: Vec<String> = (0..30).map(good).collect();
    project.write("in/2023-05-01.json", format!("[{}]", old.join(",")));
    project.run_clinic().code(0);
    project.write("in/2023-05-01.json", text);
    let said = project.run_clinic().code(1).output_lacks("CANARY").message();
    assert_eq!(database.count("items"), 30, "the old content stands");
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
    (database, project, said)
}

#[test]
fn more_damage_than_allowed_fails_the_batch_before_the_swap() {
    let (database, project, said) =
        replaced("[{\"id\": \"a\"}, {\"id\": \"b\", \"n\": \"CANARY\"}, {\"n\": 1}, {\"id\": \"c\"}]");
    insta::assert_snapshot!(said, @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: 2 of 4 records refused, and `max_quarantined` is 5%
    caused by: in/2023-05-01.json, record 2 at byte 14: $.n: a string where bigint is declared at byte 31; and 1 more
    hint: `pipeline quarantine show --source clinic --date 2023-05-01` lists them; mend the file or the source, or raise `max_quarantined`
    ");
    let shown = project
        .run(&[
            "quarantine",
            "show",
            "--source",
            "clinic",
            "--date",
            "20230501",
            "--output",
            "csv",
        ])
        .code(0);
    insta::assert_snapshot!(shown.stdout, @r#"
    run,source,batch_date,status,entity,check,file,record,byte_offset,path,reason
    2,clinic,2023-05-01,failed,record,schema,in/2023-05-01.json,2,14,$.n,a string where bigint is declared at byte 31
    2,clinic,2023-05-01,failed,record,schema,in/2023-05-01.json,3,42,$.id,"required, but missing"
    "#);
    insta::assert_snapshot!(shown.message(), @"to replay: mend the file, or the source's YAML or SQL, and run the batch again");
    assert_eq!(
        database.rows("select account ->> 'records' from pipeline.runs where status = 'failed'"),
        [r#"{"read": 4, "accepted": 2, "quarantined": 2}"#]
    );
    // The replay: once the file is mended, the old entries are history.
    project.write("in/2023-05-01.json", "[{\"id\": \"a\"}]");
    project.run_clinic().code(0);
    project
        .run(&["quarantine", "show", "--output", "json"])
        .code(0)
        .stdout_is("[]\n");
}

#[test]
fn damage_without_an_end_is_accounted_for_in_bytes() {
    for (text, from, why) in [
        (
            "[{\"id\": \"a\"}, {\"id\": \"CANARY\", \"x\": [1}, {\"id\": \"b\"}]",
            14,
            "a bracket closes that is not the one open at byte 38",
        ),
        (
            "[{\"id\": \"a\"}, {\"id\": \"CANARY}, {\"id\": \"b\"}]",
            14,
            "the file ends inside the value that starts here: a quote is not closed at byte 14",
        ),
        (
            "[{\"id\": \"a\"}, {\"id\": \"CANA",
            14,
            "the file ends inside the value that starts here: a quote is not closed at byte 14",
        ),
    ] {
        let (database, project, _) = replaced(text);
        let bytes = text.len() - from;
        assert_eq!(
            database.rows("select check_name, file, record, byte_offset, path, reason from pipeline.quarantine"),
            [format!(
                "unreadable|in/2023-05-01.json|2|{from}||an unreadable stretch of {bytes} bytes to the end of the file: {why}"
            )]
        );
        let listed = project
            .run(&["quarantine", "list", "--check", "unreadable", "--output", "csv"])
            .code(0);
        assert_eq!(
            listed.stdout,
            "run,source,batch_date,status,entity,check,path,refused\n2,clinic,2023-05-01,failed,record,unreadable,,1\n"
        );
    }
}

#[test]
fn what_a_loaded_batch_refused_is_said_and_shown() {
    let (_database, project) = Small::new().rest("max_quarantined: 1").on_server();
    project.write("in/2023-05-01.json", "[{\"id\": \"a\"}, 5]");
    let outcome = project.run_clinic().code(0);
    insta::assert_snapshot!(outcome.message(), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: loaded 1 items from 1 records, 1 quarantined in [time]
    ");
    let status = project.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!(status[0]["account"]["records"]["quarantined"], 1);
    let listed = project.run(&["quarantine", "list"]).code(0);
    insta::assert_snapshot!(listed.stdout, @r"
    run  source  batch_date  status     entity  check   path  refused
      1  clinic  2023-05-01  committed  record  schema  $           1
    (1 row)
    ");
    project
        .run(&["quarantine", "list", "--check", "malformed", "--output", "json"])
        .code(0)
        .stdout_is("[]\n");
}
