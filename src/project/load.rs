//! Finds a project and reads all its files. It continues after a problem where possible, so that one run reports the
//! problems of all files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::check_columns;
use super::conserve;
use super::contract::{self, Contract};
use super::deletions;
use super::document::Document;
use super::exposed;
use super::held;
use super::latest;
use super::mapping::{Context, check_urls, mend_cut_types};
use super::privacy;
use super::problems::Problems;
use super::secrets::Lookup;
use super::shared;
use super::source::{self, SourceDraft};
use super::sql;
use super::yaml::Node;
use super::yaml_files::yaml_files;
use crate::error::{Diagnostic, Error, Result, Words as _};
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{Check, Entity, Gate, Profile, Project, Scope, Source};
use crate::workspace::Files;

pub(super) const PROJECT_FILE: &str = "pipeline.yaml";
const SOURCES_FOLDER: &str = "pipelines";

/// The nearest folder that holds `pipeline.yaml`, from `start` upwards.
pub fn find_root(start: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(start)
        .map_err(|error| Error::project(format!("the folder {} can't be used", start.display())).cause(error))?;
    absolute
        .ancestors()
        .find(|folder| folder.join(PROJECT_FILE).is_file())
        .map(Path::to_owned)
        .ok_or_else(|| {
            Error::project(format!(
                "no project found: neither {} nor a folder above it holds pipeline.yaml",
                start.display()
            ))
            .hint("go into a project's folder, or name it: --project DIR")
        })
}

/// Reads and checks the project in `root`. The error lists every problem in all files.
pub fn load(root: &Path) -> Result<Project> {
    load_files(&Files::saved(root))
}

/// Like [`load`], over files of which some may not be saved.
pub fn load_files(files: &Files) -> Result<Project> {
    load_with(files, &|name| std::env::var(name).ok())
}

/// Reads and checks the project in `root`, and returns the texts of its files too, by their paths in the project.
pub fn load_with_texts(root: &Path) -> Result<(Project, BTreeMap<PathBuf, String>)> {
    let files = Files::saved(root).keeping_texts();
    let project = load_files(&files)?;
    Ok((project, files.texts()))
}

/// Reads and checks a project of which another process has sent the texts. `root` is its folder there, to which paths of
/// its input are relative.
pub fn load_sent(root: &Path, texts: BTreeMap<PathBuf, String>) -> Result<Project> {
    load_files(&Files::sent(root, texts))
}

/// Like [`load_files`], but with the given environment variables.
pub(super) fn load_with(files: &Files, lookup: Lookup<'_>) -> Result<Project> {
    let read = read(files, lookup)?;
    joined(read.diagnostics).map_or(Ok(read.project), Err)
}

/// Like [`load_files`], but a project whose only problems are names that lead nowhere comes with them, so that they can be
/// reported together with what else is wrong. Such a project can be checked, not run.
///
/// # Errors
/// All problems, where something could not be read.
pub fn load_to_check(files: &Files) -> Result<(Project, Option<Error>)> {
    let read = read(files, &|name| std::env::var(name).ok())?;
    match joined(read.diagnostics) {
        Some(error) if read.is_incomplete => Err(error),
        found => Ok((read.project, found)),
    }
}

/// Reads what can be read of a project. It leaves out what has problems, so it is for looking things up, not for running.
///
/// # Errors
/// There is no `pipeline.yaml`.
pub fn read_partly(files: &Files) -> Result<Project> {
    read(files, &|name| std::env::var(name).ok()).map(|read| read.project)
}

/// What can be read of a project, and all problems.
struct Read {
    project: Project,
    diagnostics: Vec<Diagnostic>,
    /// Whether something could not be read.
    is_incomplete: bool,
}

fn read(files: &Files, lookup: Lookup<'_>) -> Result<Read> {
    if !files.holds(Path::new(PROJECT_FILE)) {
        return Err(
            Error::project(format!("{} is no project: it holds no pipeline.yaml", files.display()))
                .hint("name a project's folder: --project DIR, or declare the entities in a pipeline.yaml there"),
        );
    }
    let mut problems = Problems::default();
    let mut contract = read_contract(files, lookup, &mut problems);
    let mut drafts = read_sources(files, lookup, &mut problems);
    source::check_names(&drafts, &mut problems);
    resolve_checks(contract.as_mut(), &mut drafts, &mut problems);
    let exposed = contract
        .as_mut()
        .map_or_else(Vec::new, |contract| std::mem::take(&mut contract.exposed));
    let known = contract.as_ref().map(|contract| contract.names.as_slice());
    let mut views = sql::read_views(files, known.unwrap_or_default(), &mut problems);
    if let Some(contract) = &mut contract {
        let drafts = std::mem::take(&mut contract.latest);
        latest::add(drafts, &mut contract.entities, &mut views, &mut problems);
    }
    let known = contract.as_ref().map(|contract| contract.names.as_slice());
    let checks = sql::read_checks(files, &mut problems);
    let exposed = exposed::resolve(exposed, known.unwrap_or_default(), &views, &mut problems);
    let mut sources: Vec<Source> = drafts
        .into_iter()
        .map(|draft| with_transforms(files, draft, contract.as_ref(), &mut problems))
        .collect();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    let profile = contract
        .as_ref()
        .map_or_else(Profile::default, |contract| contract.profile);
    check_privacy(profile, &sources, &mut problems);
    let is_incomplete = problems.incomplete();
    let Contract {
        entities,
        text,
        mut gate,
        ..
    } = contract.unwrap_or_default();
    if let Some(gate) = &mut gate {
        gate.per_batch = Gate::is_per_batch(&gate.over, &sources);
    }
    let project = Project {
        root: files.to_path_buf(),
        entities,
        sources,
        views,
        profile,
        exposed,
        gate,
        checks,
        text,
    };
    Ok(Read {
        project,
        diagnostics: problems.into_diagnostics(),
        is_incomplete,
    })
}

/// The error with these problems, if there are any.
fn joined(diagnostics: Vec<Diagnostic>) -> Option<Error> {
    let count = match diagnostics.len() {
        0 => return None,
        1 => "a problem".to_owned(),
        count => format!("{count} problems"),
    };
    Some(Error::project(format!("the project has {count}")).diagnostics(diagnostics))
}

/// Reads the entities alone, of a project that may have no source yet. The error lists every problem of pipeline.yaml.
pub fn load_entities(root: &Path) -> Result<Vec<Entity>> {
    let mut problems = Problems::default();
    let contract = read_contract(&Files::saved(root), &|name| std::env::var(name).ok(), &mut problems);
    match joined(problems.into_diagnostics()) {
        Some(error) => Err(error),
        None => Ok(contract.unwrap_or_default().entities),
    }
}

/// Reports classes and masks that are wrong, and those that the profile does not allow. A source without fields is
/// skipped, because its problems are already reported.
fn check_privacy(profile: Profile, sources: &[Source], problems: &mut Problems) {
    let found = sources
        .iter()
        .filter(|source| source.kinds.iter().all(|kind| !kind.schema.is_empty()))
        .flat_map(|source| [privacy::check_fields(source), privacy::check_conditions(source)].concat())
        .chain(privacy::check_profile(profile, sources));
    for problem in found {
        problems.add_link(problem.location, problem.message, problem.hint);
    }
}

/// Looks up the columns of all checks. The contract's and the sources' checks are handled together, because a source
/// must not repeat a check of the contract.
fn resolve_checks(contract: Option<&mut Contract>, drafts: &mut [SourceDraft], problems: &mut Problems) {
    // Without a contract no column is known. That problem is already reported.
    let Some(contract) = contract.filter(|contract| !contract.entities.is_empty()) else {
        return;
    };
    let shared = check_columns::resolve(std::mem::take(&mut contract.checks), &contract.entities, problems);
    for draft in drafts {
        let own = std::mem::take(&mut draft.checks);
        draft.source.checks = check_columns::resolve(own, &contract.entities, problems);
        for (entity, check) in &draft.source.checks {
            let same = |(other, known): &&(String, Check)| other == entity && known.name == check.name;
            if let Some((_, known)) = shared.iter().find(same) {
                let place = &known.location;
                let message = format!("`{entity}` has two checks called `{}`", check.name);
                let hint = format!(
                    "{}:{}:{} has it already for every source: give this one a `name`, or take it out",
                    place.file.display(),
                    place.line,
                    place.column
                );
                problems.add(Some(check.location.clone()), message, Some(hint));
            }
        }
    }
    for (entity, check) in shared {
        let owner = contract.entities.iter_mut().find(|known| known.name == entity);
        if let Some(owner) = owner {
            owner.checks.push(check);
        }
    }
}

fn read_contract(files: &Files, lookup: Lookup<'_>, problems: &mut Problems) -> Option<Contract> {
    let (document, mut tree) = read_tree(files, PathBuf::from(PROJECT_FILE), problems)?;
    let mut ctx = Context {
        document: &document,
        lookup,
        held: &|| held::in_files(files, lookup),
        variables: false,
        problems,
    };
    mend_cut_types(&mut ctx, &mut tree);
    check_urls(&mut ctx, &tree);
    Some(contract::read(&mut ctx, &tree))
}

fn read_sources(files: &Files, lookup: Lookup<'_>, problems: &mut Problems) -> Vec<SourceDraft> {
    let mut drafts = Vec::new();
    let paths = source_files(files, problems).into_iter();
    let read: Vec<_> = paths.filter_map(|path| read_tree(files, path, problems)).collect();
    let inputs: Vec<PathBuf> = read
        .iter()
        .flat_map(|(_, tree)| shared::input_folders(files, tree))
        .collect();
    for (mut document, mut tree) in read {
        shared::resolve(files, &inputs, &mut document, &mut tree, problems);
        let mut ctx = Context {
            document: &document,
            lookup,
            held: &|| held::in_files(files, lookup),
            variables: false,
            problems,
        };
        mend_cut_types(&mut ctx, &mut tree);
        check_urls(&mut ctx, &tree);
        drafts.extend(source::read(&mut ctx, &tree));
    }
    drafts
}

fn read_tree(files: &Files, path: PathBuf, problems: &mut Problems) -> Option<(Document, Node)> {
    let document = Document::read(files, path, problems)?;
    let tree = document.parse(problems)?;
    Some((document, tree))
}

/// The files directly in `pipelines/`, sorted, with paths relative to the root.
fn source_files(files: &Files, problems: &mut Problems) -> Vec<PathBuf> {
    let folder = Path::new(SOURCES_FOLDER);
    let remedy = "a file pipelines/<name>.yaml makes a source: name, input, schema";
    let names = match files.names(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            problems.of_file(folder, "the project has no folder `pipelines`, so no source", remedy);
            return Vec::new();
        }
        Err(error) => {
            problems.of_file(folder, format!("the folder can't be read: {}", error.words()), remedy);
            return Vec::new();
        }
    };
    let found = yaml_files(folder, &names, "a source's file", problems);
    if found.is_empty() {
        problems.of_file(folder, "the project has no source", remedy);
    }
    found
}

fn with_transforms(files: &Files, draft: SourceDraft, contract: Option<&Contract>, problems: &mut Problems) -> Source {
    // If no entity is known, that problem is already reported, and the names of the SQL files can't be checked.
    let known = contract
        .map(|contract| contract.names.as_slice())
        .filter(|names| !names.is_empty());
    let mut transforms = sql::read_transforms(files, &draft, known, problems);
    if let Some(contract) = contract {
        let deleted = deletions::transforms(draft.deletes, &contract.entities, &transforms, problems);
        transforms.extend(deleted);
        let position = |name: &str| contract.entities.iter().position(|entity| entity.name == name);
        transforms.sort_by_key(|transform| position(&transform.entity));
        conserve::check_entities(&draft.source, &transforms, &contract.names, problems);
    }
    Source {
        transforms,
        ..draft.source
    }
}

impl Project {
    /// Finds a source by its name or an alias.
    pub fn source(&self, name: &str) -> Result<&Source> {
        let named = |source: &&Source| source.name == name || source.aliases.iter().any(|alias| alias == name);
        self.sources.iter().find(named).ok_or_else(|| {
            let known = self.sources.iter().map(|source| source.name.as_str());
            let aliases = self
                .sources
                .iter()
                .flat_map(|source| source.aliases.iter().map(String::as_str));
            let hint = did_you_mean(name, known.clone().chain(aliases))
                .unwrap_or_else(|| format!("the project has {}", all_of(&known.collect::<Vec<_>>())));
            Error::project(format!("no source has the name or alias `{name}`")).hint(hint)
        })
    }

    /// Whether rows of the source may refer to rows of its other batches.
    pub fn looks_beyond(&self, source: &Source) -> bool {
        let mut served = source.transforms.iter().filter_map(|one| self.entity(&one.entity).ok());
        served.any(|entity| {
            entity
                .parent
                .as_ref()
                .is_some_and(|parent| parent.scope == Scope::Source)
                || source
                    .checks_of(entity)
                    .filter_map(|check| check.rule.relationship())
                    .any(|other| other.scope == Scope::Source)
        })
    }

    /// Finds an entity by its name.
    pub fn entity(&self, name: &str) -> Result<&Entity> {
        self.entities.iter().find(|entity| entity.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.entities.iter().map(|entity| entity.name.as_str()).collect();
            let hint = did_you_mean(name, names.iter().copied())
                .unwrap_or_else(|| format!("the project has {}", all_of(&names)));
            Error::project(format!("pipeline.yaml declares no entity `{name}`")).hint(hint)
        })
    }
}

impl Source {
    /// The checks on an entity's rows in this source: the contract's checks first, then the source's own.
    pub fn checks_of<'a>(&'a self, entity: &'a Entity) -> impl Iterator<Item = &'a Check> {
        let own = self.checks.iter().filter(|(name, _)| *name == entity.name);
        entity.checks.iter().chain(own.map(|(_, check)| check))
    }

    /// All text that determines how a batch of this source is processed: the source's YAML, then the entity and SQL of
    /// each transform. Equal texts mean equal processing, if the contract and the input are equal, too.
    pub fn fingerprint_text(&self) -> String {
        // A checkout with other line endings is the same project.
        let lf = |text: &str| text.replace("\r\n", "\n");
        let yaml = lf(&self.text);
        let mut text = format!("yaml {}\n{yaml}", yaml.len());
        for transform in &self.transforms {
            let sql = lf(&transform.sql);
            for part in ["\nsql ", &transform.entity, " ", &sql.len().to_string(), "\n", &sql] {
                text.push_str(part);
            }
        }
        text
    }
}
