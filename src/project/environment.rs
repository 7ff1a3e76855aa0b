//! Resolves `${env:NAME}` in the values of YAML files. The checked types get the variable's content. Messages show the
//! value as the user wrote it, because a variable may hold a secret.

/// Looks up an environment variable. It is a function so that tests need not change the environment of the process.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why the variables in a value can't be resolved.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ExpandError {
    Missing(String),
    /// A `${...}` that is not `${env:NAME}`. Holds the text between the braces.
    Unknown(String),
    Unclosed,
}

impl ExpandError {
    pub fn message(&self) -> String {
        match self {
            Self::Missing(name) => format!("the environment variable `{name}` is not set"),
            Self::Unknown(inner) => format!("`${{{inner}}}` is no variable"),
            Self::Unclosed => "`${` without its `}`".to_owned(),
        }
    }

    pub fn hint(&self) -> String {
        match self {
            Self::Missing(name) => format!("set it: export {name}=..."),
            Self::Unknown(inner) if is_variable_name(inner) => {
                format!("write `${{env:{inner}}}`, or `$${{{inner}}}` for the text itself")
            }
            Self::Unknown(_) | Self::Unclosed => "write `${env:NAME}`, or `$${` for the text `${`".to_owned(),
        }
    }
}

/// Replaces every `${env:NAME}` in the text. The content of a variable is not expanded again. `$${` becomes `${`.
pub(super) fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        expanded.push_str(&rest[..start]);
        let end = rest[start..].find('}').ok_or(ExpandError::Unclosed)? + start;
        let inner = &rest[start + 2..end];
        let name = inner.strip_prefix("env:").filter(|name| is_variable_name(name));
        let name = name.ok_or_else(|| ExpandError::Unknown(inner.to_owned()))?;
        expanded.push_str(&lookup(name).ok_or_else(|| ExpandError::Missing(name.to_owned()))?);
        rest = &rest[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".to_owned()),
            "NESTED" => Some("${env:A}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_once() {
        let cases = [
            ("x", "x"),
            ("${env:A}", "one"),
            ("a${env:A}${env:A}b", "aoneoneb"),
            ("${env:NESTED}", "${env:A}"),
        ];
        for (text, expanded) in cases {
            assert_eq!(expand(text, &lookup).as_deref(), Ok(expanded));
        }
    }

    #[test]
    fn a_doubled_dollar_is_the_text_itself() {
        assert_eq!(
            expand("$${env:A} $$ ${env:A}", &lookup).as_deref(),
            Ok("${env:A} $$ one")
        );
    }

    #[test]
    fn what_is_no_variable_is_refused_with_a_remedy() {
        let missing = expand("${env:B}", &lookup).expect_err("missing");
        assert_eq!(missing.message(), "the environment variable `B` is not set");
        let bare = expand("${HOME}", &lookup).expect_err("unknown");
        assert_eq!(bare.message(), "`${HOME}` is no variable");
        assert_eq!(bare.hint(), "write `${env:HOME}`, or `$${HOME}` for the text itself");
        assert_eq!(expand("${env:A", &lookup), Err(ExpandError::Unclosed));
        assert_eq!(expand("${env:1}", &lookup), Err(ExpandError::Unknown("env:1".into())));
    }
}
