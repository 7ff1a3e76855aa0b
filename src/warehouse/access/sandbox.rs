//! The role with whose rights the checks of `sql/checks` run. Nobody logs in as it and no session assumes it, since what
//! was assumed can be left again. A function of its own runs the SQL (SECURITY DEFINER): inside such a function
//! PostgreSQL refuses to change the role (its source, `GUC_NOT_WHILE_SEC_REST`).

use super::names::Names;
use crate::warehouse::sql::{ident, literal};

/// The statements that make the role's schema and its function. A cursor takes one statement that returns rows.
pub(super) fn statements(names: &Names) -> Vec<String> {
    let (owner, checker) = (ident(&names.owner), ident(&names.checker));
    let schema = format!(
        "DO $pipeline$\nBEGIN\n    \
         IF pg_catalog.to_regnamespace('pipeline_check') IS NULL THEN\n        \
         CREATE SCHEMA pipeline_check AUTHORIZATION {checker};\n    \
         ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'pipeline_check' AND nspowner = {literal}::regrole) THEN\n        \
         RAISE EXCEPTION 'the schema pipeline_check belongs to another role than {checker}';\n    \
         END IF;\nEND $pipeline$",
        literal = literal(&checker),
    );
    let function = "CREATE OR REPLACE FUNCTION pipeline_check.rows_of(query text) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $function$
DECLARE
    answers refcursor;
    answer text;
BEGIN
    OPEN answers NO SCROLL FOR EXECUTE query;
    LOOP
        FETCH answers INTO answer;
        EXIT WHEN NOT FOUND;
        RETURN NEXT answer;
    END LOOP;
    CLOSE answers;
END $function$";
    vec![
        schema,
        format!("SET ROLE {checker}"),
        function.to_owned(),
        "REVOKE ALL ON FUNCTION pipeline_check.rows_of(text) FROM PUBLIC".to_owned(),
        format!("GRANT EXECUTE ON FUNCTION pipeline_check.rows_of(text) TO {owner}"),
        format!("GRANT USAGE ON SCHEMA pipeline_check TO {owner}"),
        "RESET ROLE".to_owned(),
    ]
}
