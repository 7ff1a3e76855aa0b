//! A private PostgreSQL server for the tests in this folder and in `src/warehouse`, which includes this file. It never
//! touches a server that is already running. It stops when the test process ends for any reason: a shell holds the
//! reading end of a pipe and stops the server when the pipe closes.
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A shell script. `$1` is the server's folder, and the other arguments are the server's command.
const WATCHDOG: &str = r#"
folder=$1
shift
"$@" </dev/null >"$folder/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$folder"
"#;

/// A running server. It accepts the user `postgres` without a password, through the socket in its folder and at
/// 127.0.0.1.
pub struct Server {
    pub port: u16,
    /// The folder that contains the socket, the log and the data folder `data`.
    pub folder: PathBuf,
    /// The process whose standard input is the pipe. The pipe closes when this is dropped or the test process ends.
    _watchdog: Child,
}

impl Server {
    /// Starts a server with a new data folder. `prepare` gets that folder before the start. It may change files there
    /// and returns additional options for `postgres`.
    pub fn start(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let programs = programs().expect(
            "this test needs the programs of a PostgreSQL server, initdb and postgres, and finds none in PATH nor in \
             /usr/lib/postgresql, or not where PIPELINE_TEST_POSTGRES says that they are. `bash tests/run` installs them",
        );
        let folder = tempfile::Builder::new()
            .prefix("pipeline-test-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let user = server_user();
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let initdb = as_user(user, &programs.join("initdb"))
            .args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-D",
            ])
            .arg(&data)
            .current_dir("/")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&initdb.stderr);
        assert!(initdb.status.success(), "initdb: {said}");
        let options = prepare(&data);

        let folder = folder.keep();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = as_user(user, &programs.join("postgres"));
        postgres.arg("-D").arg(&data).arg("-k").arg(&folder);
        postgres.args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "max_connections=300",
            "shared_buffers=128MB",
            "autovacuum_naptime=5s",
            "fsync=off",
            "full_page_writes=off",
        ] {
            postgres.args(["-c", setting]);
        }
        postgres.args(options);
        // The process has its own group. Ctrl-C in the terminal ends the tests, which then end the server.
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&folder)
            .arg(postgres.get_program())
            .args(postgres.get_args())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self {
            port,
            folder,
            _watchdog: watchdog,
        };
        server.wait_until_ready();
        server
    }

    /// Waits as `pg_ctl -w` does: the last line of the server's pid file says when the server accepts connections.
    fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_mins(2);
        let file = self.folder.join("data/postmaster.pid");
        while !fs::read_to_string(&file).is_ok_and(|text| text.lines().nth(7).map(str::trim_end) == Some("ready")) {
            let log = self.log();
            assert!(
                !log.contains("FATAL:") && Instant::now() < deadline,
                "PostgreSQL does not start:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The server's whole log, with the lines of all tests.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The folder of `initdb` and `postgres`. It is named by `PIPELINE_TEST_POSTGRES`, or found in PATH, or it is the
/// newest one in the place where Debian and Ubuntu install them.
pub fn programs() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = if let Some(named) = std::env::var_os("PIPELINE_TEST_POSTGRES") {
        vec![named.into()]
    } else {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut packaged: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        packaged.sort();
        let in_path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&in_path)
            .chain(packaged.into_iter().rev())
            .collect()
    };
    let has = |folder: &PathBuf| ["initdb", "postgres"].iter().all(|name| folder.join(name).exists());
    folders.into_iter().find(has)
}

/// The user and group id for the server if the tests run as root, because `initdb` and `postgres` refuse root.
fn server_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").map(|me| me.uid()).ok() != Some(0) {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|name| {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let user = users.lines().map(fields).find(|fields| fields[0] == *name)?;
        Some((user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
    })
}

fn as_user(user: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((uid, gid)) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"))
        .args(["--clear-groups", "--"])
        .arg(program);
    command
}
