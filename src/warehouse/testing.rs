//! Databases for this module's tests: fresh ones on a private server of the machine's own PostgreSQL, and embedded
//! ones in memory. Where no PostgreSQL is installed, the tests that need one say so and pass.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Database, Warehouse};
use crate::error::Location;
use crate::model::{Column, Entity, PgType, Project};

/// A server that lives as long as this test process.
pub struct TestServer {
    pub folder: PathBuf,
    pub port: u16,
}

static SERVER: OnceLock<Option<TestServer>> = OnceLock::new();
static NAMES: AtomicUsize = AtomicUsize::new(0);

/// The shared server; `None` where none is installed.
pub fn server() -> Option<&'static TestServer> {
    SERVER
        .get_or_init(|| {
            let server = binaries().map(|binaries| start(&binaries, "", |_| String::new()));
            if server.is_none() {
                eprintln!("no PostgreSQL is installed: tests against a server are skipped");
            }
            server
        })
        .as_ref()
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
pub fn server_with(name: &str, prepare: impl FnOnce(&Path) -> String) -> Option<TestServer> {
    Some(start(&binaries()?, name, prepare))
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

fn binaries() -> Option<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.into_iter().rev().find(|folder| folder.join("initdb").exists())
}

/// initdb refuses to be root.
fn command(binary: &Path) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if !is_root {
        return Command::new(binary);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(binary);
    command
}

fn start(binaries: &Path, name: &str, prepare: impl FnOnce(&Path) -> String) -> TestServer {
    let folder = PathBuf::from(format!("/tmp/pipeline-test-{}{name}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let data = folder.join("data");
    let mut initdb = command(&binaries.join("initdb"));
    initdb
        .args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"])
        .arg(&data)
        .stdout(Stdio::null());
    assert!(initdb.status().unwrap().success(), "initdb");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = format!(
        "-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off {}",
        folder.display(),
        prepare(&data)
    );
    let mut pg_ctl = command(&binaries.join("pg_ctl"));
    pg_ctl
        .args(["-w", "-s", "-o", &options, "-l"])
        .arg(folder.join("log"))
        .arg("-D")
        .arg(&data)
        .arg("start");
    assert!(pg_ctl.stdout(Stdio::null()).status().unwrap().success(), "pg_ctl start");
    stop_with_us(binaries, &folder, &data);
    TestServer { folder, port }
}

/// Statics are not dropped: a shell waits for this process to end and then stops the server.
fn stop_with_us(binaries: &Path, folder: &Path, data: &Path) {
    let stop = command(&binaries.join("pg_ctl"));
    let words: Vec<String> = std::iter::once(stop.get_program())
        .chain(stop.get_args())
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    let script = format!(
        "(while kill -0 {} 2>/dev/null; do sleep 0.5; done; {} -s -m immediate -D {} stop; rm -rf {}) &",
        std::process::id(),
        words.join(" "),
        data.display(),
        folder.display()
    );
    // The shell leaves a child of its own behind, so that there is nothing to wait for.
    let started = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(started.success());
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
        indexes: Vec::new(),
        checks: vec![],
        location: place(),
    }
}

/// A project of entities alone.
pub fn project(root: &Path, entities: Vec<Entity>) -> Project {
    Project {
        profile: crate::model::Profile::Custom,
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
