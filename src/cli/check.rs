//! `pipeline check`.

use clap::Args;

use super::Global;
use crate::check::{self, Files};
use crate::error::Result;
use crate::report;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Check again, and run the test cases, whenever a file of the project is saved
    #[arg(long)]
    watch: bool,
}

pub(super) async fn execute(global: &Global, arguments: &Arguments) -> Result<u8> {
    let json = global.json()?;
    let root = global.root()?;
    if arguments.watch {
        let mut files = Files::of(&root);
        loop {
            report::clear();
            if let Err(error) = check_and_test(&root, &mut files, json).await {
                report::failure(&error);
            }
            report::waiting();
            files.changed().await;
        }
    }
    let (project, checked) = check::check(&root).await?;
    let loaded = global.loaded(&project).await?;
    let (useless, changed) = global.useless_entries(&project).await?;
    let stale = loaded.as_ref().map(|loaded| &loaded.stale[..]);
    report::checked(&checked, stale, &useless, &changed, json);
    report::left_tables(&loaded.unwrap_or_default().left);
    Ok(0)
}

async fn check_and_test(root: &std::path::Path, files: &mut Files, json: bool) -> Result<()> {
    let (project, checked) = check::check(root).await?;
    files.follow(&project);
    report::checked(&checked, None, &[], &[], json);
    if let Some(results) = check::test(project).await? {
        report::cases(&results, json);
    }
    Ok(())
}
