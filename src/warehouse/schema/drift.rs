//! Compares the contract with the catalog. A run starts with this check. It reports all differences at once, each
//! with its table, its column and its place in `pipeline.yaml`, and changes nothing.

use std::fmt::Write as _;

use super::catalog::{self, PrimaryKey, Table};
use super::ddl;
use crate::error::{Code, Diagnostic, Error, Location, Result};
use crate::model::{Column, Entity, Index, Project};
use crate::warehouse::connect::Warehouse;
use crate::warehouse::sql::{db_error, ident};

/// Fails with all differences between the entities' contracts and the tables in `public`. Sends one query.
pub async fn check(warehouse: &Warehouse, project: &Project) -> Result<()> {
    let names: Vec<&str> = project.entities.iter().map(|entity| entity.name.as_str()).collect();
    let tables = catalog::tables(&*warehouse.acquire().await?, Some(&names)).await?;
    let mut diagnostics = Vec::new();
    for entity in &project.entities {
        let table = tables.iter().find(|table| table.name == entity.name);
        diagnostics.extend(
            differences(entity, table)
                .iter()
                .map(|difference| difference.diagnostic(entity)),
        );
    }
    if diagnostics.is_empty() {
        return Ok(());
    }
    let places = match diagnostics.len() {
        1 => "one place".to_owned(),
        count => format!("{count} places"),
    };
    Err(Error::project(format!(
        "the tables in {} differ from pipeline.yaml in {places}",
        warehouse.describe()
    ))
    .code(Code::TablesDiffer)
    .diagnostics(diagnostics)
    .hint("run `pipeline migrate`; where no migration makes the change yet, `pipeline migration new` writes one"))
}

/// Makes the tables and columns that the contract has and no migration has made, so that what reads them is not reported
/// as well. Where a column is lacking and another is too many, it seems to be renamed: all that reads the old name then
/// fails. For an empty database.
pub async fn follow_contract(warehouse: &Warehouse, project: &Project) -> Result<()> {
    let connection = warehouse.acquire().await?;
    let names: Vec<&str> = project.entities.iter().map(|entity| entity.name.as_str()).collect();
    let tables = catalog::tables(&connection, Some(&names)).await?;
    let mut sql = String::new();
    for entity in &project.entities {
        let table = tables.iter().find(|table| table.name == entity.name);
        let found = differences(entity, table);
        if table.is_none() {
            let _ = writeln!(sql, "{}", ddl::create_table(entity));
        }
        let mut lacking = found.iter().filter_map(|one| match one {
            Difference::MissingColumn(column) => Some(format!(
                "ADD COLUMN {} {}",
                ident(&column.name),
                ddl::type_name(column.pg_type)
            )),
            _ => None,
        });
        let extra = found.iter().filter_map(|one| match one {
            Difference::ExtraColumn(name) => Some(format!("DROP COLUMN {}", ident(name))),
            _ => None,
        });
        if let Some(first) = lacking.next() {
            let changes: Vec<String> = [first].into_iter().chain(extra).chain(lacking).collect();
            let _ = writeln!(sql, "ALTER TABLE {} {};", ddl::public(&entity.name), changes.join(", "));
        }
    }
    let made = connection.batch_execute(&sql).await;
    made.map_err(|error| db_error("the tables can't be given the columns of pipeline.yaml", &error))
}

/// One difference between an entity's contract and its table.
#[derive(Debug, Clone)]
pub(super) enum Difference<'a> {
    MissingTable,
    NotPartitioned,
    MissingColumn(&'a Column),
    /// One of the two columns by which all tables are partitioned.
    MissingPartitionColumn(&'static str),
    ExtraColumn(String),
    Type {
        column: Named<'a>,
        found: String,
    },
    Nullability {
        column: Named<'a>,
        found_nullable: bool,
    },
    Key {
        found: Option<PrimaryKey>,
    },
    MissingIndex(&'a Index),
    ExtraIndex {
        name: String,
        columns: Vec<String>,
    },
    OtherConstraint(String),
}

/// A column that the table should have: declared in the contract, or a partition column.
#[derive(Debug, Clone)]
pub(super) struct Named<'a> {
    pub name: &'a str,
    pub data_type: String,
    pub declared: Option<&'a Column>,
}

pub(super) fn differences<'a>(entity: &'a Entity, table: Option<&Table>) -> Vec<Difference<'a>> {
    let Some(table) = table else {
        return vec![Difference::MissingTable];
    };
    let mut found = Vec::new();
    if table.partition_key.as_deref() != Some("LIST (source)") {
        found.push(Difference::NotPartitioned);
    }
    compare_columns(entity, table, &mut found);
    let key = ddl::key_columns(entity);
    if table.primary_key.as_ref().map(|found| found.columns.as_slice()) != key.as_deref() {
        found.push(Difference::Key {
            found: table.primary_key.clone(),
        });
    }
    for index in &entity.indexes {
        if !table
            .indexes
            .iter()
            .any(|found| found.plain && found.columns == index.columns)
        {
            found.push(Difference::MissingIndex(index));
        }
    }
    for index in &table.indexes {
        if !index.plain {
            // A contract can't declare this index, so staging tables lack it. ATTACH then builds it while the swap
            // holds its locks.
            tracing::debug!(
                table = table.name,
                index = index.name,
                "an index that pipeline.yaml can't express"
            );
        } else if !entity.indexes.iter().any(|declared| declared.columns == index.columns) {
            found.push(Difference::ExtraIndex {
                name: index.name.clone(),
                columns: index.columns.clone(),
            });
        }
    }
    found.extend(table.other_constraints.iter().cloned().map(Difference::OtherConstraint));
    found
}

fn compare_columns<'a>(entity: &'a Entity, table: &Table, found: &mut Vec<Difference<'a>>) {
    let declared = entity.columns.iter().map(|column| {
        let named = Named {
            name: &column.name,
            data_type: ddl::type_name(column.pg_type),
            declared: Some(column),
        };
        (named, column.nullable)
    });
    let own = ddl::PARTITION_COLUMNS.iter().map(|(name, data_type)| {
        (
            Named {
                name,
                data_type: (*data_type).to_owned(),
                declared: None,
            },
            false,
        )
    });
    for (column, nullable) in declared.chain(own) {
        let Some(there) = table.columns.iter().find(|there| there.name == column.name) else {
            let own = ddl::PARTITION_COLUMNS.iter().find(|(name, _)| *name == column.name);
            found.push(match (column.declared, own) {
                (Some(declared), _) => Difference::MissingColumn(declared),
                (None, own) => Difference::MissingPartitionColumn(own.map_or("source", |(name, _)| name)),
            });
            continue;
        };
        if there.data_type != column.data_type {
            found.push(Difference::Type {
                column: column.clone(),
                found: there.data_type.clone(),
            });
        }
        if there.nullable != nullable {
            found.push(Difference::Nullability {
                column,
                found_nullable: there.nullable,
            });
        }
    }
    for there in &table.columns {
        let is_own = ddl::PARTITION_COLUMNS.iter().any(|(name, _)| *name == there.name);
        if !is_own && !entity.columns.iter().any(|column| column.name == there.name) {
            found.push(Difference::ExtraColumn(there.name.clone()));
        }
    }
}

impl Difference<'_> {
    fn diagnostic(&self, entity: &Entity) -> Diagnostic {
        Diagnostic {
            message: self.message(&entity.name),
            location: Some(self.location(entity)),
            hint: None,
        }
    }

    fn location(&self, entity: &Entity) -> Location {
        let column = match self {
            Self::MissingColumn(column) => Some(*column),
            Self::Type { column, .. } | Self::Nullability { column, .. } => column.declared,
            _ => None,
        };
        column.map_or(&entity.location, |column| &column.location).clone()
    }

    pub(super) fn message(&self, table: &str) -> String {
        let list = |columns: &[String]| columns.join(", ");
        match self {
            Self::MissingTable => format!("the table {table} is not there"),
            Self::NotPartitioned => format!("the table {table} is not partitioned by LIST (source)"),
            Self::MissingColumn(column) => format!("the table {table} lacks the column {}", column.name),
            Self::MissingPartitionColumn(name) => format!("the table {table} lacks the column {name}"),
            Self::ExtraColumn(name) => format!("the table {table} has the column {name}, which pipeline.yaml has not"),
            Self::Type { column, found } => {
                format!(
                    "the column {table}.{} is {found}, and should be {}",
                    column.name, column.data_type
                )
            }
            Self::Nullability {
                column,
                found_nullable: true,
            } => {
                format!("the column {table}.{} takes nulls, and should not", column.name)
            }
            Self::Nullability { column, .. } => {
                format!("the column {table}.{} is NOT NULL, and should not be", column.name)
            }
            Self::Key { found: None } => format!("the table {table} has no primary key, and should have one"),
            Self::Key { found: Some(found) } => {
                format!(
                    "the primary key of {table} is ({}), and should be another or none",
                    list(&found.columns)
                )
            }
            Self::MissingIndex(index) => format!("the table {table} lacks an index on ({})", list(&index.columns)),
            Self::ExtraIndex { name, columns } => {
                format!(
                    "the table {table} has the index {name} on ({}), which pipeline.yaml has not",
                    list(columns)
                )
            }
            Self::OtherConstraint(name) => {
                format!("the table {table} has the constraint {name}, which pipeline.yaml can't express")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PgType;
    use crate::warehouse::testing::{both, column, entity, project};

    #[tokio::test]
    async fn every_difference_is_told_at_once() {
        let mut visits = entity(
            "visits",
            vec![
                column("id", PgType::Text, false),
                column("note", PgType::Varchar(Some(10)), true),
                column("gone", PgType::Uuid, true),
                column("day", PgType::Date, true),
            ],
        );
        visits.key = vec!["id".to_owned()];
        visits.indexes = vec![Index {
            columns: vec!["day".to_owned(), "id".to_owned()],
        }];
        let project = project(std::path::Path::new("/p"), vec![visits, entity("other", vec![])]);
        for warehouse in both().await {
            let sql = "
                CREATE TABLE visits (id text, note varchar(9), day date NOT NULL, extra int, source text NOT NULL);
                CREATE INDEX visits_day ON visits (day);
                CREATE INDEX ON visits (day DESC, id);
                CREATE INDEX ON visits (lower(note));
                ALTER TABLE visits ADD CONSTRAINT long CHECK (length(note) > 1);
            ";
            warehouse
                .acquire_as_user()
                .await
                .unwrap()
                .batch_execute(sql)
                .await
                .unwrap();
            let error = check(&warehouse, &project).await.unwrap_err();
            let messages: Vec<&str> = error.diagnostics.iter().map(|d| d.message.as_str()).collect();
            assert_eq!(
                messages,
                [
                    "the table visits is not partitioned by LIST (source)",
                    "the column visits.id takes nulls, and should not",
                    "the column visits.note is character varying(9), and should be character varying(10)",
                    "the table visits lacks the column gone",
                    "the column visits.day is NOT NULL, and should not be",
                    "the table visits lacks the column batch_date",
                    "the table visits has the column extra, which pipeline.yaml has not",
                    "the table visits has no primary key, and should have one",
                    "the table visits lacks an index on (day, id)",
                    "the table visits has the index visits_day on (day), which pipeline.yaml has not",
                    "the table visits has the constraint long, which pipeline.yaml can't express",
                    "the table other is not there",
                ]
            );
            assert!(
                error.message.ends_with("differ from pipeline.yaml in 12 places"),
                "{}",
                error.message
            );
        }
    }
}
