//! Names, texts and settings written into SQL.

/// A name in double quotes, so that no reserved word is in the way.
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

/// A text as a literal, whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The statement that lowers a whole-number setting to `most` for the rest of the transaction, and never raises it.
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
