//! Refuses SQL that tells rows apart, or puts them together, by a field whose mask gives every record the same value:
//! a join by such a field meets everything with everything, or nothing, and no count shows it.

use datafusion::common::Span;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::Dependence;
use super::analysis::{Analysis, Scope, Use};
use super::fields::Fields;
use super::plan;
use super::shape::{Atom, Deps, Relation, Shape};
use crate::error::{Diagnostic, Location};
use crate::model::{Entity, MaskKind, Project, Rule, Source, Transform};
use crate::transform::{Outline, place};

impl Analysis<'_> {
    /// Notes expressions by which rows are told apart.
    pub fn use_each<'e>(
        &self,
        what: &'static str,
        expressions: impl IntoIterator<Item = &'e Expr>,
        scope: &Scope<'_>,
    ) -> Result<()> {
        for expression in expressions {
            self.note(Use {
                what,
                deps: self.expression(expression, scope)?.all(),
                presence: is_presence(expression),
                span: span(expression)?,
            });
        }
        Ok(())
    }

    /// Notes that rows are told apart by all of their columns.
    pub fn use_columns(&self, what: &'static str, rows: &Relation) {
        for column in &rows.columns {
            self.note(Use {
                what,
                deps: column.all(),
                presence: false,
                span: None,
            });
        }
    }

    /// Notes two values of the data that are compared, as a join in the WHERE does; not one with a constant.
    pub fn use_compared(&self, comparison: &BinaryExpr, scope: &Scope<'_>) -> Result<()> {
        use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
        let compares = matches!(
            comparison.op,
            Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
        );
        let of = |side: &Expr| self.expression(side, scope).map(|shape: Shape| shape.all());
        if compares && of(&comparison.left)?.iter().next().is_some() && of(&comparison.right)?.iter().next().is_some() {
            self.use_each("a comparison", [&*comparison.left, &*comparison.right], scope)?;
        }
        Ok(())
    }

    fn note(&self, found: Use) {
        let mut uses = self.uses.borrow_mut();
        if !uses.contains(&found) {
            uses.push(found);
        }
    }
}

fn is_presence(expression: &Expr) -> bool {
    match expression {
        Expr::Alias(alias) => is_presence(&alias.expr),
        Expr::Not(inner) => is_presence(inner),
        Expr::IsNull(_) | Expr::IsNotNull(_) => true,
        _ => false,
    }
}

/// The place of the first column in it whose place is known.
fn span(expression: &Expr) -> Result<Option<Span>> {
    let mut found = None;
    expression.apply(|part| {
        found = part.spans().and_then(datafusion::common::Spans::first);
        Ok(if found.is_some() {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    Ok(found)
}

/// What is wrong with the transforms of a source in this; nothing where a plan can't be read.
pub fn constant_masks(project: &Project, source: &Source, outlines: &[Outline]) -> Vec<Diagnostic> {
    let (fields, tables) = Fields::of(source);
    let masks = Masks { source, fields };
    let mut problems = masks.stale();
    for outline in outlines {
        let made = |one: &&Transform| one.path == outline.path && one.entity == outline.entity;
        let Some(transform) = source.transforms.iter().find(made) else {
            continue;
        };
        let Ok((relation, uses)) = plan::analyze_uses(&outline.plan, &tables) else {
            continue;
        };
        for found in uses {
            problems.extend(masks.of_use(transform, &found));
        }
        if let Ok(entity) = project.entity(&outline.entity) {
            problems.extend(masks.of_keys(transform, entity, source, &relation));
        }
    }
    let mut seen = Vec::new();
    problems.retain(|problem| {
        let new = !seen.contains(problem);
        if new {
            seen.push(problem.clone());
        }
        new
    });
    problems
}

struct Masks<'a> {
    source: &'a Source,
    fields: Fields,
}

impl Masks<'_> {
    /// Fields that are allowed and need not be.
    fn stale(&self) -> Vec<Diagnostic> {
        let allowed = self.source.allow_constant_masks.iter();
        let stale = allowed.filter(|path| self.constant(path).is_none());
        stale
            .map(|path| Diagnostic {
                message: format!(
                    "`allow_constant_masks` names `{path}`, which is no field with the mask redact or null"
                ),
                location: Some(self.source.location.clone()),
                hint: Some(
                    "take it out, or write its path as `pipeline lineage` does, such as visits[].notes".to_owned(),
                ),
            })
            .collect()
    }

    fn constant(&self, path: &str) -> Option<MaskKind> {
        let mask = self.fields.privacy(path).mask;
        mask.filter(|mask| matches!(mask, MaskKind::Redact | MaskKind::Null))
    }

    /// The field, where a value derives from fields alone that are all the same; with its mask.
    fn alone<'d>(&self, deps: &'d Deps, presence: bool) -> Option<(&'d str, MaskKind)> {
        let mut found = None;
        for (atom, dependence) in deps.iter() {
            if dependence != Dependence::Direct {
                continue;
            }
            let Atom::Field(path) = atom else { return None };
            let mask = self.constant(path)?;
            // A redacted value still tells that there is one.
            if presence && mask == MaskKind::Redact {
                return None;
            }
            if !self.source.allow_constant_masks.contains(path) {
                found = found.or(Some((path.as_str(), mask)));
            }
        }
        found
    }

    fn of_use(&self, transform: &Transform, found: &Use) -> Option<Diagnostic> {
        let (path, mask) = self.alone(&found.deps, found.presence)?;
        let place = place(transform, found.span);
        Some(self.problem(&format!("`{path}` is used in {}", found.what), mask, place))
    }

    fn of_keys(&self, transform: &Transform, entity: &Entity, source: &Source, rows: &Relation) -> Vec<Diagnostic> {
        let keys = entity.key.iter().map(|name| (name, "of the key"));
        let checks = source.checks_of(entity);
        let named = checks.flat_map(|check| match &check.rule {
            Rule::Unique(names) => names.iter().map(|name| (name, "checked by `unique`")).collect(),
            Rule::Relationships(other) => other
                .columns
                .iter()
                .map(|name| (name, "checked by `relationships`"))
                .collect(),
            _ => Vec::new(),
        });
        keys.chain(named)
            .filter_map(|(name, what)| {
                let index = entity.columns.iter().position(|column| column.name == *name)?;
                let deps = rows.columns.get(index)?.all();
                let (path, mask) = self.alone(&deps, false)?;
                let message = format!(
                    "column `{name}` of {}, {what}, derives from `{path}` alone",
                    entity.name
                );
                Some(self.problem(&message, mask, place(transform, None)))
            })
            .collect()
    }

    fn problem(&self, message: &str, mask: MaskKind, location: Location) -> Diagnostic {
        let same = match mask {
            MaskKind::Null => "null in every record",
            _ => "the same in every record",
        };
        Diagnostic {
            message: format!("{message}, but its mask `{}` makes it {same}", mask.name()),
            location: Some(location),
            hint: Some(format!(
                "mask it with hash or pseudonym, which keep equal values equal; or leave it out; or, if that is meant, list \
                 its path in `allow_constant_masks` of the source {}",
                self.source.name
            )),
        }
    }
}
