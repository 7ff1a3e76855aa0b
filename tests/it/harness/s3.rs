//! Serves a folder as S3, on its own port, with the package `s3-server` of this repository.
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::{Project, repository};

pub const KEY: &str = "AKIATESTTESTTEST";
pub const SECRET: &str = "test-secret-test-secret";

pub struct Bucket {
    dir: TempDir,
    pub endpoint: String,
    /// The server stops when its standard input closes.
    server: Child,
}

impl Bucket {
    /// Starts a server with an empty bucket named `bucket`.
    pub fn serve() -> Self {
        let dir = tempfile::Builder::new().prefix("s3-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bucket")).unwrap();
        let mut server = Command::new(program())
            .arg(dir.path())
            .args([KEY, SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Self {
            dir,
            endpoint: format!("http://127.0.0.1:{}", port.trim()),
            server,
        }
    }

    pub fn put(&self, key: &str, contents: impl AsRef<[u8]>) {
        let path = self.dir.path().join("bucket").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    pub fn stop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Project {
    /// Sets the environment variables with the server's address and its secrets.
    #[must_use]
    pub fn with_bucket(self, bucket: &Bucket) -> Self {
        self.env("AWS_ENDPOINT", &bucket.endpoint)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
    }
}

/// The server program. It is built once, beside the binary under test.
fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let target = PathBuf::from(env!("CARGO_BIN_EXE_pipeline"))
                .parent()
                .unwrap()
                .parent()
                .unwrap()
                .to_owned();
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--locked", "--package", "s3-server", "--target-dir"])
                .arg(&target)
                .current_dir(repository())
                .status()
                .unwrap();
            assert!(built.success(), "the S3 server of the tests does not build");
            target.join("debug/s3-server")
        })
        .clone()
}
