//! The SQL that this repository ships, tested as SQL: every file of `tests/slt/` on a database of its own, with the
//! repository's migrations, views and sample data in place.
use std::path::PathBuf;

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

#[test]
fn every_slt_file_holds() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(repository().join("tests/slt"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let database = Database::migrated();
    let project = Project::with_examples().on(&database);
    project
        .run(&["run", "--all-sources", "--start", "20230501", "--end", "20230502"])
        .code(0);
    for file in files {
        let url = database.url();
        let mut runner = Runner::new(move || {
            let client = postgres::Client::connect(&url, NoTls);
            std::future::ready(client.map(Server))
        });
        if let Err(error) = runner.run_file(&file) {
            panic!("{error}");
        }
    }
}
