//! Plants eighteen kinds of identifiers in every place of the shipped sources that can hold one. Afterwards, none may
//! be found: in no table, message, log, history, quarantine or spill file, and not in PostgreSQL's own log at its most
//! detailed level.
//!
//! Some text fields are declared without a class (`visit_id`, `code`, `description`, the drug and the dose) and are
//! stored unchanged. A text in them is not a leak. In these fields the identifiers are planted where the value is
//! refused: in a list or a struct, and as a struct's key.
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::harness::{
    Database, IDENTIFIERS, Project, SOURCE_A, SOURCE_B, Words, everything, hashed, in_a_file_name, lacks, server,
    talkative,
};

const DATE: &str = "20230501";
/// The number of records. Sorting so many does not fit into the memory that the run may use.
const RECORDS: usize = 40_000;

/// A valid record in the shape of the two sources. `n` makes it different from others.
fn honest(words: Words, n: usize) -> Value {
    json!({
        "patient_id": format!("P-{n}"), "name": "Somebody",
        "visits": [{
            "visit_id": format!("V-{n}"), "date": "2023-05-01",
            "diagnoses": [{"code": "E11", "description": "d", "treatments": [{words.drug: "x", words.dose: "y"}]}],
            "provider_notes": {"text": "t", words.author: "a"},
        }],
    })
}

/// The JSON pointers to everything in a record, including objects and lists.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    let (keys, children): (Vec<String>, Vec<&Value>) = match value {
        Value::Object(fields) => (fields.keys().cloned().collect(), fields.values().collect()),
        Value::Array(items) => (
            (0..items.len()).map(|at| at.to_string()).collect(),
            items.iter().collect(),
        ),
        _ => return,
    };
    for (key, child) in keys.iter().zip(children) {
        let path = format!("{at}/{key}");
        found.push(path.clone());
        paths(child, &path, found);
    }
}

/// Valid records. The identifier is in every masked field, in undeclared fields of every object, and in their names.
fn good(words: Words, n: usize, identifier: &str) -> Value {
    let mut record = honest(words, n);
    for masked in ["/patient_id", "/name", "/visits/0/provider_notes/text"] {
        *record.pointer_mut(masked).unwrap() = json!(format!("{identifier}{}", "!".repeat(n % 2)));
    }
    record["patient_id"] = json!(format!("{identifier} {n}"));
    record["visits"][0]["provider_notes"][words.author] = json!(identifier);
    for object in [
        "",
        "/visits/0",
        "/visits/0/diagnoses/0",
        "/visits/0/diagnoses/0/treatments/0",
        "/visits/0/provider_notes",
    ] {
        let fields = record.pointer_mut(object).unwrap().as_object_mut().unwrap();
        fields.insert("undeclared".to_owned(), json!([identifier, {identifier: identifier}]));
        fields.insert(identifier.to_owned(), json!(identifier));
    }
    record
}

/// Records that can't be loaded, one for each place and kind of damage. At every path of a record, one has a list, a
/// struct, a number or a text that is wrong there. Others are not valid JSON and have the identifier before, inside and
/// after the damage.
fn damaged(words: Words, identifier: &str) -> Vec<String> {
    let mut all = Vec::new();
    paths(&honest(words, 0), "", &mut all);
    let mut records = Vec::new();
    for path in &all {
        let was = honest(words, 0).pointer(path).unwrap().clone();
        let mut object = Map::new();
        object.insert(identifier.to_owned(), json!(identifier));
        let mut wrong = vec![json!({"x": identifier}), json!([identifier]), Value::Object(object)];
        if !was.is_string() || path.ends_with("/date") {
            wrong.push(json!(identifier));
        }
        for value in wrong {
            // An empty list or struct of the right kind would load. These never load.
            if was.is_array() == value.is_array() && was.is_object() == value.is_object() && !was.is_string() {
                continue;
            }
            let mut record = honest(words, 0);
            *record.pointer_mut(path).unwrap() = value;
            records.push(record.to_string());
        }
    }
    let quoted = json!(identifier).to_string();
    let inner = &quoted[1..quoted.len() - 1];
    records.extend([
        format!(r#"{{"patient_id": {quoted}, "name": tru, "x": {quoted}}}"#),
        format!(r#"{{"patient_id": {quoted}, "name": "{inner}\q"}}"#),
        format!(r#"{{"patient_id": {quoted}, "name": {quoted}, "name": {quoted}}}"#),
        format!(r#"{{"patient_id": {quoted}, {quoted}: 1,, {quoted}: 2}}"#),
        format!(r#"{{{quoted}: {quoted}, "name": {quoted}}}"#),
        format!(r#"{{"patient_id": "{inner}\ud800", "visits": [{{"visit_id": {quoted}}}]}}"#),
        quoted.clone(),
        format!("[{quoted}]"),
    ]);
    records
}

struct Planted {
    database: Database,
    project: Project,
}

impl Planted {
    /// The repository's project, with input files whose names were chosen by a sender.
    fn new() -> Self {
        let database = Database::migrated();
        talkative(&database);
        let project = Project::of_repository().on(&database);
        for source in ["source_a", "source_b"] {
            let yaml = format!("pipelines/{source}.yaml");
            project.edit(&yaml, "/visit_events.json", "/*/events*.json");
            project.edit(&yaml, "transforms:", "max_quarantined: 100%\ntransforms:");
        }
        Self { database, project }
    }

    /// Writes a file whose folder and name contain an identifier.
    fn file(&self, source: &str, identifier: &str, text: &str) {
        let safe = in_a_file_name(identifier);
        let path = format!("examples/data/{source}/{DATE}/{safe}/events {safe}.json");
        self.project.write(&path, text);
    }

    /// Runs both sources with every output format and log level, and searches the output.
    fn run(&self, code: i32) {
        for extra in [
            &["--log-format", "text"][..],
            &["--log-format", "json", "--output", "json"],
        ] {
            let mut args = vec!["run", "--all-sources", "--date", DATE, "-v", "-v"];
            args.extend(extra);
            let outcome = self.project.run(&args);
            assert_eq!(outcome.exit(), Some(code), "{}", outcome.stderr);
            lacks(outcome.stdout.as_bytes(), "stdout");
            lacks(outcome.stderr.as_bytes(), "stderr");
        }
        for args in [&["status"][..], &["quarantine", "list"], &["quarantine", "show"]] {
            for output in ["text", "json"] {
                let outcome = self.project.run(&[args, &["--output", output]].concat()).code(0);
                lacks(outcome.stdout.as_bytes(), "stdout");
                lacks(outcome.stderr.as_bytes(), "stderr");
            }
        }
    }

    /// Searches everything that the runs left behind.
    fn search(&self) {
        lacks(everything(&self.database).as_bytes(), "the database");
        lacks(server().log().as_bytes(), "the server's log");
        for (path, bytes) in files(&self.project.path(".pipeline")) {
            lacks(path.as_bytes(), "a name of a file");
            lacks(&bytes, &path);
        }
    }
}

/// All files below a folder, with their content. Some may disappear during the search.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            files(&path)
        } else {
            fs::read(&path)
                .map(|bytes| (path.to_string_lossy().into_owned(), bytes))
                .into_iter()
                .collect()
        }
    });
    below.collect()
}

#[test]
fn no_identifier_is_anywhere() {
    let planted = Planted::new();
    let mut wrong = 0;
    for (source, words) in [("source_a", SOURCE_A), ("source_b", SOURCE_B)] {
        for (n, identifier) in IDENTIFIERS.iter().enumerate() {
            let bad = damaged(words, identifier);
            wrong += bad.len();
            let mut records = vec![good(words, n, identifier).to_string()];
            records.extend(bad);
            records.push(good(words, n + IDENTIFIERS.len(), identifier).to_string());
            planted.file(source, identifier, &format!("[{}]", records.join(",\n")));
        }
    }
    planted.run(0);
    let loaded = 2 * 2 * IDENTIFIERS.len();
    assert_eq!(planted.database.count("patients"), loaded, "what should load loads");
    let refused = "pipeline.quarantine where run_id in (select max(run_id) from pipeline.runs group by source)";
    assert_eq!(planted.database.count(refused), wrong, "what should be refused is");
    let known = hashed(&format!("{} 0", IDENTIFIERS[0]));
    assert!(
        everything(&planted.database).contains(&known),
        "the tables were looked through"
    );
    planted.search();

    // Only a user who asks for the names of the files sees them.
    let show = ["quarantine", "show", "--names", "--limit", "100000"];
    let named = planted.project.run(&show).code(0).stdout;
    for identifier in IDENTIFIERS {
        assert!(
            named.contains(&format!(
                "examples/data/source_b/20230501/{0}/events {0}.json",
                in_a_file_name(identifier)
            )),
            "{identifier}"
        );
    }
    planted.search();
}

#[test]
fn none_is_anywhere_after_a_batch_that_fails() {
    let planted = Planted::new();
    for (source, words) in [("source_a", SOURCE_A), ("source_b", SOURCE_B)] {
        for (n, identifier) in IDENTIFIERS.iter().enumerate() {
            let text = format!("[{}", good(words, n, identifier));
            planted.file(source, identifier, &text[..text.len() - 9]);
        }
    }
    planted.run(1);
    planted.search();
    // Damage that is found before any record is read.
    for yaml in ["pipelines/source_a.yaml", "pipelines/source_b.yaml"] {
        planted
            .project
            .edit(yaml, "  format: json", "  format: json\n  compression: gzip");
    }
    planted.run(1);
    planted.search();
    // Files that can't be opened: symbolic links that point to themselves.
    for source in ["source_a", "source_b"] {
        for identifier in IDENTIFIERS {
            let name = format!("events {}.json", in_a_file_name(identifier));
            let link = planted
                .project
                .path(&format!("examples/data/{source}/{DATE}/links/{name}"));
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(&name, &link).unwrap();
        }
    }
    planted.run(1);
    planted.search();
}

#[test]
fn the_embedded_database_holds_none_either() {
    let project = Project::of_repository();
    let records: Vec<Value> = IDENTIFIERS
        .iter()
        .enumerate()
        .map(|(n, id)| good(SOURCE_A, n, id))
        .collect();
    project.input("source_a", DATE, json!(records).to_string());
    project.load("source_a", DATE);
    let kept = files(&project.path(".pipeline"));
    let holds = |text: &str| {
        kept.iter()
            .any(|(_, bytes)| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    assert!(holds("[redacted]"), "the tables' files were looked through");
    for (path, bytes) in &kept {
        lacks(bytes, path);
    }
}

#[test]
fn what_spills_is_masked() {
    let planted = Planted::new();
    let mut records = Vec::new();
    for n in 0..RECORDS {
        let identifier = IDENTIFIERS[n % IDENTIFIERS.len()];
        let mut record = honest(SOURCE_A, n);
        record["patient_id"] = json!(format!("{identifier} {n}"));
        record["name"] = json!(identifier);
        record["visits"][0]["provider_notes"] = json!({"text": identifier, "author": identifier});
        // The value is long, so that sorting by it spills to disk.
        record["visits"][0]["visit_id"] = json!(format!("{n:0>250}"));
        records.push(record.to_string());
    }
    planted.file("source_a", IDENTIFIERS[0], &format!("[{}]", records.join(",")));
    let args = ["run", "--source", "a", "--date", DATE, "--memory", "64MB"];
    let first = hashed(&format!("{} 0", IDENTIFIERS[0]));
    let holds_first = |bytes: &[u8]| bytes.windows(first.len()).any(|window| window == first.as_bytes());
    let spilled = || {
        let all = files(&planted.project.path(".pipeline/spill"));
        all.into_iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect::<Vec<_>>()
    };
    let mut running = planted.project.spawn(&args);
    crate::harness::until("something spills", || {
        assert!(!running.is_over(), "nothing was spilled: {}", running.stderr_so_far());
        spilled().iter().any(|(_, bytes)| holds_first(bytes))
    });
    running.kill();
    running.wait().killed();
    assert!(!spilled().is_empty(), "a killed run leaves its spill files to the next");
    planted.search();
    planted.project.run(&args).code(0);
    assert_eq!(planted.database.count("patients"), RECORDS);
    assert!(spilled().is_empty(), "the next run removes them");
}
