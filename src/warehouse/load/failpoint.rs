//! Named places where a test may stop the program, as a crash or a lost connection would. They do nothing in a build
//! without the `failpoints` feature of the crate `fail`.
//!
//! `FAILPOINTS="stage.mid_copy=return(abort)"` ends the process there, like kill -9. With plain `return`, the place
//! returns an error.

use crate::error::Result;

/// All failpoints, in the order in which a batch passes them.
pub const ALL: &[&str] = &[
    BEFORE_COPY,
    MID_COPY,
    AFTER_COPY,
    AFTER_INDEX,
    BEFORE_LOCK,
    AFTER_LOCK,
    BEFORE_COMMIT,
    AFTER_COMMIT,
];

/// The run's row exists, but no staging table.
pub(super) const BEFORE_COPY: &str = "stage.before_copy";
/// The first rows are sent.
pub(super) const MID_COPY: &str = "stage.mid_copy";
/// All rows are sent but not committed.
pub(super) const AFTER_COPY: &str = "stage.after_copy";
/// The staging table is committed and indexed, and not visible to readers.
pub(super) const AFTER_INDEX: &str = "stage.after_index";
/// Everything is staged.
pub(super) const BEFORE_LOCK: &str = "swap.before_lock";
/// The swap holds its locks, so readers wait.
pub(super) const AFTER_LOCK: &str = "swap.after_lock";
/// The partitions are swapped, but not committed.
pub(super) const BEFORE_COMMIT: &str = "swap.before_commit";
/// The swap is committed, but the program does not know it. An error here stands for a lost answer.
pub(super) const AFTER_COMMIT: &str = "swap.after_commit";

/// Does what a test has asked for at this place. Usually that is nothing.
#[cfg_attr(not(test), allow(clippy::unnecessary_wraps))]
pub(super) fn hit(name: &'static str) -> Result<()> {
    fail::fail_point!(name, |action: Option<String>| {
        if action.as_deref() == Some("abort") {
            std::process::abort();
        }
        Err(crate::error::Error::batch(format!("stopped at the failpoint {name}")))
    });
    let _ = name;
    Ok(())
}
