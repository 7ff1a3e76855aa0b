//! Tests of the SQL that this repository ships. Each file of `tests/slt/` is a test on its own database, with the
//! repository's tables and views. The tables are empty and accept any row. A file inserts the rows that it needs.
use std::collections::BTreeSet;

use postgres::{NoTls, SimpleQueryMessage};
use sqllogictest::{DBOutput, DefaultColumnType, Runner};

use crate::harness::{Database, Project, repository};

struct Server(postgres::Client);

impl sqllogictest::DB for Server {
    type Error = postgres::Error;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, postgres::Error> {
        let mut rows = Vec::new();
        let mut columns = None;
        let mut complete = 0;
        for message in self.0.simple_query(sql)? {
            match message {
                SimpleQueryMessage::RowDescription(description) => columns = Some(description.len()),
                SimpleQueryMessage::Row(row) => {
                    let cell = |index| match row.get(index) {
                        None => "NULL".to_owned(),
                        Some("") => "(empty)".to_owned(),
                        Some(text) => text.to_owned(),
                    };
                    rows.push((0..row.len()).map(cell).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => complete = count,
                _ => {}
            }
        }
        Ok(match columns {
            Some(columns) => DBOutput::Rows {
                types: vec![DefaultColumnType::Any; columns],
                rows,
            },
            None => DBOutput::StatementComplete(complete),
        })
    }
}

fn holds(file: &str, database: &Database) {
    let url = database.url();
    let mut runner = Runner::new(move || {
        let client = postgres::Client::connect(&url, NoTls);
        std::future::ready(client.map(Server))
    });
    if let Err(error) = runner.run_file(repository().join("tests/slt").join(file)) {
        panic!("{error}");
    }
}

/// Makes a test from each file's name.
macro_rules! files {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let database = Database::migrated();
                for entity in ["patients", "visits", "diagnoses", "treatments"] {
                    database.execute(&format!("create table {entity}_rows partition of {entity} default"));
                }
                holds(concat!(stringify!($name), ".slt"), &database);
            }
        )*
        const FILES: &[&str] = &[$(concat!(stringify!($name), ".slt")),*];
    };
}

files! {
    diagnosis_prevalence
    drug_utilisation_by_month
    patient_treatment_summary
    patients_as_of
    patients_current
    readmissions_within_30_days
    visits_current
}

/// The only file whose rows come from the sample data.
const SAMPLE_DATA: &str = "sample_data.slt";

#[test]
fn sample_data() {
    let database = Database::migrated();
    let project = Project::with_examples().on(&database);
    project
        .run(&["run", "--all-sources", "--start", "20230501", "--end", "20230502"])
        .code(0);
    holds(SAMPLE_DATA, &database);
}

#[test]
fn every_view_and_function_has_a_file_and_every_file_a_test() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(repository().join(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let tested: BTreeSet<String> = FILES.iter().map(|&file| file.to_owned()).collect();
    let shipped = ["sql/views", "sql/materialized", "sql/functions"]
        .map(names)
        .into_iter()
        .flatten();
    let shipped: BTreeSet<String> = shipped.map(|file| file.replace(".sql", ".slt")).collect();
    assert_eq!(tested, shipped);
    let mut files = names("tests/slt");
    assert!(files.remove(SAMPLE_DATA));
    assert_eq!(tested, files);
}
