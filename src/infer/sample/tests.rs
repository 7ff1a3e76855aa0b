use std::io::{Cursor, ErrorKind, Read};

use super::*;

/// Fails once, and is at its end then.
struct Broken(bool);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Ok(0);
        }
        Err(ErrorKind::TimedOut.into())
    }
}

#[test]
fn an_error_after_a_document_is_not_the_end_of_the_file() {
    let mut reading = Reading::new(Budget::of(9, 0), Encoding::Utf8);
    reading.records = Some(Vec::new());
    let text = Cursor::new("{\"a\": 1}\n{\"a\": 2}\n");
    let error = reading.json("x.json", Box::new(std::io::BufReader::new(text.chain(Broken(false)))));
    assert_eq!(error.unwrap_err().to_string(), "x.json can't be read: timed out");
}
