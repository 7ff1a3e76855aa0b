//! The texts of a UUID, as PostgreSQL's type `uuid` reads them.

use uuid::Uuid;

/// Parses what PostgreSQL takes as a UUID: 32 digits in any case, with or without braces around them, and with a hyphen
/// after any group of four (its manual, "UUID Type"; `string_to_uuid` in src/backend/utils/adt/uuid.c).
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut rest = digits.as_bytes();
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let [high, low, after @ ..] = rest else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
        rest = match after {
            [b'-', after @ ..] if at % 2 == 1 && at < 15 => after,
            after => after,
        };
    }
    rest.is_empty().then_some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The text of a UUID as PostgreSQL shows it: lower case, with four hyphens.
pub(crate) fn uuid_text(bytes: [u8; 16]) -> String {
    Uuid::from_bytes(bytes).hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_that_postgres_takes_is_one_uuid() {
        let shown = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
        for text in [
            shown,
            "6F9619FF-8B86-D011-B42D-00C04FC964FF",
            "6f9619ff8b86d011b42d00c04fc964ff",
            "{6f9619ff-8b86-d011-b42d-00c04fc964ff}",
            "{6F9619FF8B86D011B42D00C04FC964FF}",
            "6f96-19ff-8b86-d011-b42d-00c0-4fc9-64ff",
            "6f9619ff-8b86d011-b42d00c0-4fc964ff",
        ] {
            assert_eq!(parse_uuid(text).map(uuid_text).as_deref(), Some(shown), "{text}");
        }
    }

    #[test]
    fn others_are_none() {
        for text in [
            "",
            "{}",
            "6f9619ff-8b86-d011-b42d-00c04fc964f",
            "6f9619ff-8b86-d011-b42d-00c04fc964ff0",
            "6f9619ff-8b86-d011-b42d-00c04fc964ff-",
            "-6f9619ff8b86d011b42d00c04fc964ff",
            "6f-9619ff8b86d011b42d00c04fc964ff",
            "6f9619ff--8b86-d011-b42d-00c04fc964ff",
            "{6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "6f9619ff-8b86-d011-b42d-00c04fc964ff}",
            "urn:uuid:6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "6f9619ff-8b86-d011-b42d-00c04fc964fg",
            " 6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "６f9619ff-8b86-d011-b42d-00c04fc964f",
        ] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }
}
