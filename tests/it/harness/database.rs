//! A database per test. All of them are on one server.
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use postgres::{Client, NoTls, SimpleQueryMessage};

use super::Project;
use super::server::{Server, programs};

/// The shared server. The first test that needs it starts it.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(|_| Vec::new()))
}

/// The program psql: beside the server's programs, or in PATH.
pub fn psql() -> PathBuf {
    let beside = programs().map(|folder| folder.join("psql"));
    beside.filter(|psql| psql.exists()).unwrap_or_else(|| "psql".into())
}

fn url(database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{}/{database}", server().port)
}

pub struct Database {
    pub name: String,
}

impl Database {
    /// An empty database.
    pub fn fresh() -> Self {
        Self::create("template0")
    }

    /// A database with the migrations and views of this repository, as `pipeline migrate` and `pipeline views` make
    /// them.
    pub fn migrated() -> Self {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let database = Self::fresh();
            let project = Project::of_repository().on(&database);
            project.run(&["migrate"]).code(0);
            project.run(&["views"]).code(0);
            let name = database.name.clone();
            std::mem::forget(database);
            name
        });
        Self::create(template)
    }

    fn create(template: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self::admin()
            .batch_execute(&format!("create database {name} template {template}"))
            .unwrap();
        Self { name }
    }

    fn admin() -> Client {
        Client::connect(&url("postgres"), NoTls).unwrap()
    }

    pub fn url(&self) -> String {
        url(&self.name)
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }

    pub fn execute(&self, sql: &str) {
        self.client()
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    }

    /// The rows of a query in psql's unaligned format: `|` between cells, an empty text for a null.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        rows(&mut self.client(), sql)
    }

    /// The first cell of the only row.
    pub fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.into_iter().next().unwrap()
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> usize {
        self.value(&format!("select count(*) from {table}")).parse().unwrap()
    }

    /// The tables in `pipeline_partitions` that are not attached to a parent: what a run left behind.
    pub fn staging_tables(&self) -> Vec<String> {
        self.rows(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = 'pipeline_partitions' and c.relkind in ('r', 'p')
             and not exists (select from pg_inherits i where i.inhrelid = c.oid) order by 1",
        )
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The database of a failed test stays until the server stops, so that it can be inspected.
        if !std::thread::panicking() {
            let _ = Self::admin().batch_execute(&format!("drop database if exists {} with (force)", self.name));
        }
    }
}

pub fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    let answer = client
        .simple_query(sql)
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    let cells = |row: &postgres::SimpleQueryRow| {
        (0..row.len())
            .map(|cell| row.get(cell).unwrap_or_default())
            .collect::<Vec<_>>()
            .join("|")
    };
    answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(cells(row)),
            _ => None,
        })
        .collect()
}
