//! The results of the lineage analysis, in terms that users know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::model::{MaskKind, PhiClass, TellsDate, ViewKind, did_you_mean};

/// How something derives from a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependence {
    /// The field only decides which rows there are, how often or in which order. Examples: a filter, a join or group
    /// key, a sort, the length of an unnested list.
    Indirect,
    /// The value is computed from the field. Conditions of a CASE count as well.
    Direct,
}

impl Dependence {
    pub fn name(self) -> &'static str {
        match self {
            Self::Indirect => "indirect",
            Self::Direct => "direct",
        }
    }

    /// The dependence along two steps: direct only if both steps are direct.
    #[must_use]
    pub fn through(self, next: Self) -> Self {
        self.min(next)
    }
}

/// A field of a source that something derives from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The path, such as `visits[].date`. `visits[]` means the list's length and order.
    pub path: String,
    pub dependence: Dependence,
    pub class: Option<PhiClass>,
    pub mask: Option<MaskKind>,
}

/// What one source contributes to a column of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    pub entity: String,
    pub column: String,
    pub source: String,
    /// The transform's SQL file, relative to the project.
    pub transform: PathBuf,
    /// Direct origins first, then sorted by path. Empty for a constant.
    pub origins: Vec<Origin>,
    /// How the column derives from the batch's date (`$date`, and the column `batch_date`), if it does.
    pub batch_date: Option<Dependence>,
    /// Whether its values, or which rows there are, may show the batch's date.
    pub shows_date: bool,
}

impl Lineage {
    /// Whether the column tells the date of its batch.
    pub fn tells_date(&self) -> TellsDate {
        match self.batch_date {
            Some(Dependence::Direct) => TellsDate::Value,
            _ if self.shows_date => TellsDate::Perhaps,
            _ => TellsDate::No,
        }
    }
}

/// A column of a table of the project that a view's column derives from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOrigin {
    pub entity: String,
    /// `None` if only the set of the table's rows matters.
    pub column: Option<String>,
    pub dependence: Dependence,
}

/// What a column of a view, materialized view or function derives from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewLineage {
    pub view: String,
    pub kind: ViewKind,
    /// `*` if the columns are not known.
    pub column: String,
    /// The SQL file, relative to the project.
    pub path: PathBuf,
    /// Columns of entities, found through other views where necessary. Direct origins first, then sorted by name.
    pub origins: Vec<TableOrigin>,
    /// The SQL could not be planned. Every column of every table that it names is then listed.
    pub approximate: bool,
    /// Whether its values, or which rows there are, may show the batch's date. True where the SQL can't be planned.
    pub shows_date: bool,
}

/// A declared scalar field of a source's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceField {
    pub source: String,
    pub path: String,
    pub class: Option<PhiClass>,
    pub mask: Option<MaskKind>,
    pub domain: Option<String>,
    pub reason: Option<String>,
}

/// The lineage of a whole project, or only of the columns that the user asked for.
#[derive(Debug, Clone, Default)]
pub struct ProjectLineage {
    /// One entry per entity column and source. This includes `source` and `batch_date`, whose origins are the fields
    /// that decide which rows there are.
    pub entities: Vec<Lineage>,
    pub views: Vec<ViewLineage>,
    /// The columns that show the batch's date and that each planned view names, as `table.column`.
    pub mentions: BTreeMap<String, BTreeSet<String>>,
    /// Every scalar field of every source.
    pub fields: Vec<SourceField>,
    /// The columns that the user asked for, as `table.column`, in order. All columns if the user named none.
    pub asked: Vec<String>,
}

impl ProjectLineage {
    /// Limits the lineage to `table.column`, or to all columns of `table`.
    ///
    /// # Errors
    /// Nothing has this name. The hint names what exists.
    pub fn column(&self, name: &str) -> Result<Self> {
        let asked: Vec<String> = self
            .asked
            .iter()
            .filter(|known| *known == name || table_of(known) == name)
            .cloned()
            .collect();
        if asked.is_empty() {
            Err(self.unknown(name))
        } else {
            Ok(Self { asked, ..self.clone() })
        }
    }

    /// What each source contributes to a column of an entity.
    pub fn of<'a>(&'a self, entity: &'a str, column: &'a str) -> impl Iterator<Item = &'a Lineage> {
        self.entities
            .iter()
            .filter(move |l| l.entity == entity && l.column == column)
    }

    /// The source fields that a view's column derives from, through the entities. If a field is reached in several
    /// ways, the stronger dependence is returned.
    pub fn fields_of<'a>(&'a self, view: &'a ViewLineage) -> BTreeMap<(&'a str, &'a str), Dependence> {
        let mut fields = BTreeMap::new();
        for origin in &view.origins {
            // The origins of the column `source` are exactly the fields that decide which rows an entity has.
            for lineage in self.of(&origin.entity, origin.column.as_deref().unwrap_or("source")) {
                for field in &lineage.origins {
                    let dependence = origin.dependence.through(field.dependence);
                    let known = fields
                        .entry((lineage.source.as_str(), field.path.as_str()))
                        .or_insert(dependence);
                    *known = (*known).max(dependence);
                }
            }
        }
        fields
    }

    fn unknown(&self, name: &str) -> Error {
        let error = Error::project(format!("there is no column `{name}`"));
        let table = table_of(name);
        let known = || self.asked.iter().map(String::as_str);
        let columns: Vec<&str> = known().filter(|known| table_of(known) == table).collect();
        let hint = match name.split_once('.') {
            Some((_, column)) if !columns.is_empty() => did_you_mean(
                column,
                columns.iter().filter_map(|known| Some(known.split_once('.')?.1)),
            ),
            _ => did_you_mean(name, known()).or_else(|| did_you_mean(table, known().map(table_of))),
        };
        let hint = match hint {
            Some(hint) => hint,
            None if columns.is_empty() => "name a column of an entity or a view, as table.column".to_owned(),
            None => format!("there are {}", columns.join(", ")),
        };
        error.hint(hint)
    }
}

/// The table's name in `table.column` or `table`.
fn table_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(table, _)| table)
}
