//! Finds what the rows and columns of a query derive from. It reads the logical plan as the SQL planner made it. For an
//! unknown kind of plan node, every column derives from everything that the node reads.

use std::cell::RefCell;
use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::logical_plan::{
    Aggregate, Distinct, DistinctOn, Join, RecursiveQuery, TableScan, Values, Window,
};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::analysis::{Analysis, Scope, Tables, Use};
use super::rows::{either, flat, unnested};
use super::shape::{Deps, Relation, Shape, traced};

/// What the columns of a plan derive from, in the order of the plan's schema.
pub(super) fn analyze(plan: &LogicalPlan, tables: &Tables) -> Result<Relation> {
    Ok(analyze_uses(plan, tables)?.0)
}

/// The same, and what tells rows apart or puts them together.
pub(super) fn analyze_uses(plan: &LogicalPlan, tables: &Tables) -> Result<(Relation, Vec<Use>)> {
    let (uses, mentioned) = (RefCell::default(), RefCell::default());
    let relation = analysis(tables, &uses, &mentioned).relation(plan, None)?;
    Ok((relation, uses.into_inner()))
}

/// As [`analyze`], and the columns that show the batch's date and that the query names, as `table.column`.
pub(super) fn analyze_mentions(plan: &LogicalPlan, tables: &Tables) -> Result<(Relation, BTreeSet<String>)> {
    let (uses, mentioned) = (RefCell::default(), RefCell::default());
    let relation = analysis(tables, &uses, &mentioned).relation(plan, None)?;
    Ok((relation, mentioned.into_inner()))
}

fn analysis<'a>(
    tables: &'a Tables,
    uses: &'a RefCell<Vec<Use>>,
    mentioned: &'a RefCell<BTreeSet<String>>,
) -> Analysis<'a> {
    Analysis {
        tables,
        working: Vec::new(),
        variables: Vec::new(),
        uses,
        mentioned,
    }
}

impl Analysis<'_> {
    /// What a plan's columns and rows derive from. `outer` holds the rows of the enclosing query, if this is a
    /// subquery.
    pub fn relation(&self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Relation> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, outer),
            LogicalPlan::Projection(node) => {
                let input = self.relation(&node.input, outer)?;
                let scope = scope(node.input.schema(), &input, outer);
                let columns = self.each(&node.expr, &scope)?;
                Ok(input.with_columns(columns))
            }
            LogicalPlan::SubqueryAlias(node) => self.relation(&node.input, outer),
            LogicalPlan::Subquery(node) => self.relation(&node.subquery, outer),
            LogicalPlan::Filter(node) => {
                let input = self.relation(&node.input, outer)?;
                let deps = self.condition(&node.predicate, &scope(node.input.schema(), &input, outer))?;
                Ok(input.rows_by(&deps))
            }
            LogicalPlan::Sort(node) => {
                let input = self.relation(&node.input, outer)?;
                let deps = self.all_of_sorts(&node.expr, &scope(node.input.schema(), &input, outer))?;
                let by_batch = input.by_batch && !is_sorted(&node.expr);
                Ok(Relation {
                    by_batch,
                    ..input.rows_by(&deps)
                })
            }
            LogicalPlan::Limit(node) => {
                let input = self.relation(&node.input, outer)?;
                let bounds = node.skip.as_deref().into_iter().chain(node.fetch.as_deref());
                let deps = self
                    .all_of(bounds, &scope(node.input.schema(), &input, outer))?
                    .and(&input.order);
                // The first rows are then those of the first batch.
                let deps = if input.by_batch { deps.and(&traced()) } else { deps };
                Ok(input.rows_by(&deps))
            }
            LogicalPlan::Repartition(node) => self.relation(&node.input, outer),
            LogicalPlan::Window(node) => self.windows(node, outer),
            LogicalPlan::Aggregate(node) => self.aggregates(node, outer),
            LogicalPlan::Unnest(node) => Ok(unnested(node, &self.relation(&node.input, outer)?)),
            LogicalPlan::Join(node) => self.join(node, outer),
            LogicalPlan::Union(node) => {
                let width = node.schema.fields().len();
                let inputs = node
                    .inputs
                    .iter()
                    .map(|input| self.relation(input, outer))
                    .collect::<Result<Vec<_>>>()?;
                Ok(either(inputs, width))
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.relation(input, outer)?;
                self.use_columns("DISTINCT, UNION, EXCEPT or INTERSECT", &input);
                let all = input.all();
                Ok(Relation {
                    by_batch: false,
                    ..input.rows_by(&all)
                })
            }
            LogicalPlan::Distinct(Distinct::On(node)) => self.distinct_on(node, outer),
            LogicalPlan::EmptyRelation(node) => {
                Ok(Relation::default().with_columns(vec![Shape::constant(); node.schema.fields().len()]))
            }
            LogicalPlan::Values(node) => self.values(node, outer),
            LogicalPlan::RecursiveQuery(node) => self.recursive(node, outer),
            other => self.unknown(other, outer),
        }
    }

    fn each<'e>(&self, expressions: impl IntoIterator<Item = &'e Expr>, scope: &Scope<'_>) -> Result<Vec<Shape>> {
        expressions
            .into_iter()
            .map(|expression| self.expression(expression, scope))
            .collect()
    }

    fn scan(&self, scan: &TableScan, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let name = scan.table_name.table();
        // A name with its schema is a table, whatever the query's WITH RECURSIVE calls itself.
        let may_be_working = scan.table_name.schema().is_none();
        let mut working = self.working.iter().rev().filter(|_| may_be_working);
        if let Some((_, relation)) = working.find(|(working, _)| working == name) {
            return Ok(relation.clone());
        }
        let table = match self.tables.get(name) {
            Some(table) => table,
            // A table function, such as `range(1, 3)`. Its arguments are literals, so its rows hold no data.
            None if name.ends_with("()") => {
                let columns = vec![Shape::constant(); scan.projected_schema.fields().len()];
                return Ok(Relation::default().with_columns(columns));
            }
            None => return Err(DataFusionError::Plan(format!("lineage knows no table {name}"))),
        };
        let column = |name: &str| {
            // The engine's own columns (`_record`) contain no data.
            table
                .columns
                .iter()
                .find(|(n, _)| n == name)
                .map_or_else(Shape::constant, |(_, shape)| shape.clone())
        };
        let columns = scan
            .projected_schema
            .fields()
            .iter()
            .map(|field| column(field.name()))
            .collect();
        let relation = Relation {
            columns,
            rows: table.rows.indirect(),
            order: table.order.clone(),
            by_batch: table.by_batch,
        };
        let deps = self.all_of(&scan.filters, &scope(&scan.projected_schema, &relation, outer))?;
        Ok(relation.rows_by(&deps))
    }

    fn windows(&self, node: &Window, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let mut input = self.relation(&node.input, outer)?;
        let scope = scope(node.input.schema(), &input, outer);
        let added = self.each(&node.window_expr, &scope)?;
        // A window function sorts the rows, and they stay in that order.
        let (mut order, mut sorted) = (Deps::default(), false);
        for expression in &node.window_expr {
            expression.apply(|part| {
                if let Expr::WindowFunction(function) = part {
                    self.use_each("PARTITION BY", &function.params.partition_by, &scope)?;
                    let by = function.params.order_by.iter().map(|sort| &sort.expr);
                    self.use_each("ORDER BY of a window", by, &scope)?;
                    order.add(&self.all_of(&function.params.partition_by, &scope)?);
                    order.add(&self.all_of_sorts(&function.params.order_by, &scope)?);
                    sorted |= is_sorted(&function.params.order_by);
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        input.by_batch &= !sorted;
        input.columns.extend(added);
        input.order.add(&order);
        Ok(input)
    }

    fn aggregates(&self, node: &Aggregate, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let input = self.relation(&node.input, outer)?;
        let scope = scope(node.input.schema(), &input, outer);
        self.use_each("GROUP BY", grouping_set_to_exprlist(&node.group_expr)?, &scope)?;
        let groups = self.all_of(&node.group_expr, &scope)?;
        let mut columns = self.each(grouping_set_to_exprlist(&node.group_expr)?, &scope)?;
        let aggregates = self.each(&node.aggr_expr, &scope)?;
        // Grouping sets add a column that says which set a row belongs to.
        while columns.len() + aggregates.len() < node.schema.fields().len() {
            columns.push(Shape::Scalar(groups.indirect()));
        }
        columns.extend(aggregates);
        Ok(Relation {
            by_batch: false,
            ..input.with_columns(columns).rows_by(&groups)
        })
    }

    fn distinct_on(&self, node: &DistinctOn, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let input = self.relation(&node.input, outer)?;
        let scope = scope(node.input.schema(), &input, outer);
        self.use_each("DISTINCT ON", &node.on_expr, &scope)?;
        let mut chosen = self.all_of(&node.on_expr, &scope)?.and(&input.order);
        for sort in node.sort_expr.as_deref().unwrap_or_default() {
            // Which of the rows with one key is the latest shows no date.
            let deps = self.all_of_sorts(std::slice::from_ref(sort), &scope)?;
            let latest = self.is_batch_date(&sort.expr, &scope)?;
            chosen.add(&if latest { deps.untraced() } else { deps });
        }
        let columns = self.each(&node.select_expr, &scope)?;
        Ok(Relation {
            by_batch: false,
            ..input.with_columns(columns).rows_by(&chosen)
        })
    }

    fn join(&self, node: &Join, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let left = self.relation(&node.left, outer)?;
        let left_scope = scope(node.left.schema(), &left, outer);
        // The right side of a lateral join sees the rows of the left side.
        let right = self.relation(&node.right, Some(&left_scope))?;
        let right_scope = scope(node.right.schema(), &right, outer);

        let mut condition = left.rows.clone().and(&right.rows);
        self.use_each(
            "the condition of a join",
            node.on.iter().map(|(left, _)| left),
            &left_scope,
        )?;
        self.use_each(
            "the condition of a join",
            node.on.iter().map(|(_, right)| right),
            &right_scope,
        )?;
        for (left, right) in &node.on {
            let deps = self.all_of([left], &left_scope)?;
            let deps = deps.and(&self.all_of([right], &right_scope)?);
            let equals = self.is_batch_date(left, &left_scope)? && self.is_batch_date(right, &right_scope)?;
            condition.add(&if equals { deps.untraced() } else { deps });
        }
        if let Some(filter) = &node.filter {
            let nothing = Deps::default();
            let columns: Vec<Shape> = left.columns.iter().chain(&right.columns).cloned().collect();
            let deps = match node.left.schema().join(node.right.schema()) {
                Ok(schema) => self.condition(
                    filter,
                    &Scope {
                        schema: &schema,
                        columns: &columns,
                        order: &nothing,
                        by_batch: false,
                        outer,
                    },
                )?,
                Err(_) => left.all().and(&right.all()),
            };
            condition.add(&deps);
        }

        let mark = || vec![Shape::Scalar(condition.indirect())];
        let columns = match node.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            JoinType::LeftMark => [left.columns, mark()].concat(),
            JoinType::RightMark => [right.columns, mark()].concat(),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                [left.columns, right.columns].concat()
            }
        };
        let order = left.order.and(&right.order);
        Ok(Relation {
            columns,
            rows: Deps::default(),
            order,
            by_batch: left.by_batch || right.by_batch,
        }
        .rows_by(&condition))
    }

    fn values(&self, node: &Values, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let nothing = DFSchema::empty();
        let scope = Scope {
            schema: &nothing,
            columns: &[],
            order: &Deps::default(),
            by_batch: false,
            outer,
        };
        let mut columns = vec![Shape::constant(); node.schema.fields().len()];
        for row in &node.values {
            for (column, value) in columns.iter_mut().zip(self.each(row, &scope)?) {
                *column = std::mem::replace(column, Shape::constant()).or(value).computed();
            }
        }
        Ok(Relation::default().with_columns(columns))
    }

    /// Reads the recursive term repeatedly until nothing new is found. Nested values are treated as a whole, so the
    /// loop always ends.
    fn recursive(&self, node: &RecursiveQuery, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let width = node.schema.fields().len();
        let mut known = flat(self.relation(&node.static_term, outer)?);
        loop {
            let mut working = self.working.clone();
            working.push((node.name.clone(), known.clone()));
            let inner = Analysis {
                tables: self.tables,
                working,
                variables: self.variables.clone(),
                uses: self.uses,
                mentioned: self.mentioned,
            };
            let step = flat(inner.relation(&node.recursive_term, outer)?);
            let mut next = either(vec![known.clone(), step], width);
            if node.is_distinct {
                let all = next.all();
                next = next.rows_by(&all);
            }
            if node.is_distinct {
                self.use_columns("UNION of a recursive query", &next);
            }
            if next == known {
                return Ok(known);
            }
            known = next;
        }
    }

    fn unknown(&self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Relation> {
        let mut all = Deps::default();
        for input in plan.inputs() {
            let relation = self.relation(input, outer)?;
            all.add(&relation.all());
            all.add(&self.all_of(&plan.expressions(), &scope(input.schema(), &relation, outer))?);
        }
        let columns = vec![Shape::Scalar(all.clone()).computed(); plan.schema().fields().len()];
        Ok(Relation {
            columns,
            rows: all.indirect(),
            order: Deps::default(),
            by_batch: true,
        })
    }
}

/// Whether rows are in another order afterwards. A constant leaves them in theirs.
pub(super) fn is_sorted(by: &[Sort]) -> bool {
    by.iter().any(|sort| {
        let reads = sort.expr.exists(|part| Ok(matches!(part, Expr::Column(_))));
        reads.unwrap_or(false)
    })
}

fn scope<'a>(schema: &'a DFSchema, relation: &'a Relation, outer: Option<&'a Scope<'a>>) -> Scope<'a> {
    Scope {
        schema,
        columns: &relation.columns,
        order: &relation.order,
        by_batch: relation.by_batch,
        outer,
    }
}
