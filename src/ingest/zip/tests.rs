use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::DeflateEncoder;
use std::io::Write;

use super::*;

const TEXT: &str = r#"[{"id":"a"},{"id":"b"}][{"id":"a"},{"id":"b"}][{"id":"a"},{"id":"b"}]"#;

/// The same file as Python 3.11 packs it: into a file, into a stream, and into a stream with sizes of 8 bytes.
const OF_OTHERS: [&str; 4] = [
    "UEsDBBQAAAAIACZEfV1gFuocFwAAAEUAAAAGAAAAYS5qc29ui65WykxRslJKVKrVgTKTlGpjo0kSBgBQSwECFAMUAAAACAAmRH1dYBbqHBcAAABFAAAABgAAAAAAAAAAAAAAgAEAAAAAYS5qc29uUEsFBgAAAAABAAEANAAAADsAAAAAAA==",
    "UEsDBBQACAAIACZEfV0AAAAAAAAAAAAAAAAGAAAAYS5qc29ui65WykxRslJKVKrVgTKTlGpjo0kSBgBQSwcIYBbqHBcAAABFAAAAUEsBAhQDFAAIAAgAJkR9XWAW6hwXAAAARQAAAAYAAAAAAAAAAAAAAIABAAAAAGEuanNvblBLBQYAAAAAAQABADQAAABLAAAAAAA=",
    "UEsDBC0ACAAIAAAAIQAAAAAA//////////8GABQAYS5qc29uAQAQAAAAAAAAAAAAAAAAAAAAAACLrlbKTFGyUkpUqtWBMpOUamOjSRIGAFBLBwhgFuocFwAAAAAAAABFAAAAAAAAAFBLAQItAy0ACAAIAAAAIQBgFuocFwAAAEUAAAAGAAAAAAAAAAAAAACAAQAAAABhLmpzb25QSwUGAAAAAAEAAQA0AAAAZwAAAAAA",
    // Info-ZIP 3.0, into a stream.
    "UEsDBC0ACAAIAEtEfV0AAAAA//////////8BABQALQEAEAAAAAAAAAAAAAAAAAAAAAAAi65WykxRslJKVKrVgTKTlGpjo0kSBgBQSwcIYBbqHBcAAAAAAAAARQAAAAAAAABQSwECHgMtAAgACABLRH1dYBbqHBcAAABFAAAAAQAAAAAAAAABAAAAgBEAAAAALVBLBQYAAAAAAQABAC8AAABiAAAAAAA=",
];

/// How an entry is packed.
#[derive(Clone, Copy, PartialEq)]
pub(in super::super) enum Packed {
    Stored,
    Deflated,
    /// Deflated, with its sizes after the data.
    Streamed,
}

/// An archive of these files.
pub(in super::super) fn zip(files: &[(&str, &[u8])], packed: Packed) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let data = if packed == Packed::Stored {
            content.to_vec()
        } else {
            let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        };
        let mut crc = Crc::new();
        crc.update(content);
        let mut sizes = crc.sum().to_le_bytes().to_vec();
        sizes.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        sizes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        archive.extend(LOCAL);
        archive.extend([20, 0, if packed == Packed::Streamed { 8 } else { 0 }, 0]);
        archive.extend([if packed == Packed::Stored { 0 } else { 8 }, 0, 0, 0, 0, 0]);
        archive.extend(if packed == Packed::Streamed {
            vec![0; 12]
        } else {
            sizes.clone()
        });
        archive.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        archive.extend([0, 0]);
        archive.extend(name.as_bytes());
        archive.extend(data);
        if packed == Packed::Streamed {
            archive.extend(DESCRIPTOR);
            archive.extend(sizes);
        }
    }
    // Of the directory only its signature and the number of entries are looked at.
    archive.extend(DIRECTORY);
    archive.extend([0; 42]);
    archive.extend(END);
    archive.extend([0; 4]);
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    archive.extend(count);
    archive.extend(count);
    archive.extend([0; 10]);
    archive
}

fn read(archive: &[u8]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // The reader gets few bytes at a time, as from a slow store.
    let archive = io::BufReader::with_capacity(7, archive);
    ZipReader::new(archive).read_to_end(&mut text).map(|_| text)
}

fn foreign(archive: &[u8]) -> String {
    let error = read(archive).unwrap_err();
    error.downcast::<Foreign>().unwrap().is.into_owned()
}

#[test]
fn archives_of_other_programs_are_read() {
    for archive in OF_OTHERS {
        assert_eq!(read(&STANDARD.decode(archive).unwrap()).unwrap(), TEXT.as_bytes());
    }
}

#[test]
fn the_only_file_is_read_and_folders_are_passed_over() {
    let resource = [b'x'; 100];
    for packed in [Packed::Stored, Packed::Deflated, Packed::Streamed] {
        let long = TEXT.repeat(1000);
        assert_eq!(
            read(&zip(&[("a.json", long.as_bytes())], packed)).unwrap(),
            long.as_bytes()
        );
    }
    for packed in [Packed::Stored, Packed::Deflated, Packed::Streamed] {
        let files = [
            ("in/", &b""[..]),
            ("in/a.json", TEXT.as_bytes()),
            ("__MACOSX/in/._a.json", &resource),
        ];
        assert_eq!(read(&zip(&files, packed)).unwrap(), TEXT.as_bytes());
    }
}

#[test]
fn what_can_t_be_read_is_named() {
    let two = zip(&[("a.json", b"[]"), ("b.json", b"[]")], Packed::Deflated);
    assert_eq!(foreign(&two), "a zip archive of several files");
    assert_eq!(foreign(&zip(&[], Packed::Stored)), "a zip archive without a file");
    let workbook = zip(&[("[Content_Types].xml", b"<x/>"), ("xl/a", b"")], Packed::Deflated);
    assert_eq!(foreign(&workbook), "an Excel or Word document");
    let mut secret = zip(&[("a.json", b"[]")], Packed::Deflated);
    secret[6] |= 1;
    assert_eq!(foreign(&secret), "an encrypted zip archive");
    let mut other = zip(&[("a.json", b"[]")], Packed::Deflated);
    other[8] = 14;
    assert_eq!(foreign(&other), "a zip archive packed by a method that can't be read");
}

/// An archive with a true directory.
fn with_directory(names: &[&str], comment: &[u8]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for name in names {
        let at = u32::try_from(archive.len()).unwrap();
        let one = zip(&[(name, b"[]")], Packed::Stored);
        // Its own directory has 46 bytes, and its end 22.
        archive.extend(&one[..one.len() - 68]);
        directory.extend(DIRECTORY);
        directory.extend([20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        directory.extend([0; 12]);
        directory.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = u32::try_from(archive.len()).unwrap();
    archive.extend(&directory);
    archive.extend(END);
    archive.extend([0; 4]);
    let count = u16::try_from(names.len()).unwrap().to_le_bytes();
    archive.extend(count);
    archive.extend(count);
    archive.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    archive.extend(comment);
    archive
}

#[test]
fn the_directory_tells_how_many_files_there_are() {
    for (names, comment, found) in [
        (&["a.json"][..], &b""[..], Some(1)),
        (&["in/", "in/a.json", "__MACOSX/in/._a.json"], b"", Some(1)),
        (&["a.json", "b.json"], b"", Some(2)),
        (&["a.json", "b.json"], b"with a comment PK\x05\x06", Some(2)),
        (&["[Content_Types].xml", "xl/a"], b"", None),
        (&[], b"", Some(0)),
    ] {
        let archive = with_directory(names, comment);
        let size = archive.len() as u64;
        assert_eq!(files(&archive, size), found, "{names:?}");
        // The directory starts before what is seen of it.
        let end = 22 + comment.len();
        let several = (names.len() != 1).then_some(names.len());
        assert_eq!(files(&archive[archive.len() - end..], size), several, "{names:?}");
        assert_eq!(files(&archive[..archive.len() - 1], size - 1), None, "{names:?}");
    }
    for archive in OF_OTHERS {
        let archive = STANDARD.decode(archive).unwrap();
        assert_eq!(files(&archive, archive.len() as u64), Some(1));
    }
}

#[test]
fn no_cut_and_no_damage_passes_for_a_shorter_file() {
    for packed in [Packed::Stored, Packed::Deflated, Packed::Streamed] {
        let whole = zip(&[("a.json", TEXT.as_bytes())], packed);
        for length in 4..whole.len() {
            let error = read(&whole[..length]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {length}: {error}");
        }
        let data = 30 + "a.json".len();
        for at in [data, data + 5, data + 15] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            assert!(read(&damaged).is_err(), "damage at {at}");
        }
    }
}
