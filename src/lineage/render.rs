//! Writes lineage and the privacy report as text for people and as JSON for machines.

use serde_json::{Value, json};

use super::{
    BatchDate, Dependence, Exposure, Lineage, Origin, PrivacyReport, ProjectLineage, Reach, SourceField, ViewLineage,
};
use crate::model::wording::printable;
use crate::model::{MaskKind, PhiClass, Profile, ViewKind};

impl ProjectLineage {
    /// One tree for each column that the user asked for.
    pub fn to_text(&self) -> String {
        let trees: Vec<String> = self.asked.iter().map(|name| self.tree(name).render()).collect();
        trees.join("\n\n")
    }

    /// The columns that the user asked for, each with its origins.
    pub fn to_json(&self) -> Value {
        let columns = self.asked.iter().map(|name| match self.view(name) {
            Some(view) => self.view_json(name, view),
            None => self.entity_json(name),
        });
        json!({ "columns": columns.collect::<Vec<_>>() })
    }

    fn view(&self, name: &str) -> Option<&ViewLineage> {
        let (table, column) = name.split_once('.')?;
        self.views
            .iter()
            .find(|view| view.view == table && view.column == column)
    }

    fn sources(&self, name: &str) -> Vec<&Lineage> {
        let Some((entity, column)) = name.split_once('.') else {
            return Vec::new();
        };
        self.entities
            .iter()
            .filter(|l| l.entity == entity && l.column == column)
            .collect()
    }

    fn tree(&self, name: &str) -> Tree {
        if let Some(view) = self.view(name) {
            return self.view_tree(name, view);
        }
        let mut sources: Vec<Tree> = self.sources(name).into_iter().map(source_tree).collect();
        if sources.is_empty() {
            sources.push(Tree::new("no source serves it", vec![]));
        }
        Tree::new(name, sources)
    }

    /// The tree of a view's column. Origins of the value are shown down to the sources. Fields that only decide the
    /// rows are listed by name, because there are many.
    fn view_tree(&self, name: &str, view: &ViewLineage) -> Tree {
        let approximate = if view.approximate { ", approximate" } else { "" };
        let title = format!("{name} ({}, {}{approximate})", kind(view.kind), view.path.display());
        let branches = view.origins.iter().map(|origin| {
            let through = origin.dependence.name();
            let Some(column) = &origin.column else {
                return Tree::new(format!("rows of {} ({through})", origin.entity), Vec::new());
            };
            let column = format!("{}.{column}", origin.entity);
            let sources = match origin.dependence {
                Dependence::Direct => self.sources(&column).into_iter().map(source_tree).collect(),
                Dependence::Indirect => Vec::new(),
            };
            Tree::new(format!("{column} ({through})"), sources)
        });
        Tree::new(title, branches.collect())
    }

    fn entity_json(&self, name: &str) -> Value {
        let sources = self.sources(name).into_iter().map(|lineage| {
            json!({
                "source": lineage.source,
                "transform": lineage.transform.display().to_string(),
                "fields": lineage.origins.iter().map(origin_json).collect::<Vec<_>>(),
                "batch_date": lineage.batch_date.map(Dependence::name),
            })
        });
        json!({ "column": name, "kind": "entity", "sources": sources.collect::<Vec<_>>() })
    }

    fn view_json(&self, name: &str, view: &ViewLineage) -> Value {
        let columns = view.origins.iter().map(|origin| {
            json!({ "entity": origin.entity, "column": origin.column, "dependence": origin.dependence.name() })
        });
        let fields = self.fields_of(view).into_iter().map(|((source, path), dependence)| {
            let field = self
                .fields
                .iter()
                .find(|field| field.source == source && field.path == path);
            json!({
                "source": source,
                "path": path,
                "dependence": dependence.name(),
                "phi": field.and_then(|field| field.class).map(PhiClass::name),
                "mask": field.and_then(|field| field.mask).map(MaskKind::name),
            })
        });
        json!({
            "column": name,
            "kind": kind(view.kind),
            "file": view.path.display().to_string(),
            "approximate": view.approximate,
            "columns": columns.collect::<Vec<_>>(),
            "fields": fields.collect::<Vec<_>>(),
        })
    }
}

fn source_tree(lineage: &Lineage) -> Tree {
    let mut branches: Vec<Tree> = lineage
        .origins
        .iter()
        .map(|origin| Tree::new(origin_text(origin), vec![]))
        .collect();
    if let Some(dependence) = lineage.batch_date {
        branches.push(Tree::new(format!("the batch's date ({})", dependence.name()), vec![]));
    }
    if branches.is_empty() {
        branches.push(Tree::new("no field: the same for every record", vec![]));
    }
    Tree::new(
        format!("{} via {}", lineage.source, lineage.transform.display()),
        branches,
    )
}

fn origin_text(origin: &Origin) -> String {
    let marks = marks(origin.class, origin.mask);
    let separator = if marks.is_empty() { "" } else { ", " };
    format!("{} ({}{separator}{marks})", origin.path, origin.dependence.name())
}

fn marks(class: Option<PhiClass>, mask: Option<MaskKind>) -> String {
    let class = class.map(|class| format!("phi {}", class.name()));
    let mask = mask.map(|mask| format!("mask {}", mask.name()));
    class.into_iter().chain(mask).collect::<Vec<_>>().join(", ")
}

fn origin_json(origin: &Origin) -> Value {
    json!({
        "path": origin.path,
        "dependence": origin.dependence.name(),
        "phi": origin.class.map(PhiClass::name),
        "mask": origin.mask.map(MaskKind::name),
    })
}

fn kind(kind: ViewKind) -> &'static str {
    match kind {
        ViewKind::Function => "function",
        ViewKind::View => "view",
        ViewKind::Materialized => "materialized view",
    }
}

impl PrivacyReport {
    /// One tree per field, grouped by class, followed by the fields without a class.
    pub fn to_text(&self) -> String {
        let mut parts = vec![format!("privacy profile: {}", profile(self.profile))];
        for class in self.classes() {
            let fields = self
                .classed
                .iter()
                .filter(|exposure| exposure.field.class == Some(class));
            parts.push(Tree::new(class.name(), fields.map(exposure_tree).collect()).render());
        }
        if let Some(date) = &self.batch_date {
            parts.push(batch_date_tree(date).render());
        }
        let kept: Vec<Tree> = self.kept().map(|e| Tree::new(kept_text(&e.field), vec![])).collect();
        if !kept.is_empty() {
            parts.push(Tree::new("sensitive and kept as it came", kept).render());
        }
        if !self.unclassed.is_empty() {
            let title = "without a class, and in a table";
            parts.push(Tree::new(title, self.unclassed.iter().map(exposure_tree).collect()).render());
        }
        parts.join("\n\n")
    }

    pub fn to_json(&self) -> Value {
        let exposures = |list: &[Exposure]| list.iter().map(exposure_json).collect::<Vec<_>>();
        let kept = self.kept().map(|exposure| {
            let field = &exposure.field;
            json!({"source": field.source, "path": field.path, "phi": field.class.map(PhiClass::name), "reason": field.reason})
        });
        json!({
            "profile": profile(self.profile),
            "classed": exposures(&self.classed),
            "unclassed": exposures(&self.unclassed),
            "kept": kept.collect::<Vec<_>>(),
            "batch_date": self.batch_date.as_ref().map(|date| json!({
                "phi": PhiClass::Date.name(),
                "shifted": date.shifted,
                "entities": reach_json(&date.entities),
                "views": reach_json(&date.views),
                "withheld": date.withheld,
                "exposed": date.exposed.iter().map(|one| json!({"view": one.name, "reason": one.reason})).collect::<Vec<_>>(),
            })),
        })
    }
}

fn batch_date_tree(date: &BatchDate) -> Tree {
    let mut branches = Vec::new();
    let beside = if date.shifted.is_empty() {
        ""
    } else {
        branches.push(Tree::new(format!("shifted are {}", date.shifted.join(", ")), vec![]));
        ", beside shifted ones"
    };
    branches.extend(reach_trees(&date.entities, &date.views));
    let views = if date.withheld.is_empty() {
        String::new()
    } else {
        format!(", and not {}", date.withheld.join(", "))
    };
    let reader = format!("the reader role gets the tables without the columns that show it{views}");
    branches.push(Tree::new(reader, vec![]));
    let exposed = date
        .exposed
        .iter()
        .map(|one| format!("exposed is {}: {}", one.name, one.reason));
    branches.extend(exposed.map(|text| Tree::new(text, vec![])));
    Tree::new(
        format!("the batch's date: a date that no mask covers{beside}"),
        branches,
    )
}

fn exposure_tree(exposure: &Exposure) -> Tree {
    let field = &exposure.field;
    let mask = field
        .mask
        .map_or("no mask".to_owned(), |mask| format!("mask {}", mask.name()));
    let title = format!("{}: {} ({mask})", field.source, field.path);
    if exposure.reaches() {
        Tree::new(title, reach_trees(&exposure.entities, &exposure.views))
    } else {
        Tree::new(title, vec![Tree::new("reaches no table", vec![])])
    }
}

fn reach_trees(entities: &[Reach], views: &[Reach]) -> Vec<Tree> {
    use Dependence::{Direct, Indirect};
    let lines = [
        line("tables", entities, Direct),
        line("tables", entities, Indirect),
        line("views", views, Direct),
        line("views", views, Indirect),
    ];
    lines.into_iter().flatten().collect()
}

/// A line with the columns that show a field. A table whose rows depend on the field is named once, because usually all
/// its columns do.
fn line(what: &str, reached: &[Reach], dependence: Dependence) -> Option<Tree> {
    let mut names: Vec<String> = Vec::new();
    for reach in reached.iter().filter(|reach| reach.dependence == dependence) {
        let shown = match (dependence, reach.column.split_once('.')) {
            (Dependence::Indirect, Some((table, _))) => table,
            _ => &reach.column,
        };
        let approximate = if reach.approximate { " (approximate)" } else { "" };
        let name = format!("{shown}{approximate}");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let text = format!("{what}, {}: {}", dependence.name(), names.join(", "));
    (!names.is_empty()).then(|| Tree::new(text, vec![]))
}

fn kept_text(field: &SourceField) -> String {
    let class = field.class.map_or("", PhiClass::name);
    let reason = field.reason.as_deref().unwrap_or("no reason given");
    format!("{}: {} (phi {class}): {reason}", field.source, field.path)
}

fn exposure_json(exposure: &Exposure) -> Value {
    let field = &exposure.field;
    json!({
        "source": field.source,
        "path": field.path,
        "phi": field.class.map(PhiClass::name),
        "mask": field.mask.map(MaskKind::name),
        "reason": field.reason,
        "entities": reach_json(&exposure.entities),
        "views": reach_json(&exposure.views),
    })
}

fn reach_json(reached: &[Reach]) -> Value {
    let one = |reach: &Reach| json!({"column": reach.column, "dependence": reach.dependence.name(), "approximate": reach.approximate});
    Value::Array(reached.iter().map(one).collect())
}

fn profile(profile: Profile) -> &'static str {
    match profile {
        Profile::SafeHarbor => "safe_harbor",
        Profile::Pseudonymised => "pseudonymised",
        Profile::Custom => "custom",
    }
}

/// A line of text with further lines below it.
struct Tree {
    text: String,
    branches: Vec<Tree>,
}

impl Tree {
    fn new(text: impl Into<String>, branches: Vec<Self>) -> Self {
        Self {
            text: text.into(),
            branches,
        }
    }

    fn render(&self) -> String {
        let mut lines = vec![self.text.clone()];
        self.below("", &mut lines);
        // Names may be those of a sender.
        printable(&lines.join("\n"))
    }

    fn below(&self, indent: &str, lines: &mut Vec<String>) {
        for (i, branch) in self.branches.iter().enumerate() {
            let last = i + 1 == self.branches.len();
            let (here, further) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            lines.push(format!("{indent}{here}{}", branch.text));
            branch.below(&format!("{indent}{further}"), lines);
        }
    }
}
