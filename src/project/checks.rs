//! Reads `checks:`, the checks on the rows of an entity. Checks in the contract apply to every source; checks in a
//! source apply to its own rows. The columns are looked up after all files are read.

use super::keys::{Group, Keys, Shape, key, names, required};
use super::mapping::{Context, Mapping, entry_text, entry_texts, node_scalar};
use super::yaml::{Entry, Node, Span, Value};
use crate::error::Location;
use crate::model::wording::one_of;
use crate::model::{Check, Relationship, Rule, Scope, Severity, Tolerance};

const RULES: [&str; 8] = [
    "not_null",
    "unique",
    "accepted_values",
    "range",
    "relationships",
    "expression",
    "row_count",
    "freshness",
];
/// The value of `checks` of an entity.
pub(super) const SHAPE: Shape = Shape::List(0, &Shape::Options(&CHECK_KEYS));

static CHECK_KEYS: Keys = Keys::of(&[
    key("not_null", Shape::Text, "The column must not be null."),
    key(
        "unique",
        Shape::Texts(1),
        "No two rows may have the same values in these columns. A null equals nothing.",
    ),
    key(
        "accepted_values",
        Shape::Options(&VALUES_KEYS),
        "The column must have one of these values.",
    ),
    key(
        "range",
        Shape::Options(&RANGE_KEYS),
        "The column must lie within the bounds, which belong to the range.",
    ),
    key(
        "relationships",
        Shape::Options(&RELATIONSHIP_KEYS),
        "The batch must have a row of another entity with the same values.",
    ),
    key(
        "expression",
        Shape::Text,
        "A predicate in DataFusion's SQL over the entity's columns, with `$date` and `$source`.",
    ),
    key(
        "row_count",
        Shape::Options(&COUNT_KEYS),
        "The batch must have so many rows.",
    ),
    key(
        "freshness",
        Shape::Options(&FRESHNESS_KEYS),
        "The newest date of the batch must not be too old.",
    ),
    key("name", Shape::Text, "The check's name, unique within the entity."),
    key(
        "severity",
        Shape::Choice(|| names(&SEVERITIES)),
        "Whether the row is refused, the batch fails, or a warning is enough. Rules for a whole batch can't \
         refuse rows.",
    ),
    key(
        "orphans",
        Shape::Choice(|| names(&ORPHANS)),
        "Whether the rows below a refused row are refused as well, or kept.",
    ),
])
.group(Group::One(&RULES));
static VALUES_KEYS: Keys = Keys::of(&[
    required("column", Shape::Text, "The column."),
    required("values", Shape::Scalars(1), "The values that are accepted."),
]);
static RANGE_KEYS: Keys = Keys::of(&[
    required("column", Shape::Text, "The column."),
    key("min", Shape::Scalar, "The least value that is accepted."),
    key("max", Shape::Scalar, "The greatest value that is accepted."),
])
.group(Group::Some(&["min", "max"]));
static RELATIONSHIP_KEYS: Keys = Keys::of(&[
    required("entity", Shape::Text, "The other entity."),
    key(
        "columns",
        Shape::Texts(1),
        "The columns to join by. The other entity's key is the default.",
    ),
    key(
        "scope",
        Shape::Choice(|| names(&SCOPES)),
        "Where the other row may be: in this batch, or in any batch of the source.",
    ),
]);
/// The values of `scope`, for `relationships` and `parent`.
pub(super) const SCOPES: [(&str, Scope); 2] = [("batch", Scope::Batch), ("source", Scope::Source)];
static COUNT_KEYS: Keys = Keys::of(&[
    key("min", Shape::Whole(0), "The least number of rows."),
    key("max", Shape::Whole(0), "The greatest number of rows."),
    key(
        "change",
        Shape::Percent,
        "By how much the number may differ from that of the source's batch before.",
    ),
])
.group(Group::Some(&["min", "max", "change"]));
static FRESHNESS_KEYS: Keys = Keys::of(&[
    required("column", Shape::Text, "The column, a date or time."),
    required(
        "days",
        Shape::Whole(0),
        "By how many days the newest value may be older than the batch's date.",
    ),
]);
const SEVERITIES: [(&str, Severity); 3] = [
    ("quarantine", Severity::Quarantine),
    ("fail", Severity::Fail),
    ("warn", Severity::Warn),
];
const ORPHANS: [(&str, bool); 2] = [("refuse", false), ("keep", true)];

/// A check whose columns have not been looked up yet.
pub(super) struct CheckDraft {
    pub entity: String,
    /// Whether the file gives the check a name.
    pub named: bool,
    pub check: Check,
    pub columns: Vec<(String, Location)>,
    /// The entity that a relationship names.
    pub target: Option<(String, Location)>,
}

/// Reads `checks: [{not_null: name}, {range: {column: dose, min: 0}, severity: warn}]` of one entity.
pub(super) fn read(ctx: &mut Context<'_>, entity: &str, entry: &Entry) -> Vec<CheckDraft> {
    let Value::List(nodes) = &entry.value.value else {
        let message = format!("`{}` must be a list, not {}", entry.key.text, entry.value.value.kind());
        let hint = "write one check per line: - not_null: name".to_owned();
        ctx.problem(entry.place(), message, hint);
        return Vec::new();
    };
    nodes
        .iter()
        .filter_map(|node| one(ctx, entity, entry.key.span, node))
        .collect()
}

/// Reads `checks: {visits: [...]}` of a source.
pub(super) fn read_of_source(ctx: &mut Context<'_>, entry: &Entry) -> Vec<CheckDraft> {
    let Some(entities) = Mapping::of_names(ctx, "`checks`", entry.key.span, &entry.value) else {
        return Vec::new();
    };
    let mut drafts = Vec::new();
    for entry in entities.entries() {
        drafts.extend(read(ctx, &entry.key.text, entry));
    }
    drafts
}

/// Reads `max_quarantined: 1%` or `max_quarantined: 20`.
pub(super) fn tolerance(ctx: &mut Context<'_>, entry: &Entry) -> Option<Tolerance> {
    let mut reader = Reader {
        ctx,
        columns: Vec::new(),
        target: None,
    };
    let written = reader.scalar(entry)?;
    if written.ends_with('%') {
        return reader.percent(entry).map(Tolerance::Percent);
    }
    let count = written.replace('_', "").parse().ok().map(Tolerance::Count);
    if count.is_none() {
        let key = &entry.key.text;
        let hint = format!("write a share, `{key}: 1%`, or a number, `{key}: 20`");
        let message = format!("`{key}` must be a percentage or a whole number");
        reader.ctx.problem(entry.place(), message, hint);
    }
    count
}

fn one(ctx: &mut Context<'_>, entity: &str, list: Span, node: &Node) -> Option<CheckDraft> {
    let place = match &node.value {
        Value::Map(entries) => entries.first().map_or(list, |entry| entry.key.span),
        _ if node.span.length > 0 => node.span,
        _ => list,
    };
    let options = Mapping::of_options(ctx, "a check", place, node, &CHECK_KEYS)?;
    let given: Vec<&Entry> = options
        .entries()
        .iter()
        .filter(|entry| RULES.contains(&entry.key.text.as_str()))
        .copied()
        .collect();
    let [entry] = given[..] else {
        let known = |entry: &&Entry| CHECK_KEYS.has(&entry.key.text);
        if given.is_empty() && !options.entries().iter().all(known) {
            // The user misspelt the check's rule, and that problem is already reported.
            return None;
        }
        let (message, hint) = match given[..] {
            [] => ("a check without a rule", format!("give it one: {}", one_of(&RULES))),
            _ => ("a check with two rules", "make two checks of them".to_owned()),
        };
        ctx.problem(place, message, hint);
        return None;
    };
    let mut read = Reader {
        ctx,
        columns: Vec::new(),
        target: None,
    };
    let rule = read.rule(entry)?;
    let Reader { columns, target, .. } = read;
    let whole = matches!(rule, Rule::RowCount { .. } | Rule::Freshness { .. });
    let choices = if whole { &SEVERITIES[1..] } else { &SEVERITIES[..] };
    let severity = options.choice(ctx, "severity", choices);
    let keep_orphans = options.choice(ctx, "orphans", &ORPHANS);
    let name = options.text(ctx, "name").map(|text| text.value);
    Some(CheckDraft {
        entity: entity.to_owned(),
        named: name.is_some(),
        check: Check {
            name: name.unwrap_or_else(|| rule.to_string()),
            rule,
            severity,
            keep_orphans,
            location: ctx.location(entry.key.span),
        },
        columns,
        target,
    })
}

/// Reads one check and collects the column names in it.
struct Reader<'a, 'c> {
    ctx: &'a mut Context<'c>,
    columns: Vec<(String, Location)>,
    pub target: Option<(String, Location)>,
}

impl Reader<'_, '_> {
    fn rule(&mut self, entry: &Entry) -> Option<Rule> {
        match entry.key.text.as_str() {
            "not_null" => Some(Rule::NotNull(self.column(entry)?)),
            "unique" => Some(Rule::Unique(self.columns(entry)?)),
            "expression" => Some(Rule::Expression(entry_text(self.ctx, entry)?.value)),
            "accepted_values" => {
                let options = self.options(entry, &VALUES_KEYS)?;
                let column = options.required(self.ctx, "column", "column: name")?;
                let column = self.column(column)?;
                let values = options.required(self.ctx, "values", "values: [a, b]")?;
                let values = self.values(values)?;
                Some(Rule::AcceptedValues { column, values })
            }
            "range" => {
                let options = self.options(entry, &RANGE_KEYS)?;
                let column = options.required(self.ctx, "column", "column: name")?;
                let column = self.column(column)?;
                let min = options.get("min").and_then(|entry| self.scalar(entry));
                let max = options.get("max").and_then(|entry| self.scalar(entry));
                if options.get("min").is_none() && options.get("max").is_none() {
                    let hint = "give `min`, `max` or both; both belong to the range".to_owned();
                    self.ctx.problem(entry.key.span, "a range without bounds", hint);
                    return None;
                }
                Some(Rule::Range { column, min, max })
            }
            "relationships" => {
                let options = self.options(entry, &RELATIONSHIP_KEYS)?;
                let target = options.required(self.ctx, "entity", "entity: patients")?;
                let target = entry_text(self.ctx, target)?;
                self.target = Some((target.value.clone(), self.ctx.location(target.span)));
                let columns = match options.get("columns") {
                    Some(entry) => self.columns(entry)?,
                    None => Vec::new(),
                };
                Some(Rule::Relationships(Relationship {
                    entity: target.value,
                    columns,
                    scope: options.choice(self.ctx, "scope", &SCOPES),
                }))
            }
            "row_count" => {
                let options = self.options(entry, &COUNT_KEYS)?;
                let min = options.get("min").and_then(|entry| self.number(entry));
                let max = options.get("max").and_then(|entry| self.number(entry));
                let change = options.get("change").and_then(|entry| self.percent(entry));
                if options.entries().is_empty() {
                    let hint = "give `min`, `max` or `change: 50%`".to_owned();
                    self.ctx.problem(entry.key.span, "a row_count without bounds", hint);
                    return None;
                }
                Some(Rule::RowCount { min, max, change })
            }
            _ => {
                let options = self.options(entry, &FRESHNESS_KEYS)?;
                let column = options.required(self.ctx, "column", "column: visit_date")?;
                let column = self.column(column)?;
                let days = options.required(self.ctx, "days", "days: 30")?;
                let days = self.number(days)?;
                Some(Rule::Freshness { column, days })
            }
        }
    }

    fn options<'n>(&mut self, entry: &'n Entry, keys: &'static Keys) -> Option<Mapping<'n>> {
        let what = format!("`{}`", entry.key.text);
        Mapping::of_options(self.ctx, &what, entry.key.span, &entry.value, keys)
    }

    fn column(&mut self, entry: &Entry) -> Option<String> {
        let text = entry_text(self.ctx, entry)?;
        self.columns.push((text.value.clone(), self.ctx.location(text.span)));
        Some(text.value)
    }

    fn columns(&mut self, entry: &Entry) -> Option<Vec<String>> {
        let texts = entry_texts(self.ctx, entry);
        if texts.is_empty() {
            if matches!(&entry.value.value, Value::List(list) if list.is_empty()) {
                let message = format!("`{}` names no column", entry.key.text);
                self.ctx.problem(entry.key.span, message, "name its columns".to_owned());
            }
            return None;
        }
        for text in &texts {
            self.columns.push((text.value.clone(), self.ctx.location(text.span)));
        }
        Some(texts.into_iter().map(|text| text.value).collect())
    }

    fn values(&mut self, entry: &Entry) -> Option<Vec<String>> {
        let Value::List(nodes) = &entry.value.value else {
            let message = format!("`values` must be a list, not {}", entry.value.value.kind());
            self.ctx
                .problem(entry.place(), message, "write it in brackets: [a, b]".to_owned());
            return None;
        };
        if nodes.is_empty() {
            let hint = "list at least one".to_owned();
            self.ctx.problem(entry.key.span, "`values` accepts nothing", hint);
        }
        let values = nodes.iter().map(|node| node_scalar(self.ctx, entry.key.span, node));
        values.collect()
    }

    fn scalar(&mut self, entry: &Entry) -> Option<String> {
        node_scalar(self.ctx, entry.key.span, &entry.value)
    }

    fn number(&mut self, entry: &Entry) -> Option<u64> {
        let written = self.scalar(entry)?;
        let number = written.replace('_', "").parse();
        if number.is_err() {
            let message = format!("`{}` must be a whole number, 0 or above", entry.key.text);
            self.ctx.problem(entry.place(), message, None);
        }
        number.ok()
    }

    /// The percentage of a text: `50%` gives 50.
    fn percent(&mut self, entry: &Entry) -> Option<f64> {
        let written = self.scalar(entry)?;
        let number = written.strip_suffix('%').and_then(|digits| digits.trim().parse().ok());
        let number = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            let message = format!("`{}` must be a percentage", entry.key.text);
            self.ctx
                .problem(entry.place(), message, format!("write `{}: 50%`", entry.key.text));
        }
        number
    }
}
