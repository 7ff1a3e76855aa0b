//! Phrases that many messages share: suggestions for misspelt names, and lists of names.

/// `did you mean` for a misspelt name. `None` if no known name is similar.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

/// The known name that is most similar to a misspelt one.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = name;
    let name = name.to_lowercase();
    // A third of the letters may differ; in short names, one letter.
    let allowed = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| *candidate != written)
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            (*distance <= allowed && *distance < candidate.chars().count()) || is_cut(&name, candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether one name is a part of the other: `alias` for `aliases`, `descriptions` for `description`.
fn is_cut(name: &str, candidate: &str) -> bool {
    name.len() >= 3 && (candidate.starts_with(name) || (candidate.len() >= 3 && name.starts_with(candidate)))
}

/// A text as it may be printed or stand in a comment: what would steer a terminal, end a line in some reader or turn the
/// direction of the text around is written as its code. Line ends stay.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => printable.push(c),
            '\u{2028}' | '\u{2029}' => printable.extend(c.escape_default()),
            _ if c.is_control() || steers(c) => printable.extend(c.escape_default()),
            c => printable.push(c),
        }
    }
    printable
}

/// The same on one line, such as a comment.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// Whether the character decides in which direction others are written.
pub(crate) fn steers(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Joins names as `a, b or c`.
pub(crate) fn one_of(names: &[&str]) -> String {
    joined(names, "or")
}

/// Joins names as `a, b and c`.
pub(crate) fn all_of(names: &[&str]) -> String {
    joined(names, "and")
}

fn joined(names: &[&str], last_by: &str) -> String {
    match names {
        [] => "none".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} {last_by} {last}", first.join(", ")),
    }
}

/// `1 entity`, `2 entities`
pub(crate) fn counted(count: usize, noun: &str, nouns: &str) -> String {
    format!("{count} {}", if count == 1 { noun } else { nouns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["name", "aliases", "transforms", "on_missing"];
        assert_eq!(nearest("transfroms", known), Some("transforms"));
        assert_eq!(nearest("Name", known), Some("name"));
        assert_eq!(nearest("alias", known), Some("aliases"));
        assert_eq!(nearest("on_mising", known), Some("on_missing"));
        assert_eq!(nearest("x", ["b"]), None);
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("name", ["name"]), None);
    }

    #[test]
    fn lists_read_as_english() {
        assert_eq!(one_of(&["a"]), "a");
        assert_eq!(one_of(&["a", "b", "c"]), "a, b or c");
        assert_eq!(all_of(&["a", "b"]), "a and b");
        assert_eq!(all_of(&[]), "none");
    }
}
