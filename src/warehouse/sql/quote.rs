//! Writes names, texts and settings into SQL.

/// A name in double quotes, so that reserved words are allowed.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A list of names in double quotes.
pub fn idents<S: AsRef<str>>(names: &[S]) -> String {
    names
        .iter()
        .map(|name| ident(name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `"schema"."name"`
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A text as a literal that is read correctly under either value of `standard_conforming_strings`.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The statement that lowers a whole-number setting to `most` for the rest of the transaction. It never raises it.
pub fn at_most(setting: &str, most: u64) -> String {
    format!(
        "SELECT pg_catalog.set_config('{setting}', \
         least(pg_catalog.current_setting('{setting}')::int, {most})::text, true)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(ident("or\"der"), "\"or\"\"der\"");
        assert_eq!(idents(&["a", "b"]), "\"a\", \"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'"), "E'a\\\\'''");
    }
}
