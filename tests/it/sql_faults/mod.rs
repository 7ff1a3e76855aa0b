//! The ways in which SQL can lose, repeat, orphan or reveal rows. Each fault must be detected. A similar but correct
//! transform must load.
//!
//! | # | class | what goes wrong | what detects it |
//! |---|---|---|---|
//! | 1 | inner join | rows without a partner are lost | `conserves` |
//! | 2 | WHERE on a null | `<>` is not true for a null, so the row is lost | `conserves` |
//! | 3 | WHERE after an outer join | the outer join becomes an inner join | `conserves` |
//! | 4 | NOT IN with a null | all rows are lost | `conserves` |
//! | 5 | EXISTS, semi join | rows without children are lost | `conserves` |
//! | 6 | UNNEST of null or empty | a parent that is made from its children is lost if it has none | `conserves` |
//! | 7 | first element of a list | the other elements are lost | `conserves` |
//! | 8 | LIMIT, OFFSET | the rows outside of the range are lost | `conserves` |
//! | 9 | DISTINCT | rows that are rightly equal become one | `conserves` |
//! | 10 | GROUP BY | rows that are rightly equal become one | `conserves` |
//! | 11 | an aggregate over all | one row is left | `conserves` |
//! | 12 | UNION | removes repeated rows | `conserves` |
//! | 13 | EXCEPT, INTERSECT | remove repeated rows | `conserves` |
//! | 14 | row_number() = 1 | keeps only one of several correct rows | `conserves` |
//! | 15 | a filter on the batch's date | late records are lost | `conserves` |
//! | 16 | removing duplicates of parents only | a patient is lost and its visits stay | `conserves` |
//! | 17 | cross join | every row is repeated | `conserves`, the key |
//! | 18 | join on columns that are not a key | rows are repeated | `conserves`, the key |
//! | 19 | two UNNESTs, one after the other | every pair becomes a row | `conserves`, the key |
//! | 20 | branches of UNION ALL that overlap | rows are repeated | `conserves`, the key |
//! | 21 | a key that is null | the row can't be found again | the key, `not_null` |
//! | 22 | a key twice in one record | it is unclear which row is right | the key |
//! | 23 | a key twice in two records | it is unclear which row is right | the key; rows below the second go, too |
//! | 24 | a key cut short or folded | different rows get the same key | the key |
//! | 25 | an orphan | a row has no parent | `relationships` |
//! | 26 | a refused row's children | they have no parent | the contract's `parent` |
//! | 27 | a cast or parse that gives null | the value is lost | `nullable: false`, `not_null` |
//! | 28 | NULLIF and the like in a nullable column | the value is lost | `not_null` |
//! | 29 | an impossible value | for example a date in the wrong century | `range`, `expression`, `accepted_values` |
//! | 30 | random values and the clock | a repeated run loads other rows | refused when planned |
//! | 31 | columns of the engine | rows get into another batch | refused when planned |
//! | 32 | another table or file | shows data that was not masked | refused when planned |
//! | 33 | COPY, DDL, SET, DML | can change anything | refused when planned |
//! | 34 | several statements | can change anything | refused when planned |
//! | 35 | a column twice, or not at all | the wrong column is used | refused when planned |
//! | 36 | a type that narrows | digits are lost | refused when planned |
//! | 37 | an undeclared field | shows data that was not masked | refused when planned |
//! | 38 | a masked field | shows the original value | masks are applied before all SQL |
//! | 39 | a value in an error | shows the value | errors hold none |
//! | 40 | a check that selects values | shows the values | rows are counted and never read |
//! | 41 | a check that writes, or has more statements | can change anything | one statement, read-only |
//! | 42 | a view of quarantine or partition | shows hidden data, pins the partition | refused by `pipeline views` |
//! | 43 | a view of several statements | can change anything | refused by `pipeline views` |
//! | 44 | a view whose join repeats rows | wrong sums | a materialized view's `-- unique:` |
//! | 45 | a transform whose file is missing | all rows of its entity are lost | `conserves` |
//!
//! Some faults can't be detected, because no count and no rule distinguishes them from what the user wants. The end of
//! `docs/explanation/quality.md` lists them. The last test in `outside` checks that list.
mod count;
mod forbidden;
mod outside;
mod values;

use serde_json::{Value, json};

use crate::harness::{Database, Outcome, Project};

/// How a fault is detected.
enum Caught {
    /// The project is refused before any input is read. The message contains this text.
    Planned(&'static str),
    /// The batch fails and the old rows stay. The message contains this text.
    Failed(&'static str),
    /// The batch loads without some rows: `entity|check|number of rows`.
    Refused(&'static [&'static str]),
}
use Caught::{Failed, Planned, Refused};

struct Case {
    /// The class in the list above.
    class: u8,
    /// The entity whose transform is faulty.
    entity: &'static str,
    fault: &'static str,
    caught: Caught,
    /// A similar transform that is correct and loads every row.
    neighbour: &'static str,
}

const fn case(class: u8, entity: &'static str, fault: &'static str, caught: Caught, neighbour: &'static str) -> Case {
    Case {
        class,
        entity,
        fault,
        caught,
        neighbour,
    }
}

/// The correct rows of each entity, by its name. The faulty transforms are built on them.
const ROWS: &str = "with visit as (select patient_id, unnest(visits) as item from source),
diagnosis as (select item['visit_id'] as visit_id, item['date'] as visit_date, unnest(item['diagnoses']) as item from visit),
treatment as (select visit_id, visit_date, item['code'] as code, unnest(item['treatments']) as item from diagnosis),
patients as (select patient_id, name from source),
visits as (select patient_id, item['visit_id'] as visit_id, item['date'] as visit_date,
    item['provider_notes']['text'] as provider_notes_text, item['provider_notes']['author'] as provider_notes_author from visit),
diagnoses as (select visit_id, visit_date, item['code'] as diagnosis_code, item['description'] as diagnosis_description from diagnosis),
treatments as (select visit_id, visit_date, code as diagnosis_code, item['drug'] as treatments_drug, item['dose'] as treatments_dose from treatment)
";
const ENTITIES: [&str; 4] = ["patients", "visits", "diagnoses", "treatments"];
/// A value in the data that must never appear in a message.
const SECRET: &str = "Zaverdyne";

/// Three rows of each entity. One treatment is repeated and one has no drug. One visit is of the day before and has no
/// diagnoses. One patient has no name and no visit, and two patients have the same name.
fn records() -> Value {
    let e11 = |treatments: Value| json!({"code": "E11", "description": "Diabetes", "treatments": treatments});
    let metformin = json!({"drug": "Metformin", "dose": "1"});
    json!([
        {"patient_id": "P-1", "name": SECRET, "visits": [
            {"visit_id": "V-1", "date": "2023-05-01", "provider_notes": {"text": SECRET, "author": SECRET},
             "diagnoses": [e11(json!([metformin, metformin])), {"code": "I10", "treatments": []}]},
            {"visit_id": "V-2", "date": "2023-04-30", "diagnoses": null}]},
        {"patient_id": "P-2", "name": null, "visits": []},
        {"patient_id": "P-3", "name": SECRET, "visits": [
            {"visit_id": "V-3", "date": "2023-05-01", "diagnoses": [e11(json!([{"drug": null, "dose": "2"}]))]}]},
    ])
}

/// A project with every check that it can have, and with its correct rows loaded.
struct Guarded {
    database: Database,
    project: Project,
}

impl Guarded {
    fn new() -> Self {
        let database = Database::fresh();
        let project = Project::of_repository().in_clear().on(&database);
        for unused in [
            "pipelines/source_b.yaml",
            "sql/source_b",
            "sql/views",
            "sql/materialized",
            "sql/functions",
        ] {
            project.remove(unused);
        }
        for (entity, checks) in [
            (
                "visits",
                "- relationships: {entity: patients}\n      - range: {column: visit_date, min: 1900-01-01, max: 2100-01-01}",
            ),
            ("diagnoses", "- relationships: {entity: visits}"),
            (
                "treatments",
                "- relationships: {entity: diagnoses}\n      - not_null: treatments_dose",
            ),
        ] {
            let with_checks = format!("\n  {entity}:\n    checks:\n      {checks}\n");
            project.edit("pipeline.yaml", &format!("\n  {entity}:\n"), &with_checks);
        }
        // The source itself declares what it conserves.
        let tolerant = "max_quarantined: 100%\ntransforms:";
        project.edit("pipelines/source_a.yaml", "transforms:", tolerant);
        project.input("source_a", "20230501", records().to_string());
        for entity in ENTITIES {
            project.write(&path(entity), transform(&format!("select * from {entity}")));
        }
        project.run(&["migrate"]).code(0);
        let guarded = Self { database, project };
        guarded.run().code(0);
        guarded
    }

    fn run(&self) -> Outcome {
        self.project
            .run(&["run", "--source", "a", "--date", "2023-05-01", "-v"])
            .output_lacks(SECRET)
    }

    fn counts(&self) -> [usize; 4] {
        ENTITIES.map(|entity| self.database.count(entity))
    }

    /// What the last run refused.
    fn refused(&self) -> Vec<String> {
        self.database.rows(
            "select entity, check_name, count(*) from pipeline.quarantine
             where run_id = (select max(run_id) from pipeline.runs) group by 1, 2 order by 1, 2",
        )
    }

    /// Tests that the fault is detected and that the similar, correct transform then loads.
    fn holds(&self, case: &Case) {
        let Case {
            class,
            entity,
            fault,
            caught,
            neighbour,
        } = case;
        let before = self.database.content();
        self.project.write(&path(entity), transform(fault));
        let outcome = self.run();
        let what = format!("class {class}: {fault}");
        match caught {
            Planned(message) | Failed(message) => {
                let code = if matches!(caught, Planned(_)) { 2 } else { 1 };
                assert_eq!(outcome.exit(), Some(code), "{what}: {}", outcome.stderr);
                assert!(outcome.stderr.contains(message), "{what}: {}", outcome.stderr);
                assert_eq!(self.database.content(), before, "{what}: the old content stands");
            }
            Refused(refused) => {
                assert_eq!(outcome.exit(), Some(0), "{what}: {}", outcome.stderr);
                assert_eq!(self.refused(), *refused, "{what}");
            }
        }
        let honest = transform(&format!("select * from {entity}"));
        // In this case the correct transform has already been loaded.
        if !(matches!(caught, Planned(_)) && transform(neighbour) == honest) {
            self.project.write(&path(entity), transform(neighbour));
            let outcome = self.run();
            let what = format!("beside class {class}: {neighbour}");
            assert_eq!(outcome.exit(), Some(0), "{what}: {}", outcome.stderr);
            assert_eq!(self.counts(), [3; 4], "{what}");
            assert_eq!(self.refused(), [""; 0], "{what}");
        }
        self.project.write(&path(entity), honest);
    }

    fn all_hold(cases: &[Case]) {
        let guarded = Self::new();
        for case in cases {
            guarded.holds(case);
        }
    }
}

fn path(entity: &str) -> String {
    format!("sql/source_a/{entity}.sql")
}

/// The statement on the correct rows. A text that is not a SELECT is used unchanged.
fn transform(sql: &str) -> String {
    if sql.starts_with("select") {
        format!("{ROWS}{sql}\n")
    } else {
        format!("{sql}\n")
    }
}
