//! Records of megabytes load in little memory; larger ones than can be read are refused one by one.
use std::fmt::Write;

use crate::harness::Small;

#[test]
fn records_larger_than_the_memory_of_a_sort_load() {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true}\nn: bigint\ndoc: string")
        .columns(&[("item_id", "text"), ("n", "int8"), ("doc", "text")])
        .sql("select id as item_id, n, doc from source order by id")
        .on_server();
    let document = "QUJD".repeat(6 << 20);
    let mut records = String::new();
    for number in 0..4 {
        writeln!(records, r#"{{"id": "{number}", "n": 1, "doc": "{document}"}}"#).unwrap();
        for other in 0..50 {
            writeln!(records, r#"{{"id": "{number}-{other}", "n": 2, "doc": "small"}}"#).unwrap();
        }
    }
    project.write("in/2023-05-01.json", records);
    let run = ["run", "--source", "clinic", "--date", "2023-05-01", "--memory", "64MB"];
    project.run(&run).code(0);
    assert_eq!(
        database.rows("select count(*), sum(n), sum(length(doc)), count(distinct md5(doc)) from items"),
        [format!("204|404|{}|2", 4 * document.len() + 200 * 5)]
    );
}

#[test]
fn a_record_larger_than_can_be_read_is_refused_with_its_size_and_its_neighbours_load() {
    let large = "x".repeat(33 << 20);
    let json = format!(r#"{{"id": "b", "x": "{large}"}}"#);
    let csv = format!("b,2,\"{large}\"");
    let cases = [
        (
            "path: in/{date:%Y}.json",
            format!("[{{\"id\": \"a\"}}, {json}, {{\"id\": \"c\"}}]"),
            json.len(),
            14,
        ),
        (
            "path: in/{date:%Y}.json\nformat: ndjson",
            format!("{{\"id\": \"a\"}}\n{json}\n{{\"id\": \"c\"}}\n"),
            json.len(),
            12,
        ),
        (
            "path: in/{date:%Y}.json\nformat: csv",
            format!("id,n,x\na,1,\n{csv}\nc,3,\n"),
            csv.len(),
            12,
        ),
    ];
    for (input, text, size, offset) in cases {
        let (database, project) = Small::new()
            .input(input)
            .rest("on_unknown_field: ignore\nmax_quarantined: 90%")
            .quarantine()
            .on_server();
        project.write("in/2023.json", text);
        project.run_clinic().code(0);
        assert_eq!(
            database.rows("select item_id from items order by item_id"),
            ["a", "c"],
            "{input}"
        );
        assert_eq!(
            database.rows("select check_name, record, byte_offset, reason from pipeline.quarantine"),
            [format!(
                "malformed|2|{offset}|a record of {size} bytes, and at most 32 MiB can be read"
            )]
        );
    }
}
