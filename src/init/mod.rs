//! `pipeline init`: writes a new project with a small sample of its own. The files lie in `template`, and are part of
//! the program.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::project::{YamlKind, schema_text};

/// Where the name of the project stands in a template.
const NAME: &str = "{project}";

/// The files of a new project. Git would take a file called `.gitignore` in the template for its own.
const FILES: [(&str, &str); 12] = [
    (".gitignore", include_str!("template/gitignore")),
    ("README.md", include_str!("template/README.md")),
    ("pipeline.yaml", include_str!("template/pipeline.yaml")),
    ("pipelines/clinic.yaml", include_str!("template/pipelines/clinic.yaml")),
    (
        "sql/clinic/patients.sql",
        include_str!("template/sql/clinic/patients.sql"),
    ),
    ("sql/clinic/visits.sql", include_str!("template/sql/clinic/visits.sql")),
    (
        "sql/clinic/prescriptions.sql",
        include_str!("template/sql/clinic/prescriptions.sql"),
    ),
    (
        "sql/clinic/tests/visits.yaml",
        include_str!("template/sql/clinic/tests/visits.yaml"),
    ),
    (
        "sql/views/drugs_by_month.sql",
        include_str!("template/sql/views/drugs_by_month.sql"),
    ),
    (
        "migrations/V1__tables.sql",
        include_str!("template/migrations/V1__tables.sql"),
    ),
    (
        "data/clinic/2023-05-01.json",
        include_str!("template/data/clinic/2023-05-01.json"),
    ),
    (
        "data/clinic/2023-05-02.json",
        include_str!("template/data/clinic/2023-05-02.json"),
    ),
];

/// Writes a new project into a folder, which may exist but must hold nothing but hidden files. Returns the paths of the
/// files. The files are written aside first, so that an error leaves no half of a project.
///
/// # Errors
/// A folder that holds something, and one that can't be written.
pub fn init(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| {
        Error::project(format!("{} can't be made", folder.display()))
            .cause(error)
            .hint("name a folder that you may write to")
    };
    let absolute = std::path::absolute(folder).map_err(failed)?;
    refuse_if_used(folder, &absolute)?;
    let name = absolute
        .file_name()
        .map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned());
    let parent = absolute.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    let aside = parent.join(format!(".{name}.new-{}", std::process::id()));
    let made = write(&aside, &name).and_then(|()| move_into(&aside, &absolute));
    let _ = fs::remove_dir_all(&aside);
    made.map_err(failed)?;
    let schemas = YamlKind::ALL.map(|kind| PathBuf::from(kind.path()));
    let files = FILES.iter().map(|(path, _)| PathBuf::from(path));
    Ok(files.chain(schemas).collect())
}

fn refuse_if_used(folder: &Path, absolute: &Path) -> Result<()> {
    let used = |what: &str| {
        Err(Error::project(format!("{} {what}", folder.display())).hint("name a folder that does not exist yet"))
    };
    let entries = match fs::read_dir(absolute) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory && absolute.exists() => {
            return used("is a file");
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return used("can't be made: what stands above it is a file");
        }
        Err(error) => {
            return Err(Error::project(format!("{} can't be read", folder.display()))
                .cause(error)
                .hint("name a folder that you may write to"));
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        // A clone of an empty repository is a good place. A `.gitignore` that is there must stay.
        if !name.to_string_lossy().starts_with('.') || name == ".gitignore" {
            return used("is not empty");
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str) -> std::io::Result<()> {
    // The name stands between double quotes in YAML, and as a heading in the README.
    let plain: String = name
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
        .collect();
    let put = |path: &str, text: String| {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)
    };
    for (path, text) in FILES {
        put(path, text.replace(NAME, &plain))?;
    }
    for kind in YamlKind::ALL {
        put(&kind.path(), schema_text(Some(kind)) + "\n")?;
    }
    Ok(())
}

/// Moves everything in a folder into another.
fn move_into(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::rename(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
