//! The private PostgreSQL server of this test process. It never touches one that runs already, and it stops when this
//! process ends, however that happens: a shell holds the reading end of a pipe and stops the server at its end.
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

/// `$1` the server's folder, `$2` its programs, `$3` its port, the rest how to become the server's user.
const WATCHDOG: &str = r#"
set -eu
dir=$1 bin=$2 port=$3
shift 3
"$@" "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1
"$@" "$bin/postgres" -D "$dir/data" -p "$port" -k "$dir" -c listen_addresses=127.0.0.1 -c max_connections=300 \
    -c fsync=off -c full_page_writes=off -c shared_buffers=128MB -c autovacuum_naptime=5s \
    </dev/null >"$dir/server.log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server" 2>/dev/null || true
wait "$server" || true
rm -rf "$dir"
"#;

pub struct Server {
    pub port: u16,
    dir: PathBuf,
    /// Its standard input is the pipe; a static is never dropped, so only the end of the process closes it.
    _watchdog: Child,
}

/// Started by the first test that asks.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    fn start() -> Self {
        let bin = programs();
        let dir = tempfile::Builder::new()
            .prefix("pipeline-it-")
            .tempdir()
            .unwrap()
            .keep();
        let user = unprivileged();
        if let Some((name, uid, gid)) = &user {
            chown(&dir, Some(*uid), Some(*gid)).unwrap_or_else(|error| panic!("can't give {name} its folder: {error}"));
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("sh");
        command
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&dir)
            .arg(&bin)
            .arg(port.to_string());
        if let Some((name, uid, gid)) = &user {
            let _ = name;
            command.args([
                "setpriv",
                &format!("--reuid={uid}"),
                &format!("--regid={gid}"),
                "--clear-groups",
                "--",
            ]);
        }
        // A group of its own: Ctrl-C at the terminal ends the tests, and they end the server.
        let watchdog = command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self {
            port,
            dir,
            _watchdog: watchdog,
        };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let answer = Client::connect(&self.url("postgres"), NoTls)
                .and_then(|mut client| client.query_one("select current_setting('data_directory')", &[]))
                .map(|row| row.get::<_, String>(0));
            match answer {
                Ok(data) if Path::new(&data) == self.dir.join("data") => return,
                Ok(data) => panic!("port {} is another server's, of {data}", self.port),
                Err(error) if Instant::now() > deadline => {
                    let initdb = fs::read_to_string(self.dir.join("initdb.log")).unwrap_or_default();
                    panic!("PostgreSQL does not start: {error}\n{initdb}\n{}", self.log());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The server's whole log, of all tests.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Beside the server's programs, or in PATH.
pub fn psql() -> PathBuf {
    let beside = programs().join("psql");
    if beside.exists() { beside } else { "psql".into() }
}

/// Where `initdb` and `postgres` are: in PATH, or where Debian and Ubuntu put them.
fn programs() -> PathBuf {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&in_path).collect();
    let mut packaged: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    packaged.sort();
    found.extend(packaged.into_iter().rev());
    found
        .into_iter()
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
        .expect("these tests need the programs of a PostgreSQL server; `bash tests/run` installs them")
}

/// `initdb` refuses root, so root starts the server as somebody else.
fn unprivileged() -> Option<(String, u32, u32)> {
    if fs::metadata("/proc/self")
        .map(|me| std::os::unix::fs::MetadataExt::uid(&me))
        .ok()
        != Some(0)
    {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|name| {
        let fields: Vec<&str> = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?
            .split(':')
            .collect();
        Some((
            (*name).to_owned(),
            fields.get(2)?.parse().ok()?,
            fields.get(3)?.parse().ok()?,
        ))
    })
}
