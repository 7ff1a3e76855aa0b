//! Finds the service file (PostgreSQL manual, "The Connection Service File") and reads one section of it.

use std::path::{Path, PathBuf};

use super::environment::{Environment, home, variable};
use crate::error::{Error, Result};

/// One line of a service's section.
pub(super) struct Setting {
    pub keyword: String,
    pub value: String,
    /// File and line, for errors.
    pub origin: String,
}

/// The settings of a service, from the first file that has its section.
pub(super) fn find(service: &str, environment: Environment<'_>) -> Result<Vec<Setting>> {
    for path in files(environment) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        if let Some(found) = section(&text, service, &path)? {
            return Ok(found);
        }
    }
    Err(Error::project(format!("the service `{service}` is in no service file"))
        .hint("add a section for it to ~/.pg_service.conf, or name the file with PGSERVICEFILE"))
}

/// The user's file first, then the system's (`PGSYSCONFDIR`).
fn files(environment: Environment<'_>) -> Vec<PathBuf> {
    let own = variable(environment, "PGSERVICEFILE")
        .map(PathBuf::from)
        .or_else(|| home(environment).map(|home| home.join(".pg_service.conf")));
    let system = variable(environment, "PGSYSCONFDIR").map(|dir| Path::new(&dir).join("pg_service.conf"));
    own.into_iter().chain(system).collect()
}

fn section(text: &str, service: &str, path: &Path) -> Result<Option<Vec<Setting>>> {
    let mut section: Option<Vec<Setting>> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if section.is_some() {
                break;
            }
            section = (name == service).then(Vec::new);
            continue;
        }
        let Some(settings) = section.as_mut() else { continue };
        let origin = format!("{}:{}", path.display(), number + 1);
        match line.split_once('=') {
            Some(("service", _)) => return Err(Error::project(format!("{origin}: a service can't name a service"))),
            Some((keyword, value)) => settings.push(Setting {
                keyword: keyword.trim_end().to_owned(),
                value: value.trim_start().to_owned(),
                origin,
            }),
            None => {
                return Err(Error::project(format!(
                    "{origin}: a line of a service is `keyword=value`"
                )));
            }
        }
    }
    Ok(section)
}
