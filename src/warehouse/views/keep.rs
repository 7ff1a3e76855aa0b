//! What users have set on a view beside its definition: owner, grants (on columns too), options, comments, and
//! indexes that this program did not make. All of it must survive when the view is dropped and made again.

use std::collections::HashSet;

use tokio_postgres::Client;
use tokio_postgres::types::{Oid, Type};

use super::file::is_our_index;
use crate::error::Result;
use crate::model::ViewKind;
use crate::warehouse::sql::{Over, db_error, describe_over, ident, literal};

#[derive(Debug, Default)]
pub(super) struct Kept {
    /// `Some` where the owner is not the current role.
    owner: Option<String>,
    grants: Vec<Grant>,
    /// `name=value`
    options: Vec<String>,
    comment: Option<String>,
    column_comments: Vec<(String, String)>,
    /// `CREATE INDEX` statements.
    indexes: Vec<String>,
}

#[derive(Debug)]
struct Grant {
    privilege: String,
    column: Option<String>,
    /// A quoted role name, or PUBLIC.
    grantee: String,
    grantable: bool,
}

const RELATION: &str = "
SELECT CASE WHEN c.relowner <> current_user::regrole THEN pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)) END,
       coalesce(c.reloptions, '{}'), pg_catalog.obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c WHERE c.oid = $1";
const FUNCTION: &str = "
SELECT CASE WHEN p.proowner <> current_user::regrole THEN pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(p.proowner)) END,
       '{}'::text[], pg_catalog.obj_description(p.oid, 'pg_proc')
FROM pg_catalog.pg_proc p WHERE p.oid = $1";

/// Grants to others than the owner. The owner's rights come with ownership.
const RELATION_GRANTS: &str = "
SELECT x.privilege_type, NULL::text, g.grantee, x.is_grantable
FROM pg_catalog.pg_class c,
     pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) x,
     LATERAL (SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC'
              ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END) g (grantee)
WHERE c.oid = $1 AND x.grantee <> c.relowner
UNION ALL
SELECT x.privilege_type, a.attname::text, g.grantee, x.is_grantable
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped,
     pg_catalog.aclexplode(a.attacl) x,
     LATERAL (SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC'
              ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END) g (grantee)
WHERE c.oid = $1 AND x.grantee <> c.relowner";
const FUNCTION_GRANTS: &str = "
SELECT x.privilege_type, NULL::text, g.grantee, x.is_grantable
FROM pg_catalog.pg_proc p,
     pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) x,
     LATERAL (SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC'
              ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END) g (grantee)
WHERE p.oid = $1 AND x.grantee <> p.proowner";

const COLUMN_COMMENTS: &str = "
SELECT a.attname::text, d.description FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum
    AND d.classoid = 'pg_catalog.pg_class'::regclass
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped";
const INDEXES: &str = "
SELECT c.relname::text, pg_catalog.pg_get_indexdef(i.indexrelid) FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1";
const COLUMNS: &str = "SELECT attname::text FROM pg_catalog.pg_attribute
                       WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped";

impl Kept {
    /// Reads what is set on an object now.
    pub(super) async fn read(client: &Client, kind: ViewKind, name: &str, oid: Oid) -> Result<Self> {
        let failed = |error: tokio_postgres::Error| db_error("the grants of a view can't be read", &error);
        let is_function = kind == ViewKind::Function;
        let object = client
            .query_typed_opt(if is_function { FUNCTION } else { RELATION }, &[(&oid, Type::OID)])
            .await;
        let Some(object) = object.map_err(failed)? else {
            return Ok(Self::default());
        };
        let mut kept = Self {
            owner: object.get(0),
            options: object.get(1),
            comment: object.get(2),
            grants: grants(client, kind, oid).await?,
            ..Self::default()
        };
        if !is_function {
            let rows = client
                .query_typed(COLUMN_COMMENTS, &[(&oid, Type::OID)])
                .await
                .map_err(failed)?;
            kept.column_comments = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        }
        if kind == ViewKind::Materialized {
            let rows = client
                .query_typed(INDEXES, &[(&oid, Type::OID)])
                .await
                .map_err(failed)?;
            let others = rows.iter().filter(|row| !is_our_index(name, row.get::<_, &str>(0)));
            kept.indexes = others.map(|row| row.get(1)).collect();
        }
        Ok(kept)
    }

    /// Restores the options of a replaced view, since CREATE OR REPLACE VIEW resets them.
    pub(super) async fn restore_options(&self, client: &Client, object: &str) -> Result<()> {
        if self.options.is_empty() {
            return Ok(());
        }
        let done = client
            .batch_execute(&format!("ALTER VIEW {object} SET ({})", self.options()))
            .await;
        done.map_err(|error| db_error(format!("the options of {object} can't be kept"), &error))
    }

    /// Restores everything on an object that was made again. A grant on a column that no longer exists is dropped.
    pub(super) async fn restore(&self, client: &Client, kind: ViewKind, object: &str, oid: Oid) -> Result<()> {
        let failed = |error: tokio_postgres::Error| db_error(format!("the grants of {object} can't be kept"), &error);
        let columns = client
            .query_typed(COLUMNS, &[(&oid, Type::OID)])
            .await
            .map_err(failed)?;
        let columns: HashSet<String> = columns.iter().map(|row| row.get(0)).collect();
        // Default privileges may have granted more than the old object had, so they are revoked first.
        let mut statements = revokes(&grants(client, kind, oid).await?, kind, object);
        statements.extend(self.statements(kind, object, &columns));
        if !statements.is_empty() {
            client.batch_execute(&statements.join(";\n")).await.map_err(failed)?;
        }
        for index in &self.indexes {
            client.batch_execute("SAVEPOINT one_index").await.map_err(failed)?;
            if let Err(error) = client.batch_execute(index).await {
                tracing::warn!(
                    view = object,
                    error = describe_over(&error, Over::Rows),
                    "an index made by hand could not be made again"
                );
                client
                    .batch_execute("ROLLBACK TO SAVEPOINT one_index")
                    .await
                    .map_err(failed)?;
            }
            client
                .batch_execute("RELEASE SAVEPOINT one_index")
                .await
                .map_err(failed)?;
        }
        match &self.owner {
            Some(owner) => {
                let sql = format!("ALTER {} {object} OWNER TO {owner}", words(kind).1);
                client.batch_execute(&sql).await.map_err(failed)
            }
            None => Ok(()),
        }
    }

    fn statements(&self, kind: ViewKind, object: &str, columns: &HashSet<String>) -> Vec<String> {
        let mut statements = Vec::new();
        let (what, alter) = words(kind);
        for grant in &self.grants {
            let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
            let (privilege, grantee) = (&grant.privilege, &grant.grantee);
            match &grant.column {
                None => statements.push(format!("GRANT {privilege} ON {what} {object} TO {grantee}{option}")),
                Some(column) if columns.contains(column) => {
                    let column = ident(column);
                    statements.push(format!(
                        "GRANT {privilege} ({column}) ON {what} {object} TO {grantee}{option}"
                    ));
                }
                Some(_) => {}
            }
        }
        if !self.options.is_empty() {
            statements.push(format!("ALTER {alter} {object} SET ({})", self.options()));
        }
        if let Some(comment) = &self.comment {
            statements.push(format!("COMMENT ON {alter} {object} IS {}", literal(comment)));
        }
        for (column, comment) in self
            .column_comments
            .iter()
            .filter(|(column, _)| columns.contains(column))
        {
            let column = ident(column);
            statements.push(format!("COMMENT ON COLUMN {object}.{column} IS {}", literal(comment)));
        }
        statements
    }

    fn options(&self) -> String {
        let pairs = self.options.iter().filter_map(|option| option.split_once('='));
        pairs
            .map(|(name, value)| format!("{name} = {}", literal(value)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn words(kind: ViewKind) -> (&'static str, &'static str) {
    match kind {
        ViewKind::Function => ("FUNCTION", "FUNCTION"),
        ViewKind::View => ("TABLE", "VIEW"),
        ViewKind::Materialized => ("TABLE", "MATERIALIZED VIEW"),
    }
}

fn revokes(grants: &[Grant], kind: ViewKind, object: &str) -> Vec<String> {
    let (what, _) = words(kind);
    let grantees: HashSet<&str> = grants.iter().map(|grant| grant.grantee.as_str()).collect();
    grantees
        .into_iter()
        .map(|grantee| format!("REVOKE ALL ON {what} {object} FROM {grantee}"))
        .collect()
}

async fn grants(client: &Client, kind: ViewKind, oid: Oid) -> Result<Vec<Grant>> {
    let sql = if kind == ViewKind::Function {
        FUNCTION_GRANTS
    } else {
        RELATION_GRANTS
    };
    let rows = client.query_typed(sql, &[(&oid, Type::OID)]).await;
    let rows = rows.map_err(|error| db_error("the grants of a view can't be read", &error))?;
    Ok(rows
        .iter()
        .map(|row| Grant {
            privilege: row.get(0),
            column: row.get(1),
            grantee: row.get(2),
            grantable: row.get(3),
        })
        .collect())
}
