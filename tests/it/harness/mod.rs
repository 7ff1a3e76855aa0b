//! What all tests use: a private PostgreSQL server, a database per test, a project in its own folder, and the binary
//! that runs in it. Tests share only the server.
mod clinic;
mod database;
mod identifiers;
mod outcome;
mod project;
mod query;
mod s3;
mod server;
mod small;

use std::time::{Duration, Instant};

pub use clinic::{SOURCE_A, SOURCE_B, Words, batch, sample_batches};
pub use database::{Database, psql, rows, server};
pub use identifiers::{IDENTIFIERS, everything, in_a_file_name, lacks, talkative};
pub use outcome::{Outcome, Running};
pub use project::{MASK_KEY, Project, hashed, hashed_in, padded, repository};
pub use query::{CONTENT, counts_by_batch};
pub use s3::{Bucket, KEY, SECRET};
pub use small::{DATE, RUN_TWO_DAYS, Small};

/// Waits until the condition holds. The time limit is long, because the machine may be busy.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
