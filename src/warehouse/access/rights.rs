//! What readers may see, as the warehouse is told, and how it is written as SQL.

use crate::model::Batch;
use crate::warehouse::sql::literal;

/// What readers may see.
#[derive(Debug, Clone)]
pub struct Access {
    /// Whether readers read entity tables through views that leave columns out.
    pub hides: bool,
    /// Batches whose rows readers may not see, since they were loaded under other masks. `None`: no database was asked,
    /// and the project promises masks.
    pub stale: Option<Vec<Batch>>,
    /// Whether a database was asked for what its batches hold.
    pub asked: bool,
    /// Views, materialized views and functions over what readers may not see of such batches.
    pub closed: Vec<String>,
    /// Materialized views that still show rows from before a swap. Where the project promises masks, they are not
    /// granted before their refresh.
    pub owed: Vec<String>,
    /// Tables that hold rows of batches and are no entity any more. Readers do not get them where the project promises masks
    /// or hides dates.
    pub left: Vec<String>,
    /// All entities.
    pub tables: Vec<Table>,
    /// Views and materialized views.
    pub views: Vec<View>,
    /// What each view that could be planned is known to name.
    pub mentions: Vec<Mentions>,
    /// What readers may use although it reads with the rights of its owner. Where the batch's date is hidden, it is what a
    /// person lets them see: views, functions, other objects as `schema.name`. Elsewhere it also holds the functions that
    /// show no column under other masks.
    pub exposed: Vec<String>,
    /// The files of views and functions in the project.
    pub files: Vec<File>,
}

impl Access {
    /// Whether readers read views that leave batches out.
    pub(super) fn filters(&self) -> bool {
        self.stale.as_ref().is_some_and(|stale| !stale.is_empty())
    }

    /// Whether readers read views instead of the entity tables.
    pub(super) fn through_views(&self) -> bool {
        self.hides || self.filters()
    }
}

/// A view that shows no hidden column, with the definition from its file.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    /// The view itself and the views and functions that it reads.
    pub stands_on: Vec<String>,
    /// Whether a person lets readers see it, whatever it shows.
    pub exposed: bool,
}

/// The hidden columns that a view names by its plan, as `table.column`.
#[derive(Debug, Clone)]
pub struct Mentions {
    pub view: String,
    pub columns: Vec<String>,
}

/// A file as it is recorded in `pipeline.views`.
#[derive(Debug, Clone)]
pub struct File {
    pub kind: &'static str,
    pub name: String,
    pub fingerprint: String,
}

/// An entity table and those of its columns that readers may see.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
    pub hidden: Vec<String>,
}

/// `ARRAY['a', 'b']::text[]`
pub(super) fn text_array<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.map(literal).collect();
    format!("ARRAY[{}]::text[]", texts.join(", "))
}

/// `(VALUES ...)`, or `none` where there are no rows: SQL has no empty VALUES list.
pub(super) fn values(rows: &[String], none: &str) -> String {
    if rows.is_empty() {
        format!("(SELECT {none} WHERE false)")
    } else {
        format!("(VALUES {})", rows.join(", "))
    }
}
