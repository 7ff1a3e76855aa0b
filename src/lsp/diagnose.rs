//! Checks projects, as `pipeline check` does, on a thread of its own.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};

use tokio::runtime::Handle;

use crate::check;
use crate::cores::STACK_BYTES;
use crate::error::{Code, Diagnostic, Error};
use crate::workspace::Files;

/// A project to check, as its files were at one moment.
#[derive(Debug)]
pub(super) struct Job {
    pub files: Files,
    /// Counts the jobs. Of a project, only the latest one's result is shown.
    pub number: u64,
}

/// What is wrong with a project.
#[derive(Debug)]
pub(super) struct Checked {
    pub root: PathBuf,
    pub number: u64,
    pub code: Option<Code>,
    pub problems: Vec<Diagnostic>,
}

/// Checks one project after the other until the sender of jobs is gone. Of each project, only the latest job counts.
pub(super) fn work(jobs: &Receiver<Job>, runtime: &Handle, mut tell: impl FnMut(Checked)) {
    while let Ok(job) = jobs.recv() {
        let mut latest = BTreeMap::from([(job.files.to_path_buf(), job)]);
        latest.extend(jobs.try_iter().map(|job| (job.files.to_path_buf(), job)));
        for (root, job) in latest {
            let checked = catch_unwind(AssertUnwindSafe(|| runtime.block_on(check::check_files(&job.files))));
            let error = checked.unwrap_or_else(|_| Err(internal())).err();
            tell(Checked {
                root,
                number: job.number,
                code: error.as_ref().map(|error| error.code),
                problems: error.map_or_else(Vec::new, problems),
            });
        }
    }
}

fn internal() -> Error {
    Error::project("the check ended by a defect of the program")
        .code(Code::Internal)
        .hint("run `pipeline check`, and report what it says")
}

/// The problems that an error lists, or the error itself as one without a place.
fn problems(error: Error) -> Vec<Diagnostic> {
    if !error.diagnostics.is_empty() {
        return error.diagnostics;
    }
    vec![Diagnostic {
        message: error.to_string(),
        location: None,
        hint: error.hint,
    }]
}

/// Makes a channel's end that takes jobs and a thread that does them.
pub(super) fn start(runtime: Handle, tell: impl FnMut(Checked) + Send + 'static) -> std::io::Result<Sender<Job>> {
    let (jobs, received) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("check".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || work(&received, &runtime, tell))?;
    Ok(jobs)
}
