//! Reads the directory at the end of a zip archive, which tells how many files it holds before any of them is read.

pub(super) const DIRECTORY: [u8; 4] = *b"PK\x01\x02";
pub(super) const END: [u8; 4] = *b"PK\x05\x06";

/// How many bytes from the end of an archive on to look at: its end with the longest comment, and the directory before it.
pub(in super::super) const TAIL: u64 = 128 << 10;

/// How many files an archive of `size` bytes holds, by its last bytes; `None` where these do not tell, and for a document of an
/// office program. A directory that starts before `tail` has many entries.
pub(in super::super) fn files(tail: &[u8], size: u64) -> Option<usize> {
    let is_end = |at: &usize| {
        let end = &tail[*at..];
        end.starts_with(&END) && end.len() >= 22 && end.len() == 22 + usize::from(u16_at(end, 20))
    };
    let at = (0..tail.len()).rev().find(is_end)?;
    let (entries, start) = (usize::from(u16_at(&tail[at..], 10)), u32_at(&tail[at..], 16));
    // The sizes of an archive beyond 4 GiB stand elsewhere.
    if start == u32::MAX || entries == usize::from(u16::MAX) {
        return None;
    }
    let before = size.checked_sub(tail.len() as u64)?;
    let Some(start) = u64::from(start).checked_sub(before) else {
        return (entries > 1).then_some(entries);
    };
    let mut rest = tail.get(usize::try_from(start).ok()?..at)?;
    let mut files = 0;
    for _ in 0..entries {
        // 4.3.12.
        if !rest.starts_with(&DIRECTORY) || rest.len() < 46 {
            return None;
        }
        let length = |at: usize| usize::from(u16_at(rest, at));
        let name = rest.get(46..46 + length(28))?;
        if document(name).is_some() {
            return None;
        }
        files += usize::from(!is_passed_over(name));
        rest = rest.get(46 + length(28) + length(30) + length(32)..)?;
    }
    Some(files)
}

/// Whether an entry is a folder, or of those that macOS adds.
pub(super) fn is_passed_over(name: &[u8]) -> bool {
    name.ends_with(b"/") || name.starts_with(b"__MACOSX/")
}

/// What kind of document an archive is whose first file has this name.
pub(super) fn document(name: &[u8]) -> Option<&'static str> {
    let starts = |with: &[&str]| with.iter().any(|with| name.starts_with(with.as_bytes()));
    if starts(&["[Content_Types].xml", "_rels/", "docProps/", "xl/", "word/"]) {
        return Some("an Excel or Word document");
    }
    starts(&["mimetype"]).then_some("an OpenDocument file")
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
