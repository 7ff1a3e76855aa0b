//! Named places where a test may stop the program, as a crash or a lost connection would. In a build without the
//! `failpoints` feature of the crate `fail` they are nothing.
//!
//! `FAILPOINTS="stage.mid_copy=return(abort)"` ends the process there, as kill -9 does; `return` alone gives an error.

use crate::error::Result;

/// All of them, in the order a batch meets them.
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

/// The run's row exists, no table does.
pub(super) const BEFORE_COPY: &str = "stage.before_copy";
/// The first rows are sent.
pub(super) const MID_COPY: &str = "stage.mid_copy";
/// All rows are in, not committed.
pub(super) const AFTER_COPY: &str = "stage.after_copy";
/// The staging table is committed, indexed and seen by nobody.
pub(super) const AFTER_INDEX: &str = "stage.after_index";
/// Everything is staged.
pub(super) const BEFORE_LOCK: &str = "swap.before_lock";
/// Readers wait.
pub(super) const AFTER_LOCK: &str = "swap.after_lock";
/// The swap is done, not committed.
pub(super) const BEFORE_COMMIT: &str = "swap.before_commit";
/// Committed, and the program does not know: an error here is a lost answer.
pub(super) const AFTER_COMMIT: &str = "swap.after_commit";

/// Does what a test asked for at this place, mostly nothing.
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
