//! Checks a project as a whole, without data: its files, its test cases, its transforms, and what it makes in a
//! database. All problems are told at once. [`Files`] tells when to check again.

mod watch;

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::Project;
use crate::run::{self, Checked};
use crate::{preview, project, workspace};

pub use watch::Files;

/// Checks the project in a folder, and returns it.
///
/// # Errors
/// All problems of all stages. If a file can't be read as what it is, the stages after it are left out, because they
/// would report what is not so.
pub async fn check(root: &Path) -> Result<(Project, Checked)> {
    check_files(&workspace::Files::saved(root)).await
}

/// Like [`check`], over files of which some may not be saved.
///
/// # Errors
/// As [`check`].
pub async fn check_files(files: &workspace::Files) -> Result<(Project, Checked)> {
    let (project, unlinked) = project::load_to_check(files)?;
    let mut errors: Vec<Error> = unlinked.into_iter().collect();
    errors.extend(project::read_tests_in(files, &project).err());
    match run::problems(files, &project).await {
        Ok(checked) if errors.is_empty() => return Ok((project, checked)),
        Ok(_) => {}
        Err(found) => errors.extend(found),
    }
    Err(run::together(errors))
}

/// Runs all test cases of a project. `None`: it has none.
///
/// # Errors
/// As [`preview::test`].
pub async fn test(project: Project) -> Result<Option<Vec<preview::CaseResult>>> {
    let cases = project::read_tests(&project)?;
    if cases.is_empty() {
        return Ok(None);
    }
    preview::test(project, cases).await.map(Some)
}
