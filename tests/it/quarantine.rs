//! Damage that has no end is accounted for in bytes, and the old content stands.
use crate::harness::Small;

#[test]
fn damage_without_an_end_is_accounted_for_in_bytes() {
    for (text, why) in [
        (
            "[{\"id\": \"a\"}, {\"id\": \"CANARY\", \"x\": [1}, {\"id\": \"b\"}]",
            "a bracket closes that is not the one open at byte 38",
        ),
        (
            "[{\"id\": \"a\"}, {\"id\": \"CANA",
            "the file ends inside the value that starts here: a quote is not closed at byte 14",
        ),
    ] {
        let (database, project) = Small::new().on_server();
        project.write("in/2023-05-01.json", "[{\"id\": \"old\"}]");
        project.run_clinic().code(0);
        project.write("in/2023-05-01.json", text);
        project.run_clinic().code(1).output_lacks("CANARY");
        assert_eq!(database.rows("select item_id from items"), ["old"]);
        assert_eq!(
            database.rows("select check_name, file, record, byte_offset, reason from pipeline.quarantine"),
            [format!(
                "unreadable|in/2023-05-01.json|2|14|an unreadable stretch of {} bytes to the end of the file: {why}",
                text.len() - 14
            )]
        );
    }
}
