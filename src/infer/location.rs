//! Makes the path of a source's input from the paths of a sample: the date becomes `{date:...}`.

use std::path::Path;

use chrono::NaiveDate;

/// The path for `input:`, and a batch of the sample.
pub(super) struct Location {
    /// `None`: the paths of the sample have no date.
    pub path: Option<String>,
    pub date: Option<NaiveDate>,
}

const FORMATS: [(&str, usize); 4] = [("%Y-%m-%d", 10), ("%Y/%m/%d", 10), ("%Y_%m_%d", 10), ("%Y%m%d", 8)];

/// Finds the date in each path. Files of other days are other batches of the same path; names that differ otherwise
/// become `*`.
pub(super) fn find(root: &Path, names: &[&str]) -> Location {
    let relative = |name: &str| {
        let within = Path::new(name).strip_prefix(root).ok();
        within.map_or_else(|| name.to_owned(), |within| within.to_string_lossy().into_owned())
    };
    let found: Vec<_> = names.iter().map(|name| dated(&relative(name))).collect();
    let date = found.iter().flatten().map(|(_, date)| *date).max();
    let mut paths: Vec<String> = found.into_iter().flatten().map(|(path, _)| path).collect();
    if paths.len() < names.len() {
        return Location { path: None, date: None };
    }
    paths.dedup();
    let path = match paths.as_slice() {
        [one] => Some(one.clone()),
        [] => None,
        [first, ..] => common(first, &paths),
    };
    Location { path, date }
}

/// The path with its date replaced, and the date.
fn dated(path: &str) -> Option<(String, NaiveDate)> {
    for (format, length) in FORMATS {
        for start in 0..path.len().saturating_sub(length - 1) {
            let Some(text) = path.get(start..start + length) else {
                continue;
            };
            let digit = |at: Option<char>| at.is_some_and(|sign| sign.is_ascii_digit());
            if digit(path[..start].chars().next_back()) || digit(path[start + length..].chars().next()) {
                continue;
            }
            let Ok(date) = NaiveDate::parse_from_str(text, format) else {
                continue;
            };
            let year = date.format("%Y").to_string();
            if !("1990".."2100").contains(&year.as_str()) || date.format(format).to_string() != text {
                continue;
            }
            let token = if format == "%Y-%m-%d" {
                "{date}".to_owned()
            } else {
                format!("{{date:{format}}}")
            };
            return Some((format!("{}{token}{}", &path[..start], &path[start + length..]), date));
        }
    }
    None
}

/// The pattern that all paths match: what differs within a name becomes `*`.
fn common(first: &str, paths: &[String]) -> Option<String> {
    let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let mut pattern = parts(first);
    for path in paths {
        let path = parts(path);
        if path.len() != pattern.len() {
            return None;
        }
        for (known, part) in pattern.iter_mut().zip(path) {
            if *known == part || known.starts_with('*') && part.ends_with(known.trim_start_matches('*')) {
                continue;
            }
            if known.contains("{date") {
                return None;
            }
            let ending = known
                .rfind('.')
                .map(|at| known[at..].to_owned())
                .filter(|ending| part.ends_with(ending.as_str()));
            *known = format!("*{}", ending.unwrap_or_default());
        }
    }
    let pattern = pattern.join("/");
    pattern.contains("{date").then_some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> Option<String> {
        find(Path::new("/p"), names).path
    }

    #[test]
    fn a_date_in_a_path_becomes_a_token() {
        assert_eq!(
            path(&["/p/in/20230501/visits.json"]).unwrap(),
            "in/{date:%Y%m%d}/visits.json"
        );
        assert_eq!(
            path(&["/p/in/visits_2023-05-01.json.gz"]).unwrap(),
            "in/visits_{date}.json.gz"
        );
        assert_eq!(
            path(&["s3://b/2023/05/01/v.json"]).unwrap(),
            "s3://b/{date:%Y/%m/%d}/v.json"
        );
        assert_eq!(
            path(&["/elsewhere/20230501.csv"]).unwrap(),
            "/elsewhere/{date:%Y%m%d}.csv"
        );
        for none in ["/p/in/visits.json", "/p/in/120230501/v.json", "/p/in/20231301/v.json"] {
            assert_eq!(path(&[none]), None, "{none}");
        }
    }

    #[test]
    fn files_of_other_days_are_the_same_path_and_files_of_one_day_a_pattern() {
        let days = ["/p/in/20230501/visits.json", "/p/in/20230502/visits.json"];
        assert_eq!(path(&days).unwrap(), "in/{date:%Y%m%d}/visits.json");
        let many = [
            "/p/in/20230501/a.json",
            "/p/in/20230501/b.json",
            "/p/in/20230502/a.json",
        ];
        assert_eq!(path(&many).unwrap(), "in/{date:%Y%m%d}/*.json");
        assert_eq!(find(Path::new("/p"), &days).date, NaiveDate::from_ymd_opt(2023, 5, 2));
    }
}
