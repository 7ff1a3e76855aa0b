//! Every folder of `examples/` with a project of its own runs on the embedded database and gives the results in its
//! `expected.json`. So does this repository itself.
use serde_json::Value;

use crate::harness::{Project, counts_by_batch, repository};

/// Runs all batches that `expected.json` names, and compares the row counts of tables and views.
pub fn run_and_compare(project: &Project, expected: &str) {
    let expected: Value = serde_json::from_str(expected).unwrap();
    let batches = expected["batches"].as_array().unwrap();
    let dates: Vec<&str> = batches.iter().map(|batch| batch["date"].as_str().unwrap()).collect();
    let (start, end) = (dates.iter().min().unwrap(), dates.iter().max().unwrap());
    project
        .run(&["run", "--all-sources", "--start", start, "--end", end])
        .code(0);

    let mut entities: Vec<&str> = batches
        .iter()
        .flat_map(|batch| batch["rows"].as_object().unwrap().keys().map(String::as_str))
        .collect();
    entities.sort_unstable();
    entities.dedup();
    let mut rows: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            let counts = batch["rows"].as_object().unwrap().iter();
            let (source, date) = (batch["source"].as_str().unwrap(), batch["date"].as_str().unwrap());
            counts
                .filter(|(_, rows)| rows.as_u64() != Some(0))
                .map(move |(entity, rows)| format!("{source},{date},{entity},{rows}"))
        })
        .collect();
    rows.sort();
    assert_eq!(project.query(&counts_by_batch(&entities)), rows);

    if let Some(views) = expected["views"].as_object() {
        for (name, count) in views {
            let cases: Vec<(String, &Value)> = match count {
                Value::Object(by_date) => by_date
                    .iter()
                    .map(|(date, count)| (format!("{name}('{date}')"), count))
                    .collect(),
                _ => match name.strip_suffix("_metformin") {
                    Some(view) => vec![(format!("{view} where treatments_drug = 'Metformin'"), count)],
                    None => vec![(name.clone(), count)],
                },
            };
            for (from, count) in cases {
                assert_eq!(
                    project.query(&format!("select count(*) from {from}")),
                    [count.to_string()],
                    "{from}"
                );
            }
        }
    }
}

#[test]
fn every_example_gives_what_it_says() {
    let mut run = 0;
    for entry in std::fs::read_dir(repository().join("examples")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("pipeline.yaml").exists() {
            continue;
        }
        let project = Project::copy_of(&folder);
        run_and_compare(&project, &project.read("expected.json"));
        run += 1;
    }
    assert!(run > 0, "examples/ holds no project");
}
