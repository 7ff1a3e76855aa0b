//! In one transaction, a reader always sees one state of a batch, even while it is being loaded.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use postgres::Client;

use crate::harness::{Database, Project, SOURCE_A, batch, rows};

/// The number of patients in the old and the new content. The tables hold 1, 2, 4 and 8 rows for each patient.
const OLD: usize = 12;
const NEW: usize = 17;

const JOIN: &str = "select coalesce(string_agg(distinct concat_ws('/', p.name, v.provider_notes_text, d.diagnosis_description,
        t.treatments_drug), ','), ''), count(*)
    from patients p join visits v using (source, batch_date, patient_id) join diagnoses d using (source, batch_date, visit_id)
    join treatments t using (source, batch_date, visit_id, diagnosis_code)";

fn assert_one_state(seen: &str, what: &str) {
    let expected = [
        format!("old/old/old/old|{}", 8 * OLD),
        format!("new/new/new/new|{}", 8 * NEW),
    ];
    assert!(expected.contains(&seen.to_owned()), "{what} saw {seen:?}");
}

/// The results of four statements in one transaction, in the form of [`JOIN`].
fn four_statements(client: &mut Client) -> String {
    let mut words = Vec::new();
    let mut counts = Vec::new();
    // Children first. A swap between the statements would then be visible.
    for (table, column) in [
        ("treatments", "treatments_drug"),
        ("diagnoses", "diagnosis_description"),
        ("patients", "name"),
        ("visits", "provider_notes_text"),
    ] {
        let sql = format!("select coalesce(string_agg(distinct {column}, ','), ''), count(*) from {table}");
        let row = rows(client, &sql).remove(0);
        let (word, count) = row.split_once('|').unwrap();
        words.push(word.to_owned());
        counts.push(count.parse::<usize>().unwrap());
    }
    let consistent = counts[0] == 8 * counts[2] && counts[1] == 4 * counts[2] && counts[3] == 2 * counts[2];
    assert!(consistent, "counts of two states: {counts:?} {words:?}");
    format!("{}|{}", words.join("/"), counts[0])
}

fn started() -> (Database, Project) {
    let database = Database::migrated();
    let project = Project::of_repository().in_clear().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "old", OLD));
    // Materialized views are tested elsewhere. Without them, a rerun is faster.
    project.remove("sql/materialized");
    project.remove("sql/views");
    project.remove("sql/functions");
    (database, project)
}

#[test]
fn readers_see_no_mix_and_no_gap_while_a_batch_is_rerun_fifty_times() {
    let (database, project) = started();
    project.load("source_a", "2023-05-01");
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));
    let reader = |read: fn(&mut Client) -> String, what: &'static str| {
        let (mut client, stop, reads) = (database.client(), Arc::clone(&stop), Arc::clone(&reads));
        thread::spawn(move || {
            let mut states = std::collections::BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let seen = read(&mut client);
                assert_one_state(&seen, what);
                states.insert(seen);
                // Readers that never pause would block every swap, because the swap gives way to readers.
                thread::sleep(Duration::from_millis(15));
                reads.fetch_add(1, Ordering::Relaxed);
            }
            states.len()
        })
    };
    let readers = [
        reader(|client| rows(client, JOIN).remove(0), "one statement"),
        reader(
            |client| {
                client.batch_execute("begin isolation level repeatable read").unwrap();
                let seen = four_statements(client);
                client.batch_execute("commit").unwrap();
                seen
            },
            "several statements",
        ),
        reader(
            |client| {
                // The snapshot is taken before the tables are read, so it is often older than the load.
                client
                    .batch_execute("begin isolation level repeatable read; select 1 from pg_class limit 1")
                    .unwrap();
                thread::sleep(Duration::from_millis(60));
                let seen = four_statements(client);
                client.batch_execute("commit").unwrap();
                seen
            },
            "an old snapshot",
        ),
    ];
    for round in 0..50 {
        let (tag, patients) = if round % 2 == 0 { ("new", NEW) } else { ("old", OLD) };
        project.input("source_a", "20230501", batch(SOURCE_A, tag, patients));
        project.load("source_a", "2023-05-01");
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert_eq!(
            reader.join().expect("a reader saw a mix or a gap"),
            2,
            "a reader should have seen both states"
        );
    }
    assert!(
        reads.load(Ordering::Relaxed) > 50,
        "the readers should have been at work"
    );
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn a_snapshot_older_than_a_first_load_sees_all_or_nothing() {
    let (database, project) = started();
    let mut client = database.client();
    client
        .batch_execute("begin isolation level repeatable read; select 1 from pg_class limit 1")
        .unwrap();
    project.load("source_a", "2023-05-01");
    let seen = four_statements(&mut client);
    assert!(["old/old/old/old|96", "///|0"].contains(&seen.as_str()), "{seen}");
}

#[test]
fn a_snapshot_older_than_a_rerun_sees_one_state() {
    let (database, project) = started();
    project.load("source_a", "2023-05-01");
    let mut client = database.client();
    client
        .batch_execute("begin isolation level repeatable read; select 1 from pg_class limit 1")
        .unwrap();
    project.input("source_a", "20230501", batch(SOURCE_A, "new", NEW));
    project.load("source_a", "2023-05-01");
    assert_one_state(&four_statements(&mut client), "a snapshot older than the load");
    client.batch_execute("commit").unwrap();
    assert_eq!(rows(&mut client, JOIN), [format!("new/new/new/new|{}", 8 * NEW)]);
}
