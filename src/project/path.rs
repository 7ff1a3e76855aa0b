//! Checks the path of a source's input: `{date:...}` tokens, wildcards and URL schemes. It reads only the text and
//! never a disk or a network.

use std::fmt::Write as _;

use chrono::NaiveDate;
use chrono::format::{Item, StrftimeItems};

use crate::model::wording::{did_you_mean, nearest};

const DEFAULT_FORMAT: &str = "%Y-%m-%d";
const SCHEMES: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "https", "http"];

/// The path for one batch, with `{date:%Y%m%d}` and `{date}` (`2023-05-02`) replaced. The template must have been
/// checked with the project. In any other template, tokens that can't be replaced are left unchanged.
pub fn expand_date(template: &str, date: NaiveDate) -> String {
    let mut path = String::with_capacity(template.len());
    for part in parts(template) {
        match part {
            Part::Date(format) => {
                let mut text = String::new();
                if write!(text, "{}", date.format(format)).is_ok() {
                    path.push_str(&text);
                }
            }
            Part::Text(text) | Part::Unknown(text) | Part::Unclosed(text) => path.push_str(text),
        }
    }
    path
}

/// A problem of a path, and how to correct it. Parts of the path are quoted as they are in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadPath {
    pub message: String,
    pub hint: String,
}

fn bad<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, BadPath> {
    Err(BadPath {
        message: message.into(),
        hint: hint.into(),
    })
}

/// Checks a path after its variables are resolved. `plain_http` is true if the source's storage settings allow HTTP.
pub(super) fn check(path: &str, plain_http: bool) -> Result<(), BadPath> {
    if path.trim().is_empty() {
        return bad("the path is empty", "name the input: data/{date}/visits.json");
    }
    check_tokens(path)?;
    match scheme(path) {
        Some((scheme, rest)) => check_url(scheme, rest, plain_http),
        None => check_glob(path),
    }
}

/// The scheme of a URL and the text after it. `None` for a local path.
pub(super) fn scheme(path: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = path.split_once("://")?;
    let valid = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    valid.then_some((scheme, rest))
}

enum Part<'a> {
    Text(&'a str),
    /// The format of a `{date}` token.
    Date(&'a str),
    /// A `{...}` that is not a known token.
    Unknown(&'a str),
    /// A `{` without a matching `}`.
    Unclosed(&'a str),
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        parts.push(Part::Text(&rest[..start]));
        let Some(end) = rest[start..].find('}').map(|end| start + end) else {
            parts.push(Part::Unclosed(&rest[start..]));
            return parts;
        };
        let inner = &rest[start + 1..end];
        parts.push(match inner.strip_prefix("date") {
            Some("") => Part::Date(DEFAULT_FORMAT),
            Some(format) if format.starts_with(':') => Part::Date(&format[1..]),
            _ => Part::Unknown(&rest[start..=end]),
        });
        rest = &rest[end + 1..];
    }
    parts.push(Part::Text(rest));
    parts
}

fn check_tokens(path: &str) -> Result<(), BadPath> {
    let write_one = "write {date}, or {date:%Y%m%d} with a format of your own";
    let mut dated = false;
    for part in parts(path) {
        match part {
            Part::Text(_) => {}
            Part::Date(format) => {
                check_token_format(format)?;
                dated = true;
            }
            Part::Unknown(token) => {
                let name = token.trim_matches(['{', '}']).split(':').next().unwrap_or_default();
                let hint = match nearest(name, ["date"]) {
                    Some(_) => format!("did you mean `{}`?", token.replacen(name, "date", 1)),
                    None => write_one.to_owned(),
                };
                return bad(format!("`{token}` is no token of a path"), hint);
            }
            Part::Unclosed(token) => return bad(format!("`{token}` lacks its `}}`"), write_one),
        }
    }
    if dated {
        return Ok(());
    }
    bad(
        "the path has no `{date}`: every batch would read the same files",
        "put the batch's date where the path has it: data/{date:%Y%m%d}/visits.json",
    )
}

fn check_token_format(format: &str) -> Result<(), BadPath> {
    let hint = "write a date format such as {date:%Y%m%d}";
    if format.is_empty() {
        return bad("`{date:}` has no format", "write {date}, or {date:%Y%m%d}");
    }
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    if items.contains(&Item::Error) {
        return bad(format!("`{{date:{format}}}` holds no valid date format"), hint);
    }
    if items
        .iter()
        .all(|item| matches!(item, Item::Literal(_) | Item::OwnedLiteral(_)))
    {
        return bad(format!("`{{date:{format}}}` holds no part of the date"), hint);
    }
    let mut text = String::new();
    if write!(text, "{}", NaiveDate::default().format(format)).is_err() {
        return bad(format!("`{{date:{format}}}` asks for more than a date has"), hint);
    }
    Ok(())
}

fn check_url(scheme: &str, rest: &str, plain_http: bool) -> Result<(), BadPath> {
    if scheme == "file" {
        return bad("`file://` is not needed", "write the local path itself");
    }
    if !SCHEMES.contains(&scheme) {
        let hint = did_you_mean(scheme, SCHEMES).unwrap_or_else(|| "use s3://, gs://, az:// or https://".to_owned());
        return bad(format!("unknown URL scheme `{scheme}://`"), hint);
    }
    let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() || key.is_empty() {
        let container = if scheme.starts_with("http") { "host" } else { "bucket" };
        return bad(
            format!("the URL needs a {container} and a path below it"),
            format!("write {scheme}://{container}/path/{{date}}.json"),
        );
    }
    if host.contains(['*', '?', '[']) {
        return bad(
            "a pattern can't stand in a bucket's or host's name",
            "put it into the path below",
        );
    }
    if scheme.starts_with("http") {
        return check_web(scheme, host, key, plain_http);
    }
    check_glob(key)
}

fn check_web(scheme: &str, host: &str, key: &str, plain_http: bool) -> Result<(), BadPath> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    if scheme == "http" && !local && !plain_http {
        return bad(
            "`http://` sends the data unencrypted",
            "use https://, or allow it: storage: {allow_http: \"true\"}",
        );
    }
    if key.contains(['?', '#']) {
        return bad(
            "a web address can have neither a query nor a pattern",
            "name one file a batch, without `?` and `#`",
        );
    }
    if key.contains(['*', '[']) {
        return bad(
            "over https nothing can be listed, so a pattern finds nothing",
            "name one file a batch",
        );
    }
    Ok(())
}

fn check_glob(path: &str) -> Result<(), BadPath> {
    for segment in path.split('/') {
        if segment.contains("**") && segment != "**" {
            return bad(
                "`**` must stand alone between two `/`",
                "write `**/*.json` for all files at any depth",
            );
        }
        if let Err(error) = glob::Pattern::new(segment) {
            return bad(
                format!("`{segment}` is no pattern: {}", error.msg),
                "close the brackets, or write `[[]` for a `[` itself",
            );
        }
    }
    if path.ends_with('/') {
        return bad("the path names a folder", "name its files: add `*.json`");
    }
    if path.rsplit('/').next() == Some("**") {
        return bad(
            "the path ends in `**`, which names folders",
            "write `**/*.json` for all files at any depth",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(template: &str) -> String {
        expand_date(template, NaiveDate::from_ymd_opt(2023, 5, 2).expect("a date"))
    }

    fn problem(path: &str) -> (String, String) {
        check(path, false)
            .map_err(|bad| (bad.message, bad.hint))
            .expect_err(path)
    }

    #[test]
    fn tokens_are_replaced() {
        assert_eq!(expanded("d/{date:%Y%m%d}/v.json"), "d/20230502/v.json");
        assert_eq!(expanded("d/{date}/{date:%Y/%m}/v.json"), "d/2023-05-02/2023/05/v.json");
        assert_eq!(expanded("{date:%j}"), "122");
        assert_eq!(expanded("plain"), "plain");
    }

    #[test]
    fn what_was_not_checked_stays_and_never_panics() {
        assert_eq!(expanded("a{x}b{date:%H}c{dat"), "a{x}bc{dat");
        assert_eq!(expanded("{date:%}"), "");
    }

    #[test]
    fn good_paths_pass() {
        for path in [
            "data/{date}/a.json",
            "/abs/{date:%Y}/{date:%m-%d}/**/*.json.gz",
            "data/{date}/[a-c]?.csv",
            "s3://bucket/{date}/*.json",
            "gs://bucket/a-{date}.json",
            "az://container/{date}/a.json",
            "https://host:8443/{date}.json",
            "http://127.0.0.1:9000/{date}.json",
            "../shared/{date}.json",
        ] {
            assert_eq!(check(path, false), Ok(()), "{path}");
        }
        assert_eq!(check("http://host/{date}.json", true), Ok(()));
    }

    #[test]
    fn bad_tokens() {
        let no_date = problem("data/visits.json");
        assert_eq!(
            no_date.0,
            "the path has no `{date}`: every batch would read the same files"
        );
        assert_eq!(
            problem("{dat:%Y}"),
            (
                "`{dat:%Y}` is no token of a path".into(),
                "did you mean `{date:%Y}`?".into()
            )
        );
        assert_eq!(problem("{day}/x").0, "`{day}` is no token of a path");
        assert_eq!(
            problem("{region}/x").1,
            "write {date}, or {date:%Y%m%d} with a format of your own"
        );
        assert_eq!(problem("a/{date:%Y").0, "`{date:%Y` lacks its `}`");
        assert_eq!(problem("{date:}").0, "`{date:}` has no format");
        assert_eq!(problem("{date:%Q}").0, "`{date:%Q}` holds no valid date format");
        assert_eq!(problem("{date:YYYY}").0, "`{date:YYYY}` holds no part of the date");
        assert_eq!(
            problem("{date:%Y-%H}").0,
            "`{date:%Y-%H}` asks for more than a date has"
        );
        assert_eq!(problem("").0, "the path is empty");
    }

    #[test]
    fn bad_urls() {
        assert_eq!(
            problem("ftp://h/{date}"),
            (
                "unknown URL scheme `ftp://`".into(),
                "use s3://, gs://, az:// or https://".into()
            )
        );
        assert_eq!(problem("htps://h/{date}").1, "did you mean `https`?");
        assert_eq!(problem("file:///{date}").1, "write the local path itself");
        assert_eq!(problem("s3:///{date}").0, "the URL needs a bucket and a path below it");
        assert_eq!(problem("https://h{date}").0, "the URL needs a host and a path below it");
        assert_eq!(
            problem("s3://b*/{date}").0,
            "a pattern can't stand in a bucket's or host's name"
        );
        assert_eq!(problem("http://host/{date}").0, "`http://` sends the data unencrypted");
        assert_eq!(
            problem("https://h/{date}?x=1").0,
            "a web address can have neither a query nor a pattern"
        );
        assert_eq!(
            problem("https://h/{date}/*").0,
            "over https nothing can be listed, so a pattern finds nothing"
        );
    }

    #[test]
    fn bad_globs() {
        assert_eq!(problem("{date}/[a").0, "`[a` is no pattern: invalid range pattern");
        assert_eq!(problem("{date}/**.json").0, "`**` must stand alone between two `/`");
        assert_eq!(problem("{date}/").0, "the path names a folder");
        assert_eq!(problem("{date}/**").0, "the path ends in `**`, which names folders");
    }
}
