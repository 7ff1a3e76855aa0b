//! Finds RIGHT and FULL joins that merge columns: by USING, or NATURAL. The merged column is that of the right table, or
//! whichever of the two has a value (SQL standard, joined table). DataFusion 55 takes that of the left one, which is null
//! for each row without a partner.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, Query, Select, Spanned, TableFactor, TableWithJoins, Visit, Visitor,
};

use super::not_in::Found;

/// The first in a query, its subqueries and CTEs.
pub(super) fn in_query(query: &Query) -> Option<Found> {
    first(query)
}

/// The first in an expression.
pub(super) fn in_expression(expression: &Expr) -> Option<Found> {
    first(expression)
}

fn first(node: &impl Visit) -> Option<Found> {
    match node.visit(&mut Joins) {
        ControlFlow::Break(found) => Some(*found),
        ControlFlow::Continue(()) => None,
    }
}

struct Joins;

impl Visitor for Joins {
    type Break = Box<Found>;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        select.from.iter().try_for_each(of_tables)
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        match table {
            TableFactor::NestedJoin { table_with_joins, .. } => of_tables(table_with_joins),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn of_tables(tables: &TableWithJoins) -> ControlFlow<Box<Found>> {
    let Some((join, side)) = tables.joins.iter().find_map(|join| Some((join, side(join)?))) else {
        return ControlFlow::Continue(());
    };
    ControlFlow::Break(Box::new(Found {
        message: format!(
            "a {side} join can't merge columns: DataFusion 55 takes those of the left table, which are null where it has no row"
        ),
        span: join.relation.span(),
        hint: "write ON a.id = b.id, and select coalesce(a.id, b.id)",
    }))
}

/// What the join is called, where it merges columns and keeps rows of the right table.
fn side(join: &Join) -> Option<&'static str> {
    use JoinOperator as J;
    let (side, constraint) = match &join.join_operator {
        J::Right(constraint) | J::RightOuter(constraint) => ("RIGHT", constraint),
        J::FullOuter(constraint) => ("FULL", constraint),
        _ => return None,
    };
    matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural).then_some(side)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::transform::{ast, parse};

    fn found(sql: &str) -> Option<Found> {
        let statement = parse::statement(&SessionContext::new().state(), sql).unwrap();
        in_query(&ast::query(&statement).unwrap().clone())
    }

    #[test]
    fn what_merges_columns_of_the_right_table_is_refused() {
        for (sql, side) in [
            ("select x from a right join b using (x)", "RIGHT"),
            ("select x from a natural right outer join b", "RIGHT"),
            ("select x from a full join b using (x)", "FULL"),
            (
                "with c as (select x from a natural full join b) select x from c",
                "FULL",
            ),
            ("select x from c join (a full join b using (x)) on true", "FULL"),
            (
                "select x from c where exists (select 1 from a right join b using (x))",
                "RIGHT",
            ),
        ] {
            let message = found(sql).unwrap_or_else(|| panic!("{sql}")).message;
            assert!(message.starts_with(&format!("a {side} join")), "{sql}: {message}");
        }
        for sql in [
            "select x from a join b using (x)",
            "select x from a left join b using (x)",
            "select coalesce(a.x, b.x) from a full join b on a.x = b.x",
        ] {
            assert!(found(sql).is_none(), "{sql}");
        }
    }

    /// When this fails, the engine is right, and this file can go.
    #[tokio::test]
    async fn the_engine_is_wrong_still() {
        let sql = "select x from (values (1)) a(x) right join (values (2)) b(x) using (x)";
        let rows = SessionContext::new().sql(sql).await.unwrap().collect().await.unwrap();
        assert_eq!(rows.iter().map(|rows| rows.column(0).null_count()).sum::<usize>(), 1);
    }
}
