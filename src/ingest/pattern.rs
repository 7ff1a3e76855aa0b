//! Matches paths against patterns: `*`, `?` and `[..]` within a segment, `**` for any number of segments. Hidden and
//! temporary names (`.x`, `_x`, `x.tmp`, ...) match only where the pattern spells them out, as `_*` or `*.tmp` do. It
//! touches neither a disk nor a network.

use glob::{MatchOptions, Pattern as Segment};

/// Endings that programs give to files that are still being written, or that were left behind.
const TEMPORARY: [&str; 9] = [
    ".tmp",
    ".temp",
    ".part",
    ".partial",
    ".filepart",
    ".crdownload",
    ".swp",
    ".crc",
    "~",
];

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Whether a path holds `*`, `?` or `[`.
pub fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// A parsed pattern over segments divided by `/`.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// `**`
    Any,
    Literal(String),
    Glob(Segment),
}

impl Pattern {
    /// Parses a pattern. The error says why it is not valid, in the user's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let steps = text
            .split('/')
            .filter(|part| !part.is_empty())
            .map(Step::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self { steps })
    }

    /// The literal segments that every match starts with, without the last segment.
    pub fn literal_prefix(&self) -> Vec<&str> {
        let last = self.steps.len().saturating_sub(1);
        let literals = self.steps[..last].iter().map_while(|step| match step {
            Step::Literal(name) => Some(name.as_str()),
            Step::Any | Step::Glob(_) => None,
        });
        literals.collect()
    }

    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        matches(&self.steps, &names)
    }
}

impl Step {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "**" {
            return Ok(Step::Any);
        }
        if text.contains("**") {
            return Err("`**` must be a whole segment of the path".to_owned());
        }
        if !is_glob(text) {
            return Ok(Step::Literal(text.to_owned()));
        }
        Segment::new(text).map(Step::Glob).map_err(|error| error.msg.to_owned())
    }

    /// Whether a name of one segment fits; [`Step::Any`] fits every name that is not hidden or temporary.
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Step::Any => !is_set_aside(name),
            Step::Literal(literal) => literal == name,
            Step::Glob(segment) => segment.matches_with(name, OPTIONS) && names_it(segment.as_str(), name),
        }
    }
}

fn matches(steps: &[Step], names: &[&str]) -> bool {
    match (steps, names) {
        ([], []) => true,
        ([], _) | ([Step::Literal(_) | Step::Glob(_), ..], []) => false,
        ([Step::Any, rest @ ..], _) => {
            matches(rest, names)
                || names
                    .split_first()
                    .is_some_and(|(name, more)| Step::Any.fits(name) && matches(steps, more))
        }
        ([step, rest @ ..], [name, more @ ..]) => step.fits(name) && matches(rest, more),
    }
}

fn is_set_aside(name: &str) -> bool {
    !names_it("*", name)
}

/// Whether a pattern spells out what makes a name hidden or temporary: its first character, or its ending. Other names
/// always pass.
fn names_it(pattern: &str, name: &str) -> bool {
    let hidden = name.starts_with(['.', '_']);
    let temporary = TEMPORARY.iter().find(|ending| name.ends_with(*ending));
    (!hidden || pattern.starts_with(&name[..1])) && temporary.is_none_or(|ending| pattern.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn wildcards_stay_within_a_segment() {
        assert!(matches("in/*.json", "in/a.json"));
        assert!(!matches("in/*.json", "in/b/a.json"));
        assert!(matches("in/?[0-9].json", "in/a7.json"));
        assert!(!matches("in/?[0-9].json", "in/ab.json"));
        assert!(!matches("in/*.json", "in/a.JSON"));
    }

    #[test]
    fn double_star_takes_any_number_of_segments() {
        for path in ["in/a.json", "in/x/a.json", "in/x/y/a.json"] {
            assert!(matches("in/**/a.json", path), "{path}");
        }
        assert!(!matches("in/**/a.json", "other/a.json"));
        assert!(matches("in/**", "in/x/y"));
        assert!(Pattern::parse("in/a**b").is_err());
    }

    #[test]
    fn hidden_and_temporary_names_must_be_named() {
        for path in [
            "in/.a.json",
            "in/_a.json",
            "in/a.json.tmp",
            "in/a.json~",
            "in/_temporary/a.json",
        ] {
            assert!(!matches("in/*", path), "{path}");
            assert!(!matches("in/**", path), "{path}");
            assert!(!matches("in/**/a.json", path), "{path}");
        }
        assert!(matches("in/_*.json", "in/_a.json"));
        assert!(matches("in/.*", "in/.a.json"));
        assert!(matches("in/*.tmp", "in/a.json.tmp"));
        assert!(matches("in/_temporary/*", "in/_temporary/a.json"));
    }

    #[test]
    fn the_literal_prefix_ends_before_the_first_wildcard() {
        assert_eq!(Pattern::parse("a/b/c*/d").unwrap().literal_prefix(), ["a", "b"]);
        assert_eq!(Pattern::parse("a/b/c").unwrap().literal_prefix(), ["a", "b"]);
        assert!(Pattern::parse("*.json").unwrap().literal_prefix().is_empty());
    }

    #[test]
    fn a_broken_class_is_an_error() {
        assert!(Pattern::parse("a[b").is_err());
    }
}
