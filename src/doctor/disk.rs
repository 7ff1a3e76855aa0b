//! The disk that a run writes its work files to.

use std::path::Path;
use std::process::Command;

use super::finding::Finding;
use crate::workspace::FOLDER;

/// With less room than this, in bytes, a large batch may not find room to sort in.
const LITTLE: u64 = 2 << 30;

/// With less room than this, in bytes, nothing works.
const NOTHING: u64 = 64 << 20;

/// Whether the project's work folder can be written, and how much room its disk has.
pub(super) fn examine(root: &Path) -> Vec<Finding> {
    let work = root.join(FOLDER);
    let (folder, shown) = if work.is_dir() {
        (work.as_path(), FOLDER)
    } else {
        (root, "the project's folder")
    };
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    let mut findings = vec![match written {
        Ok(()) => Finding::ok("work folder", format!("{shown} can be written")),
        Err(error) => Finding::fail("work folder", format!("{shown} can't be written: {}", error.kind()))
            .remedy("runs keep sorted rows and the embedded database in .pipeline: make the project's folder writable"),
    }];
    findings.extend(free(folder).map(|bytes| room(shown, bytes)));
    findings
}

fn room(shown: &str, bytes: u64) -> Finding {
    let detail = format!("{} free for {shown}", size(bytes));
    let remedy = "sorting needs room for about the rows of a batch: free some, or put the project on another disk";
    if bytes < NOTHING {
        return Finding::fail("disk", detail).remedy(remedy);
    }
    Finding::warn_if(bytes < LITTLE, "disk", detail, remedy)
}

/// The bytes that are free on a folder's disk, as `df` says. `None`: the system has no `df`.
fn free(folder: &Path) -> Option<u64> {
    let output = Command::new("df")
        .arg("-Pk")
        .arg(folder)
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    available(&text)
}

/// The column `Available` of the last line, which counts in KiB.
fn available(text: &str) -> Option<u64> {
    // The name of a device or of a mount may have spaces, so the columns are counted from the one with a percent sign.
    let words: Vec<&str> = text.lines().last()?.split_whitespace().collect();
    let percent = words.iter().position(|word| word.ends_with('%'))?;
    words
        .get(percent.checked_sub(1)?)?
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 30 => format!("{} GB", bytes >> 30),
        bytes => format!("{} MB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn what_df_says_is_read() {
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/my disk 100 40 60 40% /a b\n";
        assert_eq!(available(text), Some(60 * 1024));
        assert_eq!(available("df: no such file"), None);
        assert_eq!(available(""), None);
    }

    #[test]
    fn little_room_is_told() {
        let state = |bytes| room("x", bytes).state;
        assert_eq!(
            [1 << 20, 1 << 30, 1 << 40].map(state),
            [State::Fail, State::Warn, State::Ok]
        );
    }
}
