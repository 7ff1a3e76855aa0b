//! A project in its own folder, and the binary that runs in it.
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hmac::{Hmac, Mac};
use regex::Regex;
use sha2::Sha256;
use tempfile::TempDir;

use super::{Database, Outcome, Running};

/// The mask key of the tests. [`hashed`] gives its hash of a value in the domain `patient`.
pub const MASK_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub struct Project {
    dir: TempDir,
    env: Vec<(String, String)>,
    /// The processors that the binary may use, in the syntax of `taskset`.
    processors: Option<String>,
}

impl Project {
    /// A project in an empty folder.
    pub fn new() -> Self {
        Self {
            dir: tempfile::Builder::new().prefix("project-").tempdir().unwrap(),
            env: Vec::new(),
            processors: None,
        }
    }

    /// This repository's own project: contracts, sources, SQL and migrations, without the sample data.
    pub fn of_repository() -> Self {
        let project = Self::new();
        for part in ["pipeline.yaml", "pipelines", "sql", "migrations"] {
            copy(&repository().join(part), &project.dir.path().join(part));
        }
        project
    }

    /// Removes the masks, for tests that compare what the tables contain.
    #[must_use]
    pub fn in_clear(self) -> Self {
        let text = Regex::new(", phi: [^}]*").unwrap();
        for source in ["source_a", "source_b"] {
            let path = format!("pipelines/{source}.yaml");
            self.write(&path, text.replace_all(&self.read(&path), "").as_bytes());
        }
        self
    }

    /// This repository's own project, with the sample data.
    pub fn with_examples() -> Self {
        let project = Self::of_repository();
        copy(&repository().join("examples"), &project.dir.path().join("examples"));
        project
    }

    /// A copy of the project in a folder.
    pub fn copy_of(folder: &Path) -> Self {
        let project = Self::new();
        copy(folder, project.dir.path());
        project
    }

    /// Writes a file and the folders above it.
    #[must_use]
    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.write(path, contents);
        self
    }

    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
        .unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Replaces a text in a file. The file must contain it.
    pub fn edit(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert!(text.contains(old), "{path} does not hold {old:?}:\n{text}");
        self.write(path, text.replacen(old, new, 1));
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Uses this server database. Unlike the embedded database, it needs a mask key, so the key is set, too.
    #[must_use]
    pub fn on(self, database: &Database) -> Self {
        self.env("DATABASE_URL", &database.url())
            .env("PIPELINE_MASK_KEY", MASK_KEY)
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Limits the binary to this many of the processors that the tests may use. Without `taskset` (outside of Linux),
    /// it uses all of them.
    #[must_use]
    pub fn on_cores(mut self, cores: usize) -> Self {
        self.processors = allowed_processors().map(|allowed| {
            let chosen = allowed.into_iter().take(cores).map(|cpu| cpu.to_string());
            chosen.collect::<Vec<_>>().join(",")
        });
        self
    }

    /// The binary in this folder, without the environment's settings for databases, storage, logs and terminals.
    pub fn command(&self, args: &[&str]) -> Command {
        let binary = env!("CARGO_BIN_EXE_pipeline");
        let mut command = match &self.processors {
            None => Command::new(binary),
            Some(processors) => {
                let mut command = Command::new("taskset");
                command.args(["-c", processors, binary]);
                command
            }
        };
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = [
                "PG",
                "AWS_",
                "DATABASE_URL",
                "FAILPOINTS",
                "RUST_LOG",
                "NO_COLOR",
                "CLICOLOR",
                "PIPELINE",
            ];
            if ours.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.env("RUST_BACKTRACE", "0");
        // No line of progress comes into messages that a test compares, however slow the machine is.
        command.env("PIPELINE_PROGRESS_MS", "3600000");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn spawn(&self, args: &[&str]) -> Running {
        Running::start(self.command(args), self.dir.path())
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        self.spawn(args).wait()
    }

    /// Runs one batch. The run must succeed.
    pub fn load(&self, source: &str, date: &str) -> Outcome {
        self.run(&["run", "--source", source, "--date", date]).code(0)
    }

    /// Writes a migration for the tables that pipeline.yaml declares, and applies it to the database.
    #[must_use]
    pub fn migrated(self) -> Self {
        self.run(&["migration", "new", "tables"]).code(0);
        self.run(&["migrate"]).code(0);
        self
    }
}

/// The processors in a list of the Linux kernel, such as `0-3,8`.
fn allowed_processors() -> Option<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let span = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        from.parse().unwrap()..=to.parse().unwrap()
    };
    Some(list.trim().split(',').flat_map(span).collect())
}

/// The same input with spaces added. It is then too large for a run to keep in memory for one entity after the other.
pub fn padded(json: impl Into<String>) -> String {
    json.into() + &" ".repeat(80 << 10)
}

/// The mask `hash` of a text in the domain `patient` under [`MASK_KEY`]. Written independently, from the documentation.
pub fn hashed(value: &str) -> String {
    hashed_in("patient", value)
}

/// The same in another domain.
pub fn hashed_in(domain: &str, value: &str) -> String {
    let key: Vec<u8> = (0..32).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(b"hash\0");
    mac.update(&(domain.len() as u64).to_le_bytes());
    mac.update(domain.as_bytes());
    mac.update(value.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes[..16].iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.exists() {
        fs::copy(from, to).unwrap();
    } else {
        panic!("the repository has no {}", from.display());
    }
}
