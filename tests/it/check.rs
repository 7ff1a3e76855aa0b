//! Tests of `pipeline check`: a renamed column is reported wherever something breaks, and `--watch` checks again when a
//! file is saved.
use std::fmt::Write as _;

use healthcare_insights::check;

use crate::harness::{Project, until};

const CONTRACT: &str = "\
name: p
entities:
  patients:
    columns:
      patient_id: {type: text, nullable: false}
      name: text
    key: [patient_id]
  visits:
    columns:
      patient_id: {type: text, nullable: false}
      visit_id: {type: text, nullable: false}
      day: date
    key: [visit_id]
    parent: patients
    indexes: [[day]]
    checks:
      - relationships: {entity: patients, columns: [patient_id]}
      - freshness: {column: day, days: 400}
";
const SOURCE: &str = "\
name: clinic
input: {path: \"in/{date}.json\"}
schema:
  patient_id: {type: string, required: true}
  name: string
  visits: {list: {visit_id: {type: string, required: true}, day: date}}
subject: patient_id
conserves: {visits: \"visits[]\"}
";
const VISITS: &str = "\
with v as (select patient_id, unnest(visits) as visit from source)
select patient_id, visit['visit_id'] as visit_id, visit['day'] as day from v
";
const CASES: &str = "\
tests:
  - name: a visit
    date: 2023-05-02
    records:
      - {patient_id: P, visits: [{visit_id: V, day: 2023-05-01}]}
    rows:
      visits:
        - {visit_id: V, day: 2023-05-01}
";
const TABLES: &str = "\
create table patients (
  patient_id text not null, name text, source text not null, batch_date date not null,
  primary key (patient_id, source, batch_date)
) partition by list (source);
create table visits (
  patient_id text not null, visit_id text not null, day date, source text not null, batch_date date not null,
  primary key (visit_id, source, batch_date)
) partition by list (source);
create index on visits (day);
";

fn project() -> Project {
    Project::new()
        .file("pipeline.yaml", CONTRACT)
        .file("pipelines/clinic.yaml", SOURCE)
        .file("sql/clinic/patients.sql", "select patient_id, name from source\n")
        .file("sql/clinic/visits.sql", VISITS)
        .file("sql/clinic/tests/visits.yaml", CASES)
        .file(
            "sql/views/visits_per_day.sql",
            "select day, count(*) as visits\nfrom visits group by day\n",
        )
        .file(
            "sql/views/busy_days.sql",
            "select day from visits_per_day where visits > 10\n",
        )
        .file(
            "sql/checks/no_future.sql",
            "select visit_id\nfrom visits where day > batch_date\n",
        )
        .file(
            "sql/checks/visitors.sql",
            "select patient_id from visits where patient_id = ''\n",
        )
        .file("migrations/V1__tables.sql", TABLES)
}

fn checked(project: &Project) -> Result<usize, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    match runtime.block_on(check::check(&project.path(""))) {
        Ok((_, checked)) => Ok(checked.transforms),
        Err(error) => {
            let mut text = String::new();
            for problem in &error.diagnostics {
                let place = problem.location.as_ref().expect("a place");
                let (file, line, column) = (place.file.display(), place.line, place.column);
                writeln!(text, "{file}:{line}:{column} {}", problem.message).unwrap();
            }
            Err(text)
        }
    }
}

/// Every place that breaks when a text of a file is replaced.
fn broken(path: &str, old: &str, new: &str) -> String {
    let project = project();
    project.edit(path, old, new);
    checked(&project).expect_err("something breaks")
}

#[test]
fn the_project_is_right_before_anything_is_renamed() {
    assert_eq!(checked(&project()), Ok(2));
}

#[test]
fn a_column_renamed_in_the_contract_is_reported_everywhere() {
    insta::assert_snapshot!(broken("pipeline.yaml", "      day: date", "      visit_day: date"), @r#"
    pipeline.yaml:15:16 `visits` has no column `day`
    pipeline.yaml:18:29 `visits` has no column `day`
    sql/clinic/tests/visits.yaml:8:25 visits has no column `day`
    sql/clinic/visits.sql:2:51 column `day` is not one of visits
    sql/clinic/visits.sql:2:1 column `visit_day` (date) of visits is missing
    pipeline.yaml:12:7 the table visits lacks the column visit_day
    pipeline.yaml:8:3 the table visits has the column day, which pipeline.yaml has not
    sql/views/visits_per_day.sql:1:8 column "day" does not exist (42703)
    sql/checks/no_future.sql:2:19 column "day" does not exist (42703)
    "#);
}

#[test]
fn a_key_renamed_in_the_contract_is_reported_everywhere() {
    let old = "columns:\n      patient_id: {type: text, nullable: false}\n      name";
    insta::assert_snapshot!(broken("pipeline.yaml", old, &old.replace("patient_id", "person_id")), @r"
    pipeline.yaml:7:11 `patients` has no column `patient_id`
    pipeline.yaml:17:33 `patients` has no column `patient_id`
    sql/clinic/patients.sql:1:8 column `patient_id` is not one of patients
    sql/clinic/patients.sql:1:1 column `person_id` (text) of patients is missing
    pipeline.yaml:5:7 the table patients lacks the column person_id
    pipeline.yaml:3:3 the table patients has the column patient_id, which pipeline.yaml has not
    ");
}

#[test]
fn a_column_renamed_in_a_migration() {
    insta::assert_snapshot!(broken("migrations/V1__tables.sql", "visit_id text not null, day date", "visit_id text not null, visit_day date"), @r"
    migrations/V1__tables.sql:9:25 undefined column (42703)
    ");
}

#[test]
fn a_column_renamed_by_a_further_migration() {
    let project = project().file(
        "migrations/V2__rename.sql",
        "alter table visits rename day to visit_day;\n",
    );
    insta::assert_snapshot!(checked(&project).unwrap_err(), @r"
    pipeline.yaml:12:7 the table visits lacks the column day
    pipeline.yaml:8:3 the table visits has the column visit_day, which pipeline.yaml has not
    pipeline.yaml:8:3 the table visits lacks an index on (day)
    pipeline.yaml:8:3 the table visits has the index visits_day_idx on (visit_day), which pipeline.yaml has not
    ");
}

#[test]
fn a_column_renamed_in_a_transform() {
    insta::assert_snapshot!(broken("sql/clinic/visits.sql", "as day", "as visit_day"), @r"
    sql/clinic/visits.sql:2:51 column `visit_day` is not one of visits
    sql/clinic/visits.sql:2:1 column `day` (date) of visits is missing
    ");
}

#[test]
fn a_field_renamed_in_the_source() {
    insta::assert_snapshot!(broken("pipelines/clinic.yaml", "  patient_id: {", "  person_id: {"), @r"
    pipelines/clinic.yaml:1:7 the subject `patient_id` is no field of clinic
    sql/clinic/tests/visits.yaml:5:10 the source declares no field `patient_id` here
    sql/clinic/patients.sql:1:8 column 'patient_id' not found
    sql/clinic/visits.sql:1:19 column 'patient_id' not found
    ");
    insta::assert_snapshot!(broken("pipelines/clinic.yaml", "  visits: {", "  stays: {"), @r"
    pipelines/clinic.yaml:8:21 the schema has no field `visits`
    sql/clinic/tests/visits.yaml:5:25 the source declares no field `visits` here
    sql/clinic/visits.sql:1:38 column 'visits' not found
    ");
}

#[test]
fn a_column_renamed_in_a_view() {
    insta::assert_snapshot!(broken("sql/views/visits_per_day.sql", "select day,", "select day as visit_day,"), @r#"
    sql/views/busy_days.sql:1:8 column "day" does not exist (42703)
    "#);
}

#[test]
fn a_column_renamed_in_checks_of_the_contract_and_of_sql() {
    insta::assert_snapshot!(broken("pipeline.yaml", "columns: [patient_id]}", "columns: [person_id]}"), @r"
    pipeline.yaml:17:33 `patients` has no column `person_id`
    pipeline.yaml:17:53 `visits` has no column `person_id`
    ");
    let project = project();
    project.edit("sql/checks/no_future.sql", "day >", "visit_day >");
    project.edit("sql/checks/visitors.sql", "patient_id =", "person_id =");
    insta::assert_snapshot!(checked(&project).unwrap_err(), @r#"
    sql/checks/no_future.sql:2:19 column "visit_day" does not exist (42703)
    sql/checks/visitors.sql:1:37 column "person_id" does not exist (42703)
    "#);
}

/// Engines report the first name of a text that they do not know. All of them are told.
#[test]
fn a_name_that_is_used_often_is_reported_each_time() {
    let project = project()
        .file(
            "sql/views/visits_per_day.sql",
            "select v.day, count(*) filter (where day is null) as visits -- day\nfrom visits v\nwhere v.day > '2000-01-01'\n\
             group by v.day\norder by v.day\n",
        )
        .file(
            "sql/functions/days.sql",
            "create function days() returns bigint language sql stable\nas $$ select count(day) from visits where day is not \
             null $$;\n",
        )
        .file(
            "sql/materialized/kept.sql",
            "-- index: day\nselect day, upper(day::text) as loud from visits\n",
        );
    project.edit("sql/checks/no_future.sql", "day >", "day is null and day >");
    project.edit(
        "pipeline.yaml",
        "      - freshness",
        "      - {expression: \"day > '2000-01-01'\", name: old}\n      - freshness",
    );
    assert_eq!(checked(&project), Ok(2));
    project.edit("pipeline.yaml", "      day: date", "      visit_day: date");
    insta::assert_snapshot!(checked(&project).unwrap_err(), @r#"
    pipeline.yaml:15:16 `visits` has no column `day`
    pipeline.yaml:19:29 `visits` has no column `day`
    sql/clinic/tests/visits.yaml:8:25 visits has no column `day`
    sql/clinic/visits.sql:2:51 column `day` is not one of visits
    sql/clinic/visits.sql:2:1 column `visit_day` (date) of visits is missing
    pipeline.yaml:18:10 the check `old` of visits can't be planned: column 'day' not found
    pipeline.yaml:12:7 the table visits lacks the column visit_day
    pipeline.yaml:8:3 the table visits has the column day, which pipeline.yaml has not
    sql/functions/days.sql:2:20 column "day" does not exist (42703)
    sql/functions/days.sql:2:43 column "day" does not exist (42703)
    sql/views/visits_per_day.sql:1:8 column v.day does not exist (42703)
    sql/views/visits_per_day.sql:1:38 column "day" does not exist (42703)
    sql/views/visits_per_day.sql:3:7 column v.day does not exist (42703)
    sql/views/visits_per_day.sql:4:10 column v.day does not exist (42703)
    sql/views/visits_per_day.sql:5:10 column v.day does not exist (42703)
    sql/materialized/kept.sql:2:8 column "day" does not exist (42703)
    sql/materialized/kept.sql:2:19 column "day" does not exist (42703)
    sql/checks/no_future.sql:2:19 column "day" does not exist (42703)
    sql/checks/no_future.sql:2:35 column "day" does not exist (42703)
    "#);
}

#[test]
fn a_field_that_is_used_often_is_reported_each_time() {
    let project = project();
    project.write(
        "sql/clinic/visits.sql",
        "with v as (\n    select patient_id, unnest(visits) as item from source\n)\nselect\n    patient_id, item['visit_id'] as \
         visit_id,\n    case when item['day'] = date '2000-01-01' then null else item.day end as day\nfrom v\nwhere v.item['day'] is \
         not null\n",
    );
    assert_eq!(checked(&project), Ok(2));
    project.edit("pipelines/clinic.yaml", "day: ", "on: ");
    insta::assert_snapshot!(checked(&project).unwrap_err(), @r"
    sql/clinic/tests/visits.yaml:5:48 the source declares no field `day` here
    sql/clinic/visits.sql:6:19 there is no field `day`
    sql/clinic/visits.sql:6:67 `item` has no field `day`
    sql/clinic/visits.sql:8:13 there is no field `day`
    ");
}

/// A remedy of a whole error is told with its problems.
#[test]
fn tables_that_differ_have_a_remedy_among_other_problems() {
    let project = project();
    project.edit("pipeline.yaml", "      day: date", "      visit_day: date");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(check::check(&project.path(""))).unwrap_err();
    let remedies: Vec<_> = error
        .diagnostics
        .iter()
        .filter_map(|problem| problem.hint.as_deref())
        .collect();
    assert!(
        remedies
            .iter()
            .any(|hint| hint.contains("`pipeline migration new` writes one")),
        "{remedies:?}"
    );
}

#[test]
fn a_column_renamed_in_a_test_case() {
    insta::assert_snapshot!(broken("sql/clinic/tests/visits.yaml", "visit_id: V, day: 2023-05-01}\n", "visit_id: V, visit_day: 2023-05-01}\n"), @r"
    sql/clinic/tests/visits.yaml:8:25 visits has no column `visit_day`
    ");
    insta::assert_snapshot!(broken("sql/clinic/tests/visits.yaml", "day: 2023-05-01}]", "visit_day: 2023-05-01}]"), @r"
    sql/clinic/tests/visits.yaml:5:48 the source declares no field `visit_day` here
    ");
}

/// What can't be read leaves placeholders, and what follows from them is not so.
#[test]
fn a_file_that_can_not_be_read_leaves_the_later_stages_out() {
    let project = project();
    project.edit("pipeline.yaml", "      day: date", "      day: dat");
    project.edit("sql/views/visits_per_day.sql", "select day,", "select nope,");
    insta::assert_snapshot!(checked(&project).unwrap_err(), @r"
    pipeline.yaml:12:12 `dat` is no PostgreSQL type that a contract may name
    pipeline.yaml:18:9 freshness needs a date, `day` is text
    ");
}

#[test]
fn problems_of_all_stages_are_told_at_once_by_the_command() {
    let project = project();
    project.edit("sql/clinic/visits.sql", "as day", "as visit_day");
    project.edit("sql/checks/visitors.sql", "patient_id =", "person_id =");
    insta::assert_snapshot!(project.run(&["check"]).code(2).message(), @r#"
    error: the project has 3 problems

    error: column `visit_day` is not one of visits
     --> sql/clinic/visits.sql:2:51
      |
    2 | select patient_id, visit['visit_id'] as visit_id, visit['day'] as visit_day from v
      |                                                   ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: did you mean `visit_id`?

    error: column `day` (date) of visits is missing
     --> sql/clinic/visits.sql:2:1
      |
    2 | select patient_id, visit['visit_id'] as visit_id, visit['day'] as visit_day from v
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: return it, or `NULL AS day` where this source has none

    error: column "person_id" does not exist (42703)
     --> sql/checks/visitors.sql:1:37
      |
    1 | select patient_id from visits where person_id = ''
      |                                     ^^^^^^^^^
      |
      = hint: a check is one SELECT over the entity tables; source and batch_date are those of the batch
    "#);
}

#[test]
fn fifty_sources_are_checked() {
    let project = project();
    for at in 0..49 {
        project.write(
            &format!("pipelines/clinic_{at}.yaml"),
            SOURCE.replace("name: clinic", &format!("name: clinic_{at}")),
        );
        project.write(&format!("sql/clinic_{at}/visits.sql"), VISITS);
    }
    assert_eq!(checked(&project), Ok(51));
    project.edit("sql/clinic_30/visits.sql", "['day']", "['days']");
    project.edit("sql/clinic_31/visits.sql", "['day']", "['days']");
    insta::assert_snapshot!(checked(&project).unwrap_err(), @r"
    sql/clinic_30/visits.sql:2:56 there is no field `days`
    sql/clinic_31/visits.sql:2:56 there is no field `days`
    ");
}

#[test]
fn watching_checks_and_tests_again_when_a_file_is_saved() {
    let project = project();
    let mut running = project.spawn(&["check", "--watch"]);
    let waits = |running: &crate::harness::Running| running.stderr_so_far().matches("waiting until").count();
    until("the first check is over", || waits(&running) == 1);
    assert_eq!(running.stderr_so_far().matches("error").count(), 0);
    let out = running.stdout_so_far();
    assert!(out.contains("no problem found: 2 entities, 1 source"), "{out}");
    assert!(out.contains("1 case: 1 passed, 0 failed"), "{out}");

    project.edit("sql/clinic/visits.sql", "as day", "as visit_day");
    until("the fault is found", || waits(&running) == 2);
    assert!(
        running.stderr_so_far().contains("--> sql/clinic/visits.sql:2:"),
        "{}",
        running.stderr_so_far()
    );

    project.edit(
        "sql/clinic/visits.sql",
        "visit['day'] as visit_day",
        "cast(null as date) as day",
    );
    until("the case fails", || waits(&running) == 3);
    assert!(
        running.stdout_so_far().contains("1 case: 0 passed, 1 failed"),
        "{}",
        running.stdout_so_far()
    );

    project.write("sql/clinic/visits.sql", VISITS);
    until("all is well again", || waits(&running) == 4);
    assert!(!running.is_over());
    running.signal("INT");
    let ended = running.wait().code(130);
    assert_eq!(ended.stdout.matches("1 case: 1 passed, 0 failed").count(), 2);
    assert!(
        !ended.stdout.contains('\x1b') && !ended.stderr.contains('\x1b'),
        "no terminal, no codes"
    );
}
