//! The smallest project: one source `clinic` and one entity `items`. Each test changes only the part that it tests.
use std::fmt::Write;

use super::{Database, Outcome, Project};

pub struct Small {
    input: String,
    schema: String,
    columns: Vec<(String, String)>,
    key: bool,
    sql: String,
    rest: String,
    malformed: Option<&'static str>,
}

pub const DATE: &str = "2023-05-01";
/// Runs the batch of the one date and the batch of the next day.
pub const RUN_TWO_DAYS: [&str; 7] = ["run", "--source", "clinic", "--start", DATE, "--end", "2023-05-02"];

impl Small {
    pub fn new() -> Self {
        Self {
            input: "path: in/{date:%Y-%m-%d}.json".into(),
            schema: "id: {type: string, required: true}\nn: bigint".into(),
            columns: vec![("item_id".into(), "text".into()), ("n".into(), "int8".into())],
            key: true,
            sql: "select id as item_id, n from source\n".into(),
            rest: String::new(),
            malformed: None,
        }
    }

    /// Refuses bad records, which is the program's default. Without this, a bad record fails its batch.
    pub fn quarantine(mut self) -> Self {
        self.malformed = Some("quarantine");
        self
    }

    /// Sets the lines below `input:`.
    pub fn input(mut self, lines: &str) -> Self {
        self.input = lines.into();
        self
    }

    /// Sets the lines below `schema:`.
    pub fn schema(mut self, lines: &str) -> Self {
        self.schema = lines.into();
        self
    }

    /// Sets the columns and their types, instead of `item_id` and `n`. The entity then has no key.
    pub fn columns(mut self, columns: &[(&str, &str)]) -> Self {
        self.columns = columns
            .iter()
            .map(|(name, kind)| ((*name).into(), (*kind).into()))
            .collect();
        self.key = false;
        self
    }

    pub fn sql(mut self, sql: &str) -> Self {
        self.sql = format!("{sql}\n");
        self
    }

    /// Adds top-level lines to the source.
    pub fn rest(mut self, lines: &str) -> Self {
        self.rest = format!("{lines}\n");
        self
    }

    pub fn project(&self) -> Project {
        self.written(self.malformed)
    }

    fn written(&self, malformed: Option<&str>) -> Project {
        let malformed = malformed.map_or_else(String::new, |choice| format!("  on_malformed: {choice}\n"));
        let keyed = |name: &str| self.key && name == "item_id";
        let mut columns = String::new();
        let mut ddl = String::new();
        for (name, kind) in &self.columns {
            let (declared, made) = if keyed(name) {
                (", nullable: false", " not null")
            } else {
                ("", "")
            };
            writeln!(columns, "      {name}: {{type: \"{kind}\"{declared}}}").unwrap();
            writeln!(ddl, "  {name} {kind}{made},").unwrap();
        }
        let (key, primary) = if self.key {
            ("    key: [item_id]\n", ",\n  primary key (item_id, source, batch_date)")
        } else {
            ("", "")
        };
        Project::new()
            .file("pipeline.yaml", format!("name: small\nentities:\n  items:\n    columns:\n{columns}{key}"))
            .file(
                "pipelines/clinic.yaml",
                format!(
                    "name: clinic\ninput:\n{}{malformed}schema:\n{}{}",
                    indented(&self.input),
                    indented(&self.schema),
                    self.rest
                ),
            )
            .file("sql/clinic/items.sql", &self.sql)
            .file(
                "migrations/V1__items.sql",
                format!(
                    "create table items (\n{ddl}  source text not null,\n  batch_date date not null{primary}\n) partition by list (source);\n"
                ),
            )
    }

    /// The project on its own, migrated database. A bad record fails its batch unless `quarantine` was called.
    pub fn on_server(&self) -> (Database, Project) {
        let database = Database::fresh();
        let project = self.written(self.malformed.or(Some("fail"))).on(&database);
        project.run(&["migrate"]).code(0);
        (database, project)
    }
}

fn indented(lines: &str) -> String {
    lines
        .lines()
        .fold(String::new(), |text, line| text + "  " + line + "\n")
}

impl Project {
    /// Writes the input for the one date that tests of the small project use.
    #[must_use]
    pub fn json(self, contents: impl AsRef<[u8]>) -> Self {
        self.file(&format!("in/{DATE}.json"), contents)
    }

    /// Runs the one batch that tests of the small project use.
    pub fn run_clinic(&self) -> Outcome {
        self.run(&["run", "--source", "clinic", "--date", DATE])
    }
}
