//! Tests of faults in the project's own files. Messages show file, line and column, the line with a caret, and what to
//! do. Every message is compared in full. There is one file here per kind of project file. They check the project in
//! this process with the functions that `pipeline check` calls; `end_to_end` runs the binary.
use healthcare_insights::{project, report, run};

use crate::harness::{Project, Small};
use crate::schemas;

mod contract;
mod end_to_end;
mod fields;
mod input;
mod source;
mod sql;

/// The output of `pipeline check` for a faulty project.
#[track_caller]
fn problems(wrong: &Project) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let checked = runtime.block_on(async { run::check(&project::load(&wrong.path(""))?).await });
    let error = checked.expect_err("the project has a problem");
    assert_eq!(error.kind.exit_code(), 2);
    schemas::agree(wrong, &error);
    report::diagnostics::render(&error, false)
}

/// The small project with one text in one file replaced.
fn with(path: &str, old: &str, new: &str) -> Project {
    let project = Small::new().project();
    project.edit(path, old, new);
    project
}

fn contract(old: &str, new: &str) -> String {
    problems(&with("pipeline.yaml", old, new))
}

fn source(old: &str, new: &str) -> String {
    problems(&with("pipelines/clinic.yaml", old, new))
}

fn transform(sql: &str) -> String {
    problems(&Small::new().sql(sql).project())
}
