//! `pipeline migration new`: writes a file with the statements that change the tables from what `migrations/` makes
//! to what `pipeline.yaml` declares. A statement that would lose data is written only as a comment.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::catalog::{self, Table};
use super::ddl::{column_comment, create_index, create_table, key_columns, public, type_name};
use super::drift::{Difference, Named, differences};
use super::{migrate, migration_files};
use crate::error::{Error, Result};
use crate::model::wording::one_line;
use crate::model::{Column, Entity, Project};
use crate::warehouse::connect::{Database, Warehouse};
use crate::warehouse::sql::{db_error, ident, idents};
use crate::workspace;

/// Writes a migration that changes the tables from what `migrations/` makes to what `pipeline.yaml` declares. Returns
/// its path relative to the root, or `None` where the tables match already. `name` becomes part of the file's name.
pub async fn migration_new(project: &Project, root: &Path, name: &str) -> Result<Option<PathBuf>> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(
            Error::project("a migration's name is made of letters, digits and underscores")
                .hint("such as add_allergies"),
        );
    }
    let warehouse = Warehouse::open(Database::Memory, 1).await?;
    migrate::apply(&warehouse, root).await?;
    let written = write_missing(&warehouse, project, root, name).await;
    warehouse.close().await;
    written
}

async fn write_missing(warehouse: &Warehouse, project: &Project, root: &Path, name: &str) -> Result<Option<PathBuf>> {
    let connection = warehouse.acquire().await?;
    let tables = catalog::tables(&connection, None).await?;
    let body = body(project, &tables);
    if body.is_empty() {
        return Ok(None);
    }
    // The statements are tried here, so that no file is written that does not run.
    connection.batch_execute(&body).await.map_err(|error| {
        db_error(
            "the tables can't be brought to what pipeline.yaml says by DDL alone",
            &error,
        )
    })?;
    let number = migration_files::read(root)?.last().map_or(1, |file| file.version + 1);
    let path = Path::new("migrations").join(format!("V{number}__{name}.sql"));
    let failed = |error| Error::project(format!("{} can't be written", path.display())).cause(error);
    workspace::refuse_to_leave(root, &path)?;
    std::fs::create_dir_all(root.join("migrations")).map_err(failed)?;
    let text = format!("-- Written by `pipeline migration new` from pipeline.yaml. Read it before it runs.\n\n{body}");
    let mut file = std::fs::File::create_new(root.join(&path)).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(Some(path))
}

/// The statements for what is lacking, a paragraph per table. Statements that would lose data are comments.
fn body(project: &Project, tables: &[Table]) -> String {
    let mut paragraphs = Vec::new();
    for entity in &project.entities {
        let table = tables.iter().find(|table| table.name == entity.name);
        let parts: Vec<String> = differences(entity, table)
            .iter()
            .map(|difference| statement(entity, difference))
            .collect();
        if !parts.is_empty() {
            paragraphs.push(parts.concat());
        }
    }
    for table in tables {
        let is_entity_like = table.partition_key.as_deref() == Some("LIST (source)");
        if is_entity_like && !project.entities.iter().any(|entity| entity.name == table.name) {
            paragraphs.push(format!(
                "-- WARNING: pipeline.yaml has no entity {0} any more. This would lose its rows of all batches:\n\
                 -- DROP TABLE {1};\n",
                one_line(&table.name),
                one_line(&public(&table.name))
            ));
        }
    }
    paragraphs.join("\n")
}

fn statement(entity: &Entity, difference: &Difference<'_>) -> String {
    let table = public(&entity.name);
    let alter = format!("ALTER TABLE {table}");
    match difference {
        Difference::MissingTable => create_table(entity),
        Difference::NotPartitioned => format!(
            "-- WARNING: {table} is not partitioned by LIST (source), and a table can't become so. Rename it, let\n\
             -- `pipeline migration new` write a new one, and load the batches again.\n"
        ),
        Difference::MissingColumn(column) => add_column(&table, column),
        Difference::MissingPartitionColumn(name) => {
            format!("-- WARNING: {table} lacks the column {}.\n", one_line(name))
        }
        Difference::ExtraColumn(name) => format!(
            "-- WARNING: pipeline.yaml has no column {}.{}. This would lose its values of all batches:\n\
             -- {alter} DROP COLUMN {};\n",
            entity.name,
            one_line(name),
            one_line(&ident(name))
        ),
        Difference::Type { column, found } => change_type(&alter, column, found),
        Difference::Nullability {
            column,
            found_nullable: true,
        } => format!(
            "-- Fails, and changes nothing, where a row has a null there.\n{alter} ALTER COLUMN {} SET NOT NULL;\n",
            ident(column.name)
        ),
        Difference::Nullability { column, .. } => {
            format!("{alter} ALTER COLUMN {} DROP NOT NULL;\n", ident(column.name))
        }
        Difference::Key { found } => change_key(entity, &alter, found.as_ref().map(|found| found.name.as_str())),
        Difference::MissingIndex(index) => format!("{}\n", create_index(&table, index)),
        Difference::ExtraIndex { name, columns } => format!(
            "-- WARNING: pipeline.yaml has no index on {}({}).\n-- DROP INDEX {};\n",
            entity.name,
            one_line(&columns.join(", ")),
            one_line(&public(name))
        ),
        Difference::OtherConstraint(name) => format!(
            "-- WARNING: pipeline.yaml can't express this constraint, and partitions can't be attached with it:\n\
             -- {alter} DROP CONSTRAINT {};\n",
            one_line(&ident(name))
        ),
    }
}

fn add_column(table: &str, column: &Column) -> String {
    let (name, kind) = (ident(&column.name), type_name(column.pg_type));
    let mut sql = format!("ALTER TABLE {table} ADD COLUMN {name} {kind};\n");
    if !column.nullable {
        let _ = write!(
            sql,
            "-- Rows loaded before have no value there: where there are any, fill them in here by an UPDATE, else the\n\
             -- next statement fails and nothing is changed.\n\
             ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL;\n"
        );
    }
    sql + &column_comment(table, column)
}

fn change_type(alter: &str, column: &Named<'_>, found: &str) -> String {
    let (name, kind, found) = (ident(column.name), &column.data_type, one_line(found));
    format!(
        "-- From {found}. May rewrite every partition while nobody can read; views on the column must be dropped before\n\
         -- (`pipeline views` makes them again), and a value that does not fit fails it.\n\
         {alter} ALTER COLUMN {name} TYPE {kind} USING {name}::{kind};\n"
    )
}

fn change_key(entity: &Entity, alter: &str, found: Option<&str>) -> String {
    let mut sql = String::new();
    if let Some(name) = found {
        let _ = writeln!(sql, "{alter} DROP CONSTRAINT {};", ident(name));
    }
    if let Some(key) = key_columns(entity) {
        let _ = write!(
            sql,
            "-- Fails, and changes nothing, where two rows of a batch have the same key.\n\
             {alter} ADD PRIMARY KEY ({});\n",
            idents(&key)
        );
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Index, PgType};
    use crate::warehouse::testing::{column, entity, project};

    #[tokio::test]
    async fn a_migration_is_written_for_what_is_lacking_and_for_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let mut visits = entity(
            "visits",
            vec![
                column("id", PgType::Text, false),
                column("note", PgType::Varchar(Some(5)), true),
                column("old", PgType::Text, true),
            ],
        );
        visits.key = vec!["id".to_owned()];
        visits.description = Some("A visit's row.".to_owned());
        let path = migration_new(&project(root.path(), vec![visits.clone()]), root.path(), "visits")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(path, Path::new("migrations/V1__visits.sql"));
        assert_eq!(
            migration_new(&project(root.path(), vec![visits.clone()]), root.path(), "x")
                .await
                .unwrap(),
            None
        );

        visits.columns[1] = column("note", PgType::Text, false);
        visits.columns[2] = column("ward", PgType::Int4, false);
        visits.columns[2].description = Some("Where it's been.".to_owned());
        visits.indexes = vec![Index {
            columns: vec!["ward".to_owned()],
        }];
        let wanted = project(root.path(), vec![visits.clone()]);
        let path = migration_new(&wanted, root.path(), "ward").await.unwrap().unwrap();
        let text = std::fs::read_to_string(root.path().join(path)).unwrap();
        insta::assert_snapshot!(text, @r#"
        -- Written by `pipeline migration new` from pipeline.yaml. Read it before it runs.

        -- From character varying(5). May rewrite every partition while nobody can read; views on the column must be dropped before
        -- (`pipeline views` makes them again), and a value that does not fit fails it.
        ALTER TABLE public."visits" ALTER COLUMN "note" TYPE text USING "note"::text;
        -- Fails, and changes nothing, where a row has a null there.
        ALTER TABLE public."visits" ALTER COLUMN "note" SET NOT NULL;
        ALTER TABLE public."visits" ADD COLUMN "ward" integer;
        -- Rows loaded before have no value there: where there are any, fill them in here by an UPDATE, else the
        -- next statement fails and nothing is changed.
        ALTER TABLE public."visits" ALTER COLUMN "ward" SET NOT NULL;
        COMMENT ON COLUMN public."visits"."ward" IS 'Where it''s been.';
        -- WARNING: pipeline.yaml has no column visits.old. This would lose its values of all batches:
        -- ALTER TABLE public."visits" DROP COLUMN "old";
        CREATE INDEX ON public."visits" ("ward");
        "#);
    }
}
