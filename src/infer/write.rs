//! `pipeline source add`: reads a sample, proposes a source, writes its files, and checks the project with them. If
//! anything fails, no file is left and none is changed.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use chrono::NaiveDate;

use super::declare::{Field, Kind};
use super::proposal::Proposal;
use super::request::{Entities, Request};
use super::sample::{ByKind, Reader, Sample};
use super::samples::Samples;
use super::tables::snake;
use super::writing::Writing;
use super::{location, render};
use crate::error::{Error, Result};
use crate::ingest::sample_files;
use crate::model::{Entity, Project};
use crate::project::YamlKind;
use crate::warehouse::migration_new;
use crate::{project, run};

/// How many values of a field are shown, where the user asks for them.
const SHOWN: usize = 3;

/// What was added.
#[derive(Debug)]
pub struct Added {
    /// Paths relative to the project, in the order in which they are to be read.
    pub written: Vec<String>,
    pub changed: Vec<String>,
    pub records: u64,
    pub files: usize,
    /// Whether only a part of the sample was looked at.
    pub cut: bool,
    pub fields: usize,
    pub masked: usize,
    /// What a person has to know or decide.
    pub notes: Vec<String>,
    /// A batch of the sample, where its path has a date.
    pub date: Option<NaiveDate>,
    pub name: String,
    /// The entities that the source fills.
    pub entities: Vec<String>,
    pub samples: Samples,
}

/// Proposes a source, and writes it into the project.
///
/// # Errors
/// A name that is taken or can't be one, a sample that can't be read, and a source that can fill no entity. Nothing is
/// written then.
pub async fn add(root: &Path, request: &Request) -> Result<Added> {
    let root = root.canonicalize();
    let root = root.map_err(|error| Error::project("the project's folder can't be read").cause(error))?;
    let base = Base::read(&root, request.entities)?;
    base.free_name(&root, &request.name)?;
    let mut files = Vec::new();
    for path in &request.paths {
        files.extend(sample_files(&request.from, path).await?);
    }
    let reader = Reader {
        limit: request.sample,
        keep: if request.show_samples { SHOWN } else { 0 },
        declared: None,
        kinds: request.kind_by.as_deref().map_or(ByKind::Find, ByKind::Field),
    };
    let sample = reader.read(&files).await?;
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let location = location::find(&root, &names);
    let proposal = Proposal::of(&base.entities, request, &sample)?;
    let mut writing = Writing::new(root);
    let written = write(&proposal, &mut writing, &base.text, request, &sample, &location);
    let migrated = match written {
        Ok(()) => finish(&mut writing, request).await,
        Err(error) => Err(error),
    };
    if let Err(error) = migrated {
        writing.undo();
        return Err(error);
    }
    let (mut fields, mut masked) = (0, 0);
    for kind in &proposal.kinds {
        count(&kind.fields, &mut fields, &mut masked);
    }
    let mut notes = proposal.notes.clone();
    if location.path.is_none() {
        notes.push(format!(
            "the sample's path has no date, so the input is in/{}/{{date}}/: put each day's files there",
            request.name
        ));
    }
    Ok(Added {
        written: writing.written.iter().map(|path| path.display().to_string()).collect(),
        changed: writing
            .before
            .iter()
            .map(|(path, _)| path.display().to_string())
            .collect(),
        records: sample.record().map_or(0, |record| record.objects.count),
        files: sample.files,
        cut: sample.cut,
        fields,
        masked,
        notes,
        date: location.date,
        name: request.name.clone(),
        entities: proposal.tables.iter().map(|table| table.name.clone()).collect(),
        samples: Samples::of(proposal.kinds.iter().map(|kind| kind.fields.as_slice())),
    })
}

/// The project to which a source is added.
struct Base {
    /// The text of `pipeline.yaml`. Empty: there is none yet.
    text: String,
    entities: Vec<Entity>,
    project: Option<Project>,
}

impl Base {
    /// Reads the project. One without a source is no valid project yet; this one makes it one.
    fn read(root: &Path, entities: Entities) -> Result<Self> {
        let text = match fs::read_to_string(root.join("pipeline.yaml")) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && entities == Entities::New => String::new(),
            Err(error) => return Err(Error::project("pipeline.yaml can't be read").cause(error)),
        };
        let sources = fs::read_dir(root.join("pipelines")).into_iter().flatten().flatten();
        let no_source = !sources
            .into_iter()
            .any(|file| file.path().extension().is_some_and(|ending| ending == "yaml"));
        let declared = text.lines().skip_while(|line| !line.starts_with("entities:")).skip(1);
        let no_entity = !declared
            .into_iter()
            .any(|line| line.starts_with(' ') && !line.trim_start().starts_with('#'));
        if no_source {
            let entities = match entities {
                Entities::New if no_entity => Vec::new(),
                _ => project::load_entities(root)?,
            };
            return Ok(Self {
                text,
                entities,
                project: None,
            });
        }
        let project = project::load(root)?;
        Ok(Self {
            text,
            entities: project.entities.clone(),
            project: Some(project),
        })
    }

    fn free_name(&self, root: &Path, name: &str) -> Result<()> {
        if snake(name, 40) != name {
            return Err(
                Error::project(format!("`{name}` can't be the name of a source")).hint(format!(
                    "use a-z, 0-9 and _, with no digit first: `{}`",
                    snake(name, 40)
                )),
            );
        }
        if let Some(known) = self.project.as_ref().and_then(|project| project.source(name).ok()) {
            let answers = if known.name == name {
                String::new()
            } else {
                format!(", which answers to `{name}`")
            };
            return Err(
                Error::project(format!("there is a source `{}` already{answers}", known.name))
                    .hint("choose another name, or give `--update` to see what this sample changes in its schema"),
            );
        }
        let taken = [format!("pipelines/{name}.yaml"), format!("sql/{name}")];
        match taken.iter().find(|path| root.join(path).exists()) {
            Some(path) => Err(Error::project(format!("{path} is there already")).hint("choose another name")),
            None => Ok(()),
        }
    }
}

fn count(fields: &[Field], all: &mut usize, masked: &mut usize) {
    for field in fields {
        match &field.kind {
            Kind::Scalar(scalar) | Kind::Scalars(scalar) => {
                *all += 1;
                *masked += usize::from(
                    scalar
                        .suggested
                        .as_ref()
                        .is_some_and(|suggested| suggested.mask != "keep"),
                );
            }
            Kind::Struct(inner) | Kind::Objects(inner) => count(inner, all, masked),
        }
    }
}

/// Writes the migration, and checks the project as it is now.
async fn finish(writing: &mut Writing, request: &Request) -> Result<()> {
    let proposed = |error: Error| {
        let hint =
            "the proposal does not fit the project; nothing was written. Report it with the sample's field names";
        if error.hint.is_some() { error } else { error.hint(hint) }
    };
    let project = project::load(&writing.root).map_err(proposed)?;
    if request.entities == Entities::New
        && let Some(path) = migration_new(&project, &writing.root, &format!("add_{}", request.name)).await?
    {
        writing.written.push(path);
    }
    run::check(&project).await.map(drop).map_err(proposed)
}

/// Writes the files of a proposal.
fn write(
    proposal: &Proposal,
    writing: &mut Writing,
    project_text: &str,
    request: &Request,
    sample: &Sample,
    location: &location::Location,
) -> Result<()> {
    let path = format!("pipelines/{}.yaml", request.name);
    let schema = project::schema_comment(&writing.root, Path::new(&path), YamlKind::Source);
    let yaml = proposal.yaml(request, sample, location);
    writing.create(&path, &format!("{schema}{yaml}"))?;
    for table in &proposal.tables {
        let sql = render::sql(table, &request.name);
        writing.create(&format!("sql/{}/{}.sql", request.name, table.name), &sql)?;
    }
    if request.entities == Entities::New {
        let entities = render::entities(&proposal.tables, &request.name);
        writing.replace("pipeline.yaml", &with_entities(project_text, &entities)?)?;
    }
    Ok(())
}

/// `pipeline.yaml` with further entities at the end of `entities:`.
fn with_entities(text: &str, entities: &str) -> Result<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(start) = lines.iter().position(|line| line.starts_with("entities:")) else {
        let before = if text.trim().is_empty() {
            String::new()
        } else {
            format!("{}\n\n", text.trim_end())
        };
        return Ok(format!("{before}entities:\n{}\n", entities.trim_end()));
    };
    if lines[start].trim_end() != "entities:" {
        if lines[start].trim_end() == "entities: {}" {
            lines[start] = "entities:";
        } else {
            return Err(Error::project("`entities` of pipeline.yaml is written in one line")
                .hint("write each entity on lines of its own, so that further ones can be added"));
        }
    }
    let next = lines[start + 1..]
        .iter()
        .position(|line| line.starts_with(|c: char| !c.is_whitespace() && c != '#'));
    let end = next.map_or(lines.len(), |next| start + 1 + next);
    let before = lines[..end].join("\n");
    let after = lines[end..].join("\n");
    Ok(format!("{}\n\n{entities}{after}", before.trim_end())
        .trim_end()
        .to_owned()
        + "\n")
}
