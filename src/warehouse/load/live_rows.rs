//! What a check of `sql/checks` gets where it names an entity's table with its schema, as in `public.visits`: the live rows
//! but those of batches that are kept from readers. They are views in a schema that ends with the check's transaction.

use crate::model::Entity;
use crate::model::sql_tokens::{Kind, Token, tokens};
use crate::warehouse::sql::{ENTITIES, ident, qualified};

/// A check's text that reads live rows through views, and the statements that make these.
pub(super) struct LiveRows {
    /// As long as the text that was given, so that places in it stay the same.
    pub sql: String,
    /// Empty where the text names no table with its schema.
    pub statements: String,
}

impl LiveRows {
    /// `checker` is the role that gets to read them.
    pub fn of(entities: &[Entity], sql: &str, checker: &str) -> Self {
        // Of another length, the places of errors would be others.
        let schema = name(rand::random());
        let mut read: Vec<&str> = Vec::new();
        let (mut text, mut from) = (String::new(), 0);
        let tokens: Vec<Token> = tokens(sql)
            .into_iter()
            .filter(|token| token.kind != Kind::Comment)
            .collect();
        for three in tokens.windows(3) {
            let [of, dot, table] = three else { continue };
            let is_schema = of.is_name() && of.value == ENTITIES && dot.sign() == Some('.') && table.is_name();
            let Some(entity) = entities.iter().find(|one| is_schema && one.name == table.value) else {
                continue;
            };
            text.push_str(&sql[from..of.start]);
            match of.kind {
                Kind::Quoted => text.push_str(&ident(&schema)),
                _ => text.push_str(&schema),
            }
            from = of.end;
            if !read.contains(&entity.name.as_str()) {
                read.push(&entity.name);
            }
        }
        text.push_str(&sql[from..]);
        Self {
            sql: text,
            statements: statements(&schema, &read, checker),
        }
    }
}

/// A name that is as long as `public`. No other session sees the schema, and one that makes the same waits.
fn name(random: u32) -> String {
    format!("_{:05x}", random & 0xf_ffff)
}

/// The barrier keeps a condition of the check from seeing the rows of hidden batches: its error would tell of them.
fn statements(schema: &str, entities: &[&str], checker: &str) -> String {
    if entities.is_empty() {
        return String::new();
    }
    let (schema_name, checker) = (ident(schema), ident(checker));
    let mut statements = format!("CREATE SCHEMA {schema_name}; GRANT USAGE ON SCHEMA {schema_name} TO {checker}; ");
    let of_entity = |entity: &&str| {
        let (view, table) = (qualified(schema, entity), qualified(ENTITIES, entity));
        format!(
            "CREATE VIEW {view} WITH (security_barrier) AS SELECT * FROM {table} t WHERE NOT EXISTS (SELECT FROM \
             pipeline.hidden_batches h WHERE h.source = t.source AND h.batch_date = t.batch_date); \
             GRANT SELECT ON {view} TO {checker}; "
        )
    };
    statements.extend(entities.iter().map(of_entity));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::testing::entity;

    #[test]
    fn only_tables_that_are_named_with_their_schema_are_read_through_views() {
        let entities = [entity("visits", Vec::new()), entity("patients", Vec::new())];
        let of = |sql: &str| LiveRows::of(&entities, sql, "checker");
        let sql =
            "select 'é', public.visits.id -- public.visits\nfrom PUBLIC . visits join \"public\".patients p on true";
        let live = of(sql);
        assert_eq!(live.sql.chars().count(), sql.chars().count());
        let schema = &live.statements["CREATE SCHEMA \"".len()..][..6];
        assert_eq!(
            live.sql,
            format!(
                "select 'é', {schema}.visits.id -- public.visits\nfrom {schema} . visits join \"{schema}\".patients p on true"
            )
        );
        assert_eq!(live.statements.matches("CREATE VIEW").count(), 2);
        for alone in [
            "select 1 from visits",
            "select 1 from public.total",
            "select 'public.visits'",
        ] {
            let live = of(alone);
            assert_eq!((live.sql.as_str(), live.statements.as_str()), (alone, ""));
        }
    }
}
