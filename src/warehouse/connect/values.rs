//! Reads values of parameters into types. An error names the keyword and never the value.

use std::str::FromStr;
use std::time::Duration;

use super::conninfo::Params;
use crate::error::{Error, Result};

/// Reads one of a list of words. Returns `default` where the keyword is not given.
pub(super) fn one_of<T: Clone>(params: &Params, keyword: &str, values: &[(&str, T)], default: T) -> Result<T> {
    let Some(given) = params.get(keyword) else {
        return Ok(default);
    };
    values
        .iter()
        .find(|(name, _)| *name == given)
        .map(|(_, value)| value.clone())
        .ok_or_else(|| {
            let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
            Error::project(format!(
                "`{keyword}` of the database connection has a value that is not supported"
            ))
            .hint(format!("it is one of {}", names.join(", ")))
        })
}

pub(super) fn number<T: FromStr>(params: &Params, keyword: &str) -> Result<Option<T>> {
    params
        .get(keyword)
        .map(|text| {
            text.trim()
                .parse()
                .map_err(|_| Error::project(format!("`{keyword}` of the database connection is no valid number")))
        })
        .transpose()
}

pub(super) fn seconds(params: &Params, keyword: &str) -> Result<Option<Duration>> {
    // A negative number means "no limit", like zero.
    let given = number::<i64>(params, keyword)?;
    Ok(given.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))))
}
