//! A process of the binary: while it runs, and its result.
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;

/// No run in these tests takes nearly this long. A run that hangs fails the test and shows its output.
const DEADLINE: Duration = Duration::from_mins(3);

pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    root: PathBuf,
    line: String,
    waited: bool,
}

impl Running {
    pub fn start(mut command: Command, root: &Path) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // The output goes to files and not to pipes, so that nobody has to read it while the process runs.
        let (out, err) = (root.join(format!(".out{number}")), root.join(format!(".err{number}")));
        command
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap());
        let line = command
            .get_args()
            .map(|arg| arg.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let child = command.spawn().unwrap();
        Self {
            child,
            out,
            err,
            root: root.to_owned(),
            line,
            waited: false,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What the process has written to stdout so far.
    pub fn stdout_so_far(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    pub fn stderr_so_far(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Sends a signal by name, e.g. `INT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.id())])
            .status()
            .unwrap();
        assert!(sent.success(), "no process {} to signal", self.id());
    }

    pub fn wait(mut self) -> Outcome {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!(
                    "`pipeline {}` hangs\n{}\n{}",
                    self.line,
                    self.stdout_so_far(),
                    self.stderr_so_far()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.waited = true;
        Outcome {
            status,
            stdout: self.stdout_so_far(),
            stderr: self.stderr_so_far(),
            root: self.root.clone(),
            line: self.line.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.waited {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[derive(Debug)]
pub struct Outcome {
    status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    root: PathBuf,
    line: String,
}

impl Outcome {
    #[track_caller]
    #[must_use = "or end with `;` after `.code(n)`"]
    fn expect(self, holds: bool, what: &str) -> Self {
        assert!(
            holds,
            "`pipeline {}`: {what}; it ended with {}\n--- stdout\n{}--- stderr\n{}---",
            self.line, self.status, self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use)]
    pub fn code(self, code: i32) -> Self {
        let holds = self.status.code() == Some(code);
        self.expect(holds, &format!("should exit {code}"))
    }

    pub fn exit(&self) -> Option<i32> {
        self.status.code()
    }

    #[track_caller]
    #[allow(clippy::return_self_not_must_use)]
    pub fn killed(self) -> Self {
        let holds = self.status.signal() == Some(9);
        self.expect(holds, "should have been killed")
    }

    #[track_caller]
    #[allow(clippy::return_self_not_must_use)]
    pub fn stdout_is(self, text: &str) -> Self {
        let holds = self.stdout == text;
        self.expect(holds, &format!("stdout should be {text:?}"))
    }

    #[track_caller]
    #[allow(clippy::return_self_not_must_use)]
    pub fn stdout_contains(self, text: &str) -> Self {
        let holds = self.stdout.contains(text);
        self.expect(holds, &format!("stdout should hold {text:?}"))
    }

    #[track_caller]
    #[allow(clippy::return_self_not_must_use)]
    pub fn stderr_contains(self, text: &str) -> Self {
        let holds = self.stderr.contains(text);
        self.expect(holds, &format!("stderr should hold {text:?}"))
    }

    #[track_caller]
    #[allow(clippy::return_self_not_must_use)]
    pub fn output_lacks(self, text: &str) -> Self {
        let holds = !self.stdout.contains(text) && !self.stderr.contains(text);
        self.expect(holds, &format!("no output should hold {text:?}"))
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "`pipeline {}`: stdout is no JSON ({error})\n{}\n{}",
                self.line, self.stdout, self.stderr
            )
        })
    }

    /// Stderr, with everything replaced that differs from run to run: folders, addresses, ids and times.
    pub fn message(&self) -> String {
        let text = &self.stderr;
        let canonical = fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
        let mut text = text
            .replace(&*canonical.to_string_lossy(), "[project]")
            .replace(&*self.root.to_string_lossy(), "[project]");
        for (pattern, name) in [
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[id]"),
            (r"127\.0\.0\.1:\d+/t\d+_\d+", "[database]"),
            (r"127\.0\.0\.1:\d+", "[server]"),
            (r"\bt\d+_\d+\b", "[database]"),
            (r"\b\d+(\.\d+)?\s?(ns|µs|ms|s)\b", "[time]"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "[moment]"),
            (r"_r\d+\b", "_r[run]"),
        ] {
            text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
        }
        text
    }
}
