//! Follows the project's views and functions to the columns of its entities. Their SQL is PostgreSQL's. If DataFusion
//! can plan it, it is planned over empty tables. If not, the view derives from all columns of everything that its text
//! names.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement;

use super::analysis::{Table, Tables};
use super::body::{self, Body};
use super::plan;
use super::shape::{Atom, Deps, Shape, traced};
use super::{Dependence, Lineage, TableOrigin, ViewLineage, names, resolved};
use crate::error::Result;
use crate::model::{Entity, PgType, Project, View, ViewKind};
use crate::transform::Engine;

/// What the views and functions derive from.
pub(super) struct Views {
    /// Of every column, in the project's order.
    pub columns: Vec<ViewLineage>,
    /// The columns that show the batch's date and that each planned view names, as `table.column`.
    pub mentions: BTreeMap<String, BTreeSet<String>>,
}

/// The lineage of every view and function. `entities` is that of the tables.
pub(super) async fn of_views(engine: &Engine, project: &Project, entities: &[Lineage]) -> Result<Views> {
    let mut known = Known::default();
    for entity in &project.entities {
        known.add_entity(entity, entities);
    }
    let mut pending: Vec<(&View, BTreeSet<String>)> =
        project.views.iter().map(|view| (view, words(project, view))).collect();
    let mut done: BTreeMap<&str, Vec<ViewLineage>> = BTreeMap::new();
    while !pending.is_empty() {
        // Take a view only after the views that it names. If views name each other, take any of them first.
        let waits = |(view, words): &(&View, BTreeSet<String>)| {
            pending
                .iter()
                .any(|(other, _)| other.name != view.name && words.contains(&other.name))
        };
        let next = pending.iter().position(|one| !waits(one)).unwrap_or(0);
        let (view, words) = pending.remove(next);
        done.insert(&view.name, known.view(engine, project, view, &words).await?);
    }
    let columns = project
        .views
        .iter()
        .filter_map(|view| done.remove(view.name.as_str()))
        .flatten()
        .collect();
    Ok(Views {
        columns,
        mentions: known.mentions,
    })
}

/// What is known so far about tables, views and functions.
#[derive(Default)]
struct Known {
    tables: Tables,
    /// The schemas of the tables and views that a plan can read.
    schemas: BTreeMap<String, SchemaRef>,
    approximate: BTreeSet<String>,
    mentions: BTreeMap<String, BTreeSet<String>>,
}

/// What the view's text may name: where PostgreSQL may read another name than DataFusion, everything.
fn words(project: &Project, view: &View) -> BTreeSet<String> {
    if names::are_exact(&view.sql) {
        return names::words(&view.sql);
    }
    let entities = project.entities.iter().map(|entity| entity.name.clone());
    let others = project.views.iter().filter(|other| other.name != view.name);
    entities.chain(others.map(|other| other.name.clone())).collect()
}

/// Whether PostgreSQL reads the names of a view as DataFusion does: a function of the project may stand in for a
/// built-in one of the same name.
fn is_plain(project: &Project, view: &View, words: &BTreeSet<String>) -> bool {
    let mut functions = project.views.iter().filter(|other| other.kind == ViewKind::Function);
    names::are_exact(&view.sql) && !functions.any(|other| other.name != view.name && words.contains(&other.name))
}

/// The names of the project's tables and views.
fn tables(project: &Project) -> BTreeSet<String> {
    let entities = project.entities.iter().map(|entity| entity.name.clone());
    let views = project.views.iter().filter(|view| view.kind != ViewKind::Function);
    entities.chain(views.map(|view| view.name.clone())).collect()
}

impl Known {
    fn add_entity(&mut self, entity: &Entity, lineage: &[Lineage]) {
        let shows_date = |column: &str| {
            let mut of_column = lineage
                .iter()
                .filter(|one| one.entity == entity.name && one.column == column);
            of_column.any(|one| one.shows_date)
        };
        let mut fields: Vec<Field> = entity
            .columns
            .iter()
            .map(|c| Field::new(&c.name, arrow_type(c.pg_type), c.nullable))
            .collect();
        fields.push(Field::new("source", DataType::Utf8, false));
        fields.push(Field::new("batch_date", DataType::Date32, false));
        let shape = |column: &str| {
            let own = Deps::one(Atom::Field(format!("{}.{column}", entity.name)), Dependence::Direct);
            Shape::Scalar(match column {
                "batch_date" => own.and(&Deps::one(Atom::Trace, Dependence::Direct)),
                _ if shows_date(column) => own.and(&traced()),
                _ => own,
            })
        };
        let columns = fields
            .iter()
            .map(|field| (field.name().clone(), shape(field.name())))
            .collect();
        let mut rows = Deps::one(Atom::Rows(entity.name.clone()), Dependence::Indirect);
        if shows_date("source") {
            rows.add(&traced());
        }
        self.tables.insert(
            entity.name.clone(),
            Table {
                columns,
                rows,
                order: Deps::default(),
                by_batch: true,
            },
        );
        self.schemas.insert(entity.name.clone(), Arc::new(Schema::new(fields)));
    }

    async fn view(
        &mut self,
        engine: &Engine,
        project: &Project,
        view: &View,
        words: &BTreeSet<String>,
    ) -> Result<Vec<ViewLineage>> {
        let body = body::of(view);
        let planned = match &body {
            Some(body) if is_plain(project, view, words) && resolved::alike(&body.written, &tables(project)) => {
                self.planned(engine, view, body).await?
            }
            _ => None,
        };
        let (table, schema) = planned.unwrap_or_else(|| {
            self.approximate.insert(view.name.clone());
            self.guessed(project, view, body.as_ref(), words)
        });
        if self.approximate.iter().any(|name| words.contains(name)) {
            self.approximate.insert(view.name.clone());
        }
        let lineage = self.lineage(view, &table);
        self.tables.insert(view.name.clone(), table);
        if let Some(schema) = schema {
            self.schemas.insert(view.name.clone(), schema);
        }
        Ok(lineage)
    }

    fn lineage(&self, view: &View, table: &Table) -> Vec<ViewLineage> {
        let one = |(column, shape): &(String, Shape)| ViewLineage {
            view: view.name.clone(),
            kind: view.kind,
            column: column.clone(),
            path: view.path.clone(),
            origins: origins(&shape.all().and(&table.rows.indirect())),
            approximate: self.approximate.contains(&view.name),
            shows_date: self.approximate.contains(&view.name)
                || shape.all().and(&table.rows).and(&table.order).is_traced(),
        };
        table.columns.iter().map(one).collect()
    }

    /// The lineage from the plan. `None` if DataFusion can't plan the view.
    async fn planned(
        &mut self,
        engine: &Engine,
        view: &View,
        body: &Body,
    ) -> Result<Option<(Table, Option<SchemaRef>)>> {
        let Some(plan) = self.plan(engine, &body.query).await? else {
            return Ok(None);
        };
        let Ok((relation, mentions)) = plan::analyze_mentions(&plan, &self.tables) else {
            return Ok(None);
        };
        self.mentions.insert(view.name.clone(), mentions);
        let fields = plan.schema().fields();
        let names = match body.names(view) {
            Some(names) if names.len() == fields.len() => names,
            _ => fields.iter().map(|field| field.name().clone()).collect(),
        };
        let fields: Vec<Field> = names
            .iter()
            .zip(fields)
            .map(|(name, field)| field.as_ref().clone().with_name(name))
            .collect();
        let columns = names.into_iter().zip(relation.columns).collect();
        Ok(Some((
            Table {
                columns,
                rows: relation.rows,
                order: relation.order,
                by_batch: relation.by_batch,
            },
            Some(Arc::new(Schema::new(fields))),
        )))
    }

    async fn plan(&self, engine: &Engine, query: &Statement) -> Result<Option<LogicalPlan>> {
        let tables = self
            .schemas
            .iter()
            .map(|(name, schema)| (name.clone(), Arc::clone(schema)));
        let session = engine.session_over(tables)?;
        Ok(session
            .statement_to_plan(DfStatement::Statement(Box::new(query.clone())))
            .await
            .ok())
    }

    /// The lineage without a plan: every column derives from every column of everything that the text names.
    fn guessed(
        &self,
        project: &Project,
        view: &View,
        body: Option<&Body>,
        words: &BTreeSet<String>,
    ) -> (Table, Option<SchemaRef>) {
        let mut seen = BTreeSet::from([view.name.as_str()]);
        let all = self.named(project, words, &mut seen).and(&traced());
        let names = body.and_then(|body| body.names(view));
        // The types of the columns are not known. Text is used as a placeholder.
        let schema = names.as_ref().map(|names| {
            Arc::new(Schema::new(
                names
                    .iter()
                    .map(|name| Field::new(name, DataType::Utf8, true))
                    .collect::<Vec<_>>(),
            ))
        });
        let names = names.unwrap_or_else(|| vec!["*".to_owned()]);
        let columns = names
            .into_iter()
            .map(|name| (name, Shape::Scalar(all.clone())))
            .collect();
        (
            Table {
                columns,
                rows: all.indirect(),
                order: Deps::default(),
                by_batch: true,
            },
            schema,
        )
    }

    /// Everything that the tables, views and functions named by the words derive from. A view that is not known yet is
    /// followed through the words of its own text.
    fn named<'p>(&self, project: &'p Project, words: &BTreeSet<String>, seen: &mut BTreeSet<&'p str>) -> Deps {
        let mut all = Deps::default();
        for word in words {
            if let Some(table) = self.tables.get(word) {
                all = table
                    .columns
                    .iter()
                    .fold(all, |all, (_, shape)| all.and(&shape.all()))
                    .and(&table.rows.indirect());
            } else if let Some(view) = project.views.iter().find(|view| view.name == *word)
                && seen.insert(&view.name)
            {
                all.add(&self.named(project, &self::words(project, view), seen));
            }
        }
        all
    }
}

fn origins(deps: &Deps) -> Vec<TableOrigin> {
    let origin = |(atom, dependence): (&Atom, Dependence)| match atom {
        Atom::Field(path) => {
            let (entity, column) = path.split_once('.')?;
            Some(TableOrigin {
                entity: entity.to_owned(),
                column: Some(column.to_owned()),
                dependence,
            })
        }
        Atom::Rows(entity) => Some(TableOrigin {
            entity: entity.clone(),
            column: None,
            dependence,
        }),
        Atom::Date | Atom::Source | Atom::Trace | Atom::Computed => None,
    };
    let mut origins: Vec<TableOrigin> = deps.iter().filter_map(origin).collect();
    origins.sort_by_key(|origin| Reverse(origin.dependence));
    origins
}

/// An Arrow type for planning. No value of this type is ever made.
fn arrow_type(pg_type: PgType) -> DataType {
    match pg_type {
        PgType::Text | PgType::Varchar(_) | PgType::Jsonb | PgType::Uuid => DataType::Utf8,
        PgType::Bool => DataType::Boolean,
        PgType::Int2 => DataType::Int16,
        PgType::Int4 => DataType::Int32,
        PgType::Int8 => DataType::Int64,
        PgType::Float4 => DataType::Float32,
        PgType::Float8 => DataType::Float64,
        PgType::Numeric(_) => DataType::Decimal128(38, 10),
        PgType::Date => DataType::Date32,
        PgType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PgType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PgType::TextArray => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
    }
}
