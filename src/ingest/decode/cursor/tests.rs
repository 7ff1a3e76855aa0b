use proptest::prelude::*;

use super::*;

fn check(text: &str) -> Result<(), Bad> {
    let mut cursor = Cursor::new(text);
    cursor.skip_value()?;
    cursor.end()
}

fn reason(text: &str) -> Reason {
    check(text).unwrap_err().reason
}

proptest! {
    #[test]
    fn finds_the_first_special_byte(bytes in proptest::collection::vec(prop_oneof![
        8 => 0x20u8..=0xff, 1 => Just(b'"'), 1 => Just(b'\\'), 1 => 0u8..0x20, 1 => Just(0x21), 1 => Just(b']'),
    ], 0..40)) {
        let plain = bytes.iter().position(|byte| *byte == b'"' || *byte == b'\\' || *byte < 0x20);
        prop_assert_eq!(special(&bytes), plain);
    }
}

#[test]
fn what_json_does_not_allow_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "[,1]",
        "[1 2]",
        "{\"a\" 1}",
        "{a:1}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "tru",
        "True",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\t\"",
        "1 1",
        "{\"a\":}",
        "{\"a\":1 \"b\":2}",
        "[1}",
        "'a'",
        "\"\\u+123\"",
    ] {
        assert!(check(text).is_err(), "{text}");
    }
}

#[test]
fn what_json_allows_and_we_do_not_is_named() {
    assert_eq!(reason("\"\\u0000\""), "a NUL character");
    assert_eq!(reason("\"\0\""), "a NUL character");
    for text in [
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
    ] {
        assert_eq!(reason(text), "half of a surrogate pair", "{text}");
    }
    assert_eq!(
        reason("{\"a\":{\"k\":1,\"\\u006b\":2}}"),
        "an undeclared key stands twice in one object"
    );
    let many = (0..50)
        .map(|index| format!("\"k{index}\":0"))
        .collect::<Vec<_>>()
        .join(",");
    assert!(check(&format!("{{{many}}}")).is_ok());
    assert!(check(&format!("{{{many},\"k7\":1}}")).is_err());
    assert!(check(&format!("{}{}", "[".repeat(128), "]".repeat(128))).is_ok());
    assert_eq!(
        reason(&format!("{}{}", "[".repeat(129), "]".repeat(129))),
        "nested deeper than 128"
    );
    assert_eq!(reason(&"[".repeat(100_000)), "nested deeper than 128");
}

#[test]
fn escapes_are_decoded() {
    let mut cursor = Cursor::new(r#""a\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00z""#);
    assert_eq!(cursor.string().unwrap(), "a\"\\/\u{8}\u{c}\n\r\té😀z");
    let mut cursor = Cursor::new("\"plain é\"");
    assert!(matches!(cursor.string().unwrap(), Cow::Borrowed("plain é")));
}

proptest! {
    /// The cursor accepts what serde_json accepts, except a key that appears twice.
    #[test]
    fn accepts_what_serde_json_accepts(text in "[\\[\\]{}:,\"\\\\a1e.\\-+0 u\n]{0,12}") {
        let ours = check(&text);
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        let stricter = ours.as_ref().is_err_and(|bad| bad.reason.contains("twice"));
        prop_assert!(stricter || ours.is_ok() == theirs.is_ok(), "{text:?} {ours:?} {theirs:?}");
    }

    #[test]
    fn strings_are_as_serde_json_decodes_them(text in "[^\0]{0,30}") {
        let quoted = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(Cursor::new(&quoted).string().unwrap(), text);
    }
}
