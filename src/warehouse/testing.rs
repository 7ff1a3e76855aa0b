//! Databases for this module's tests: fresh ones on a private PostgreSQL server, and embedded ones in memory.
//!
//! Where no PostgreSQL is installed, the tests that need one fail. `PIPELINE_SKIP_POSTGRES=1 cargo test --lib` leaves out
//! what they do with a server: they pass then, each with a line that says so. It does not work in CI, where `CI` is set.

use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Location;
use crate::model::{Column, Entity, PgType, Project};
use crate::warehouse::connect::{Connection, Database, Warehouse};
use crate::warehouse::sql::PROJECT_PATH;

/// The one that the tests through the binary use, too.
#[path = "../../tests/it/harness/server.rs"]
mod server_process;

use server_process::Server;

pub struct TestServer(Server);

impl Deref for TestServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

static NAMES: AtomicUsize = AtomicUsize::new(0);

/// The server that the tests of this process share; `None` where tests against a server are left out on purpose.
pub fn server() -> Option<&'static TestServer> {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    if left_out() {
        return None;
    }
    Some(SERVER.get_or_init(|| TestServer(Server::start(|_| Vec::new()))))
}

/// Whether `PIPELINE_SKIP_POSTGRES` says so.
fn left_out() -> bool {
    if std::env::var_os("PIPELINE_SKIP_POSTGRES").is_none_or(|value| value.is_empty() || value == "0") {
        return false;
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(
        !in_ci,
        "PIPELINE_SKIP_POSTGRES is set, and so is CI: in CI every test runs, so unset one of them"
    );
    // Not `eprintln!`: the output of a test that passes is not shown.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(
        std::io::stderr(),
        "not tested against a server, as PIPELINE_SKIP_POSTGRES says: {test}"
    );
    true
}

/// A new, empty database on the shared server.
pub async fn fresh(connections: usize) -> Option<Warehouse> {
    let server = server()?;
    Some(server.open(&server.create().await, connections).await)
}

/// The kinds of databases that everything must work on: an embedded one, and where there is a server, one there.
pub async fn both() -> Vec<Warehouse> {
    let mut all = vec![Warehouse::open(Database::Memory, 1).await.unwrap()];
    all.extend(fresh(4).await);
    all
}

/// Another server, set up by `prepare`: it gets the data folder, may write there, and gives options of `postgres`.
pub fn server_with(prepare: impl FnOnce(&Path) -> Vec<String>) -> Option<TestServer> {
    (!left_out()).then(|| TestServer(Server::start(prepare)))
}

/// A server by its connection string alone, without the environment.
pub fn database(conninfo: &str) -> Database {
    Database::choose_from(Some(conninfo), Path::new("/"), &|_| None).unwrap()
}

impl TestServer {
    pub async fn create(&self) -> String {
        let name = format!("t{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let admin = self.open("postgres", 1).await;
        admin
            .acquire()
            .await
            .unwrap()
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        name
    }

    pub async fn open(&self, name: &str, connections: usize) -> Warehouse {
        let (folder, port) = (self.folder.display(), self.port);
        let conninfo = format!("host={folder} port={port} user=postgres dbname={name}");
        Warehouse::open(database(&conninfo), connections).await.unwrap()
    }
}

impl Warehouse {
    /// A session that finds the tables of `public` by their names alone, as a project's SQL does.
    pub async fn acquire_as_user(&self) -> crate::error::Result<Connection> {
        let connection = self.acquire().await?;
        connection.batch_execute(&format!("SET {PROJECT_PATH}")).await.unwrap();
        Ok(connection)
    }
}

/// A column without a description.
pub fn column(name: &str, pg_type: PgType, nullable: bool) -> Column {
    Column {
        name: name.to_owned(),
        pg_type,
        nullable,
        description: None,
        location: place(),
    }
}

/// An entity without key and indexes.
pub fn entity(name: &str, columns: Vec<Column>) -> Entity {
    Entity {
        name: name.to_owned(),
        description: None,
        columns,
        key: Vec::new(),
        parent: None,
        deletes_from: None,
        deleted_flag: None,
        indexes: Vec::new(),
        checks: vec![],
        location: place(),
    }
}

/// A project of entities alone.
pub fn project(root: &Path, entities: Vec<Entity>) -> Project {
    Project {
        exposed: Vec::new(),
        profile: crate::model::Profile::Custom,
        gate: None,
        root: root.to_owned(),
        entities,
        sources: Vec::new(),
        views: Vec::new(),
        checks: Vec::new(),
        text: String::new(),
    }
}

fn place() -> Location {
    Location {
        file: PathBuf::from("pipeline.yaml"),
        line: 3,
        column: 5,
        length: 4,
        text: String::new(),
    }
}
