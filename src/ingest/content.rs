//! Tells by the first bytes of a file how it is compressed, and names the kinds of files that can't be read.

use super::failure::Foreign;
use crate::model::Compression;

/// How many stored bytes are looked at: enough for every signature here.
pub(super) const HEAD: usize = 16;

const COMPRESSED: [(&[u8], Compression); 5] = [
    (b"\x1F\x8B\x08", Compression::Gzip),     // RFC 1952, 2.3.1
    (b"\x28\xB5\x2F\xFD", Compression::Zstd), // RFC 8878, 3.1.1
    (b"PK\x03\x04", Compression::Zip),        // APPNOTE.TXT of PKWARE, 4.3.7
    (b"PK\x05\x06", Compression::Zip),        // the same, 4.3.16: an archive without files
    (b"BZh", Compression::Bzip2),
];

/// After `BZh` and a digit, a bzip2 file has one of these: a block, or the end.
const BZIP2_BLOCKS: [&[u8]; 2] = [b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"];

const COMPRESS: &str = "compress it with gzip, zstd, bzip2 or zip, or deliver it uncompressed";
const EXPORT: &str = "export the data as CSV or JSON";

/// What can't be read: its first bytes, what it is, and what to do.
const FOREIGN: [(&[u8], &str, &str); 10] = [
    (b"\xFD7zXZ\0", "an xz file, which can't be read", COMPRESS),
    (b"\x04\x22\x4D\x18", "an lz4 file, which can't be read", COMPRESS),
    (b"LZIP\x01", "an lzip file, which can't be read", COMPRESS),
    (
        b"\x1F\x9D",
        "a file of Unix compress (.Z), which can't be read",
        COMPRESS,
    ),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive, which can't be read", COMPRESS),
    (b"Rar!\x1A\x07", "a rar archive, which can't be read", COMPRESS),
    (
        b"MSCF\0\0\0\0",
        "a cabinet archive (.cab), which can't be read",
        COMPRESS,
    ),
    (
        b"!<arch>\n",
        "an archive of ar or a Debian package, which can't be read",
        COMPRESS,
    ),
    (b"%PDF-", "a PDF document", EXPORT),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an Excel or Word document", EXPORT),
];

/// How a file with these first bytes is compressed, by their content alone.
pub(super) fn signature(head: &[u8]) -> Option<Compression> {
    let is_skippable = head.len() >= 4 && head[0] & 0xF0 == 0x50 && head[1..4] == *b"\x2A\x4D\x18";
    if is_skippable {
        // RFC 8878, 3.1.2: a frame of user data may come first.
        return Some(Compression::Zstd);
    }
    let (_, found) = COMPRESSED.iter().find(|(magic, _)| head.starts_with(magic))?;
    let is_block = |head: &[u8]| head.first().is_some_and(u8::is_ascii_digit) && starts_with_any(&head[1..]);
    (*found != Compression::Bzip2 || is_block(&head[3..])).then_some(*found)
}

fn starts_with_any(head: &[u8]) -> bool {
    BZIP2_BLOCKS.iter().any(|block| head.starts_with(block))
}

/// The kind of a file that can't be read as text, from its first bytes.
pub(super) fn foreign(head: &[u8]) -> Option<Foreign> {
    // A column of a CSV file may be called PAR1, so the control character after it counts, too.
    if head.starts_with(b"PAR1")
        && head
            .get(4)
            .is_some_and(|byte| *byte < 0x20 && !byte.is_ascii_whitespace())
    {
        return Some(Foreign::new(
            "a Parquet file",
            "set `format: parquet` in the source's `input`",
        ));
    }
    // POSIX.1-2017, pax, ustar interchange format.
    if head.get(257..262) == Some(b"ustar") {
        return Some(Foreign::new("a tar archive", "unpack it and deliver its files"));
    }
    let (_, is, hint) = FOREIGN.iter().find(|(magic, ..)| head.starts_with(magic))?;
    Some(Foreign::new(*is, *hint))
}

/// How a file is to be decompressed: as declared, otherwise as its first bytes say. Its name counts only where they say
/// nothing: for an empty or truncated file, and for one that is neither compressed nor text.
///
/// # Errors
/// A kind that can't be read, or another one than declared.
pub(super) fn compression(head: &[u8], declared: Option<Compression>, name: &str) -> Result<Compression, Foreign> {
    let found = signature(head);
    match declared {
        Some(declared) => as_declared(head, found, declared),
        None => match found {
            Some(found) => Ok(found),
            None => match foreign(head) {
                Some(foreign) => Err(foreign),
                None => Ok(by_ending(name)
                    .filter(|_| head.len() < HEAD && starts_a_signature(head) || !is_text(head))
                    .unwrap_or(Compression::None)),
            },
        },
    }
}

fn as_declared(head: &[u8], found: Option<Compression>, declared: Compression) -> Result<Compression, Foreign> {
    let name = declared.name();
    let hint = "take `compression` out of the source's `input`: the first bytes of each file tell";
    match found {
        Some(found) if found != declared => {
            let is = format!("{} data, and its source says `compression: {name}`", found.name());
            Err(Foreign::new(is, hint))
        }
        None if declared != Compression::None && !starts_a_signature(head) && is_text(head) => {
            let is = format!("not compressed, and its source says `compression: {name}`");
            Err(Foreign::new(is, hint))
        }
        _ => Ok(declared),
    }
}

/// Whether these bytes, which may be none, could be the start of a truncated compressed file.
fn starts_a_signature(head: &[u8]) -> bool {
    COMPRESSED
        .iter()
        .any(|(magic, _)| magic.starts_with(head) || head.len() < 10 && head.starts_with(magic))
}

/// Whether the bytes look like text. The zero bytes of UTF-16 do.
fn is_text(head: &[u8]) -> bool {
    head.iter()
        .all(|byte| *byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r' | 0))
}

fn by_ending(name: &str) -> Option<Compression> {
    let (_, ending) = name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "gz" | "gzip" => Some(Compression::Gzip),
        "zst" | "zstd" => Some(Compression::Zstd),
        "bz2" | "bzip2" => Some(Compression::Bzip2),
        "zip" => Some(Compression::Zip),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GZIP: &[u8] = b"\x1F\x8B\x08\0\0\0\0\0\0\xFF";

    #[test]
    fn the_content_decides_and_the_name_does_not() {
        for (head, name, found) in [
            (GZIP, "a", Compression::Gzip),
            (GZIP, "a.NDJSON.GZ", Compression::Gzip),
            (GZIP, "a.zst", Compression::Gzip),
            (b"\x28\xB5\x2F\xFD\x24", "a.json", Compression::Zstd),
            (b"\x50\x2A\x4D\x18\x04\0\0\0", "a.json", Compression::Zstd),
            (b"BZh91AY&SY", "a.json", Compression::Bzip2),
            (b"PK\x03\x04\x14\0", "a.json", Compression::Zip),
            (b"[{\"id\": 1}]", "a.json.gz", Compression::None),
            (b"BZh9,id\n1,2\n", "a.csv", Compression::None),
            (b"PAR1,id\n1,2\n", "a.csv", Compression::None),
            (b"\xFF\xFE[\0]\0", "a.gz", Compression::None),
            // Where the content says nothing, the name does, in any case.
            (b"", "a.json.Gz", Compression::Gzip),
            (b"", "a.json", Compression::None),
            (b"\x1F", "a.GZIP", Compression::Gzip),
            (b"BZh91AY", "a.Bz2", Compression::Bzip2),
            (b"\x01\x02\x03\x04\x05", "a.gz", Compression::Gzip),
        ] {
            assert_eq!(compression(head, None, name), Ok(found), "{head:?} {name}");
        }
    }

    #[test]
    fn what_can_t_be_read_is_named() {
        let mut tar = vec![b'a'; 257];
        tar.extend(b"ustar\0");
        for (head, part) in [
            (&b"\xFD7zXZ\0\0\x04"[..], "xz"),
            (b"7z\xBC\xAF\x27\x1C\0\x04", "7z"),
            (b"Rar!\x1A\x07\x01\0", "rar"),
            (b"\x04\x22\x4D\x18", "lz4"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"MSCF\0\0\0\0\x2C", "cabinet"),
            (b"!<arch>\ndebian", "Debian"),
            (&tar, "tar"),
        ] {
            let found = foreign(head).unwrap();
            assert!(found.is.contains(part), "{found:?}");
            assert!(!found.hint.is_empty());
        }
        assert_eq!(foreign(b"id,name\n"), None);
    }

    #[test]
    fn what_is_declared_counts_and_a_contradiction_is_named() {
        let gzip = Some(Compression::Gzip);
        assert_eq!(compression(GZIP, gzip, "a"), Ok(Compression::Gzip));
        assert_eq!(compression(b"", gzip, "a"), Ok(Compression::Gzip));
        assert_eq!(compression(b"\x1F\x8B", gzip, "a"), Ok(Compression::Gzip));
        let plain = compression(b"[1]", gzip, "a.gz").unwrap_err();
        assert_eq!(plain.is, "not compressed, and its source says `compression: gzip`");
        let none = compression(GZIP, Some(Compression::None), "a").unwrap_err();
        assert_eq!(none.is, "gzip data, and its source says `compression: none`");
    }
}
