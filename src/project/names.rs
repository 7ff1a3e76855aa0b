//! Which names are allowed for entities, columns, sources and views. PostgreSQL silently shortens long identifiers and
//! lowers capital letters, so both are refused here.

use crate::model::SYSTEM_COLUMNS;

/// The length in bytes of PostgreSQL's longest identifier.
pub(super) const MAX_IDENTIFIER: usize = 63;
/// The longest entity name. Partitions are named `<entity>_r<run>`, and their indexes are named after them. Those names
/// must fit in 63 bytes.
pub(super) const MAX_ENTITY: usize = 40;

/// The partition columns that the engine adds to every entity.
const PARTITION_COLUMNS: [&str; 2] = ["source", "batch_date"];

/// Why a text can't be a name, and how to correct it.
pub(super) struct BadName {
    pub message: String,
    pub hint: String,
}

/// Checks an identifier. `what` is a phrase for messages, such as "entity name".
pub(super) fn check_identifier(what: &str, name: &str, max: usize) -> Result<(), BadName> {
    let valid_start = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let valid = valid_start
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !valid {
        let rule = "use a-z, 0-9 and _, with no digit first";
        let hint = suggestion(name).map_or_else(|| rule.to_owned(), |better| format!("{rule}: `{better}`"));
        return Err(BadName {
            message: format!("`{name}` can't be {what}"),
            hint,
        });
    }
    if name.len() > max {
        let message = format!("`{name}` is too long for {what}: {} characters", name.len());
        return Err(BadName {
            message,
            hint: format!("use {max} characters at most"),
        });
    }
    Ok(())
}

pub(super) fn check_column(name: &str) -> Result<(), BadName> {
    let taken = |by: &str| {
        let message = format!("`{name}` can't be the name of a column: it is {by}");
        Err(BadName {
            message,
            hint: "choose another name".to_owned(),
        })
    };
    if PARTITION_COLUMNS.contains(&name) {
        return taken("a partition column, which every entity has");
    }
    if SYSTEM_COLUMNS.contains(&name) {
        return taken("a system column of PostgreSQL");
    }
    if name.starts_with('_') {
        return taken("the engine's, like all names that start with `_`");
    }
    check_identifier("the name of a column", name, MAX_IDENTIFIER)
}

/// The valid identifier that is most similar, if there is one.
fn suggestion(name: &str) -> Option<String> {
    let mut better = String::new();
    for c in name.chars() {
        match c {
            'A'..='Z' => {
                if better.ends_with(|last: char| last.is_ascii_lowercase()) && !name.contains('_') {
                    better.push('_');
                }
                better.push(c.to_ascii_lowercase());
            }
            'a'..='z' | '0'..='9' | '_' => better.push(c),
            _ if better.is_empty() || better.ends_with('_') => {}
            _ => better.push('_'),
        }
    }
    let better = better
        .trim_end_matches('_')
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .to_owned();
    (!better.is_empty() && better.len() <= MAX_IDENTIFIER).then_some(better)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str) -> Option<(String, String)> {
        check_column(name).err().map(|bad| (bad.message, bad.hint))
    }

    #[test]
    fn good_names_pass() {
        for name in ["a", "visit_id", "x1", &"a".repeat(63)] {
            assert_eq!(refusal(name), None);
        }
    }

    #[test]
    fn bad_names_come_with_a_better_one() {
        let hint = |name| refusal(name).map(|(_, hint)| hint).unwrap_or_default();
        assert_eq!(hint("visitId"), "use a-z, 0-9 and _, with no digit first: `visit_id`");
        assert_eq!(
            hint("Visit-Date"),
            "use a-z, 0-9 and _, with no digit first: `visit_date`"
        );
        assert_eq!(hint("1st"), "use a-z, 0-9 and _, with no digit first: `st`");
        assert_eq!(hint("é"), "use a-z, 0-9 and _, with no digit first");
        assert_eq!(
            refusal("").map(|r| r.0).as_deref(),
            Some("`` can't be the name of a column")
        );
        assert_eq!(hint(&"a".repeat(64)), "use 63 characters at most");
    }

    #[test]
    fn names_of_the_engine_and_of_postgresql_are_taken() {
        let message = |name| refusal(name).map(|(message, _)| message).unwrap_or_default();
        assert!(message("source").ends_with("it is a partition column, which every entity has"));
        assert!(message("_record").ends_with("it is the engine's, like all names that start with `_`"));
        assert!(message("ctid").ends_with("it is a system column of PostgreSQL"));
    }
}
