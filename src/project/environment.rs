//! Resolves `${env:NAME}` in the values of YAML files that need it: those of `input` and `transforms`. Anywhere else the
//! content would end in comments, in the quarantine or in messages. The checked types get the variable's content. Messages
//! show the value as the user wrote it. A variable that holds a secret is refused, by its name or by its content.

use super::secrets::{self, Held, Lookup};

/// Why the variables in a value can't be resolved.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ExpandError {
    Missing(String),
    /// A `${...}` that is not `${env:NAME}`. Holds the text between the braces.
    Unknown(String),
    Unclosed,
    /// A variable where none may stand.
    NotHere(String),
    /// A variable that by its name holds a secret.
    Secret(String),
    /// A variable whose content is, or holds, a secret that the environment has under another name.
    HoldsSecret(String),
}

impl ExpandError {
    pub fn message(&self) -> String {
        match self {
            Self::Missing(name) => format!("the environment variable `{name}` is not set"),
            Self::Unknown(inner) => format!("`${{{inner}}}` is no variable"),
            Self::Unclosed => "`${` without its `}`".to_owned(),
            Self::NotHere(name) => format!("`${{env:{name}}}` may not stand here"),
            Self::Secret(name) => format!("the environment variable `{name}` holds a secret"),
            Self::HoldsSecret(name) => format!("the content of the environment variable `{name}` is a secret"),
        }
    }

    pub fn hint(&self) -> String {
        match self {
            Self::Missing(name) => format!("set it: export {name}=..."),
            Self::Unknown(inner) if is_variable_name(inner) => {
                format!("write `${{env:{inner}}}`, or `$${{{inner}}}` for the text itself")
            }
            Self::NotHere(_) => "write the value itself: variables are for `input` and `transforms`".to_owned(),
            Self::Secret(_) | Self::HoldsSecret(_) => secrets::HINT.to_owned(),
            Self::Unknown(_) | Self::Unclosed => "write `${env:NAME}`, or `$${` for the text `${`".to_owned(),
        }
    }
}

/// Replaces every `${env:NAME}` in the text, where variables are `allowed`. The content of a variable is not expanded
/// again. `$${` becomes `${`.
pub(super) fn expand(text: &str, lookup: Lookup<'_>, held: Held<'_>, allowed: bool) -> Result<String, ExpandError> {
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
        expanded.push_str(&content(name, lookup, held, allowed)?);
        rest = &rest[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn content(name: &str, lookup: Lookup<'_>, held: Held<'_>, allowed: bool) -> Result<String, ExpandError> {
    if !allowed {
        return Err(ExpandError::NotHere(name.to_owned()));
    }
    if secrets::is_secret_variable(name) {
        return Err(ExpandError::Secret(name.to_owned()));
    }
    let content = lookup(name).ok_or_else(|| ExpandError::Missing(name.to_owned()))?;
    if secrets::holds_secret(&content, lookup, held) {
        return Err(ExpandError::HoldsSecret(name.to_owned()));
    }
    Ok(content)
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
            "PGPASSWORD" | "COPIED" => Some("hunter2!".to_owned()),
            "DATABASE_URL" => Some("postgres://me:p%40ss-word@host/d".to_owned()),
            "PART" => Some("x-p@ss-word".to_owned()),
            "OF_A_FILE" => Some("key/AAECAwQFBgcICQoLDA0ODxAREhM/x".to_owned()),
            "WHOLE" => Some("postgres://other:pass@host/d".to_owned()),
            _ => None,
        }
    }

    fn held() -> Vec<String> {
        vec!["AAECAwQFBgcICQoLDA0ODxAREhM".to_owned()]
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
            assert_eq!(expand(text, &lookup, &held, true).as_deref(), Ok(expanded));
        }
    }

    #[test]
    fn a_doubled_dollar_is_the_text_itself() {
        assert_eq!(
            expand("$${env:A} $$ ${env:A}", &lookup, &held, true).as_deref(),
            Ok("${env:A} $$ one")
        );
    }

    #[test]
    fn what_is_no_variable_is_refused_with_a_remedy() {
        let missing = expand("${env:B}", &lookup, &held, true).expect_err("missing");
        assert_eq!(missing.message(), "the environment variable `B` is not set");
        let bare = expand("${HOME}", &lookup, &held, true).expect_err("unknown");
        assert_eq!(bare.message(), "`${HOME}` is no variable");
        assert_eq!(bare.hint(), "write `${env:HOME}`, or `$${HOME}` for the text itself");
        assert_eq!(expand("${env:A", &lookup, &held, true), Err(ExpandError::Unclosed));
        assert_eq!(
            expand("${env:1}", &lookup, &held, true),
            Err(ExpandError::Unknown("env:1".into()))
        );
    }

    #[test]
    fn no_secret_comes_out_of_the_environment() {
        for name in [
            "PGPASSWORD",
            "DATABASE_URL",
            "PIPELINE_MASK_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "MY_TOKEN",
            "PGPASSFILE",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ] {
            let error = expand(&format!("a/${{env:{name}}}"), &lookup, &held, true).expect_err(name);
            assert_eq!(error, ExpandError::Secret(name.to_owned()));
        }
        for name in ["COPIED", "PART", "WHOLE", "OF_A_FILE"] {
            let error = expand(&format!("a/${{env:{name}}}"), &lookup, &held, true).expect_err(name);
            assert_eq!(error, ExpandError::HoldsSecret(name.to_owned()));
            assert!(!error.message().contains("hunter2") && !error.message().contains("ss-word"));
        }
        assert_eq!(
            expand("${env:A}", &lookup, &held, false),
            Err(ExpandError::NotHere("A".into()))
        );
        assert_eq!(expand("$${env:A}", &lookup, &held, false).as_deref(), Ok("${env:A}"));
    }
}
