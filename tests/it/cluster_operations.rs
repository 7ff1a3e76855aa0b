//! What an operator needs of a cluster: how far it is, how it is, and connections that nobody else can use.
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cluster_processes::{Cluster, RUN, SLOW, tags, word_after};
use crate::harness::{Database, Project, SOURCE_A, batch, until};

/// The status and the body that `GET` answers.
fn get(url: &str, path: &str) -> (u16, String) {
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

fn project(patients: usize) -> (Database, Project) {
    let database = Database::migrated();
    let project = Project::of_repository().in_clear().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", patients));
    (database, project)
}

#[test]
fn a_run_shows_how_far_the_executors_are() {
    let (database, project) = project(20_000);
    let project = project.env("PIPELINE_PROGRESS_MS", "300").env("FAILPOINTS", SLOW);
    let cluster = Cluster::start(&project, 1);
    let running = project.spawn(&[&RUN[..], &[&cluster.url]].concat());
    let noted = "pipeline.progress where bytes > 0 and records > 0 and entities ? 'patients'";
    until("progress is noted", || database.count(noted) == 1);
    let outcome = running.wait().code(0);
    let lines: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("0 of 1 batches done"))
        .collect();
    let some = lines
        .iter()
        .find(|line| !line.contains("; 0 B of") && !line.contains(" 0 records"));
    assert!(some.is_some(), "{lines:#?}");
    assert_eq!(tags(&database), "new|20000");
    assert_eq!(database.count("pipeline.progress"), 0, "nothing is left of it");
}

#[test]
fn the_servers_tell_how_they_are() {
    let (database, project) = project(3);
    let mut cluster = Cluster::start_with(&project, 1, &["--health", "127.0.0.1:0"]);
    let scheduler = word_after(&cluster.scheduler, "how it is: ");
    let executor = word_after(&cluster.executors[0], "how it is: ");
    for url in [&scheduler, &executor] {
        assert_eq!(get(url, "/health/live"), (200, "live\n".to_owned()));
        assert_eq!(get(url, "/").0, 404);
        until("it is ready", || {
            get(url, "/health/ready") == (200, "ready\n".to_owned())
        });
    }
    let name = database.value("select current_database()");
    let other = Database::fresh();
    other.execute(&format!("alter database {name} allow_connections false"));
    other.rows(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    ));
    until("it has no database", || {
        get(&executor, "/health/ready") == (503, "not ready: the database does not answer\n".to_owned())
    });
    assert_eq!(get(&executor, "/health/live").0, 200);
    other.execute(&format!("alter database {name} allow_connections true"));
    until("it has its database again", || get(&executor, "/health/ready").0 == 200);
    cluster.scheduler.kill();
    until("it has no scheduler", || {
        get(&executor, "/health/ready") == (503, "not ready: the scheduler does not answer\n".to_owned())
    });
}

/// Makes an authority, certificates of it for this machine, and one of a stranger.
const CERTIFICATES: &str = "
set -e
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $1.key -subj \"/CN=$1\" \"${@:2}\" 2>/dev/null; }
new ca -x509 -days 2 -out ca.crt
new other -x509 -days 2 -out other.crt
for of in 'node ca 127.0.0.1' 'stranger other 127.0.0.1' 'misnamed ca 192.0.2.1'; do
    set -- $of
    new $1 -out $1.csr
    openssl x509 -req -in $1.csr -CA $2.crt -CAkey $2.key -days 2 -out $1.crt -extfile <(echo subjectAltName=IP:$3) 2>/dev/null
done
";

pub(crate) fn certificates(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let made = Command::new("bash")
        .args(["-c", CERTIFICATES])
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(made.success(), "openssl makes the certificates of this test");
}

/// The options for a certificate of the folder, which trusts an authority.
pub(crate) fn tls(folder: &Path, name: &str, ca: &str) -> Vec<String> {
    let file = |name: String| -> PathBuf { folder.join(name) };
    [
        ("--tls-cert", file(format!("{name}.crt"))),
        ("--tls-key", file(format!("{name}.key"))),
        ("--tls-ca", file(format!("{ca}.crt"))),
    ]
    .map(|(option, file)| format!("{option}={}", file.display()))
    .into()
}

fn run(project: &Project, url: &str, options: &[String]) -> crate::harness::Outcome {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    project.run(&[&RUN[..], &[url], &options].concat())
}

#[test]
fn with_certificates_only_machines_of_the_cluster_take_part() {
    let (database, project) = project(300);
    let folder = project.path("certificates");
    certificates(&folder);
    let node = tls(&folder, "node", "ca");
    let options: Vec<&str> = node.iter().map(String::as_str).collect();
    let mut cluster = Cluster::start_with(&project, 2, &options);
    run(&project, &cluster.url, &node).code(0);
    assert_eq!(tags(&database), "new|300");

    project.input("source_a", "20230501", batch(SOURCE_A, "newer", 300));
    // Who has no certificate, who has a stranger's, and who trusts a stranger.
    let broken_off = (
        "has broken off the connection",
        "if it asks for a certificate, name one of its authority: --tls-cert",
    );
    let untrusted = (
        "invalid peer certificate: UnknownIssuer",
        "certificates of one authority; name it on both ends: --tls-ca",
    );
    for (options, (why, remedy)) in [
        (Vec::new(), broken_off),
        (tls(&folder, "stranger", "ca"), broken_off),
        (tls(&folder, "node", "other"), untrusted),
    ] {
        run(&project, &cluster.url, &options)
            .code(3)
            .stderr_contains(&cluster.url)
            .stderr_contains(why)
            .stderr_contains(remedy);
        assert_eq!(tags(&database), "new|300");
    }
    // A run reaches an executor only if the certificate is that of the executor's address.
    let misnamed = tls(&folder, "misnamed", "ca");
    let misnamed: Vec<&str> = misnamed.iter().map(String::as_str).collect();
    cluster.executors.clear();
    let url = cluster.url.clone();
    cluster.add_at(&project, 7, &url, &misnamed);
    run(&project, &url, &node)
        .code(3)
        .stderr_contains("the executors that filled the batch can't be reached");
    assert_eq!(tags(&database), "new|300");
    // A stranger's executor is given nothing.
    cluster.executors.clear();
    let stranger = tls(&folder, "stranger", "ca");
    let stranger: Vec<&str> = stranger.iter().map(String::as_str).collect();
    cluster.add_at(&project, 8, &url, &stranger);
    let refused = cluster.executors.remove(0).wait().code(3);
    refused
        .stderr_contains("can't be reached")
        .stderr_contains("if it asks for a certificate, name one of its authority: --tls-cert");
    // Who asks for a certificate, of one that has none.
    let plain = Cluster::start(&project, 0);
    run(&project, &plain.url, &node)
        .code(3)
        .stderr_contains("it does not use TLS: start it with --tls-cert");
    cluster.add_at(&project, 9, &url, &options);
    run(&project, &url, &node).code(0);
    assert_eq!(tags(&database), "newer|300");
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn certificates_that_can_not_be_used_are_named() {
    let (_database, project) = project(3);
    let folder = project.path("certificates");
    certificates(&folder);
    let file = |name: &str| folder.join(name).display().to_string();
    let scheduler = |cert: &str, key: &str, ca: &str| {
        let options = ["--tls-cert", cert, "--tls-key", key, "--tls-ca", ca];
        project.run(&[&["cluster", "scheduler", "--bind", "127.0.0.1:0"][..], &options[..]].concat())
    };
    scheduler(&file("absent.crt"), &file("node.key"), &file("ca.crt"))
        .code(2)
        .stderr_contains("absent.crt can't be used")
        .stderr_contains("No such file or directory");
    scheduler(&file("node.crt"), &file("node.crt"), &file("ca.crt"))
        .code(2)
        .stderr_contains("node.crt can't be used")
        .stderr_contains("it holds no private key");
    // A key that is another certificate's.
    scheduler(&file("node.crt"), &file("stranger.key"), &file("ca.crt"))
        .code(2)
        .stderr_contains("KeyMismatch");
    project
        .run(&["cluster", "scheduler", "--tls-cert", &file("node.crt")])
        .code(2)
        .stderr_contains("--tls-key <FILE>");
}
