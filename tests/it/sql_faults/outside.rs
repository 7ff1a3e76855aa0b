//! Faults that a single transform does not show (classes 38 to 45): masks, SQL checks, views and missing files. Also
//! the faults that nothing detects.
use super::{Guarded, SECRET, path, records, transform};
use crate::harness::{Database, Project};

#[test]
fn a_transform_that_is_gone() {
    let guarded = Guarded::new();
    let before = guarded.database.content();
    guarded.project.remove("sql/source_a/treatments.sql");
    guarded
        .run()
        .code(2)
        .stderr_contains("`source_a` brings no rows to `treatments`");
    assert_eq!(guarded.database.content(), before);
    // The YAML says that the loss is intended, so it is accepted.
    let conserved = "  treatments: visits[].diagnoses[].treatments[]\n";
    guarded.project.edit("pipelines/source_a.yaml", conserved, "");
    guarded.run().code(0);
    assert_eq!(guarded.counts(), [3, 3, 3, 0]);
}

#[test]
fn what_is_left_out_on_purpose_is_said() {
    let guarded = Guarded::new();
    let filtered = transform("select * from treatments where treatments_drug <> 'None'");
    guarded.project.write(&path("treatments"), filtered);
    guarded.run().code(1).stderr_contains("treatments lost 1 of 3");
    guarded.project.edit(
        "pipelines/source_a.yaml",
        "  treatments: visits[].diagnoses[].treatments[]\n",
        "  treatments: {path: \"visits[].diagnoses[].treatments[]\", where: drug <> 'None'}\n",
    );
    guarded.run().code(0);
    assert_eq!(guarded.counts(), [3, 3, 3, 2]);
}

#[test]
fn a_masked_field_shows_nothing_to_any_sql() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    project.input("source_a", "20230501", records().to_string());
    // If a mask were applied after the SQL, the filter would find the patient and the text would reveal the name.
    let guess = format!(
        "select patient_id, concat(name, '|', left(name, 3), '|', length(name)) as name from source\n\
         where name is distinct from '{SECRET}'\n"
    );
    for sql in [guess.as_str(), "select patient_id, name from source\n"] {
        project.write("sql/source_a/patients.sql", sql);
        let run = ["run", "--source", "a", "--date", "2023-05-01", "-v"];
        project.run(&run).code(0).output_lacks(SECRET);
        assert_eq!(database.count("patients"), 3, "{sql}");
        let shown = database.rows("select p::text || v::text from patients p join visits v using (patient_id)");
        assert!(
            shown.len() == 3 && !shown.join("\n").contains(&SECRET[..3]),
            "{shown:?}"
        );
    }
}

#[test]
fn checks_in_sql_count_and_do_nothing_else() {
    let guarded = Guarded::new();
    guarded.database.execute("create sequence counter");
    let before = guarded.database.content();
    for (class, sql, code, message) in [
        (
            40,
            "select name, provider_notes_text from patients, visits",
            1,
            "it selects 9 rows of the batch",
        ),
        (40, "select name from patients where length(name) > 100", 0, ""),
        (
            39,
            "select 1 from patients where name::int = 1",
            1,
            "invalid text representation (22P02)",
        ),
        (39, "select 1 from patients where name ~ '^[0-9]+$'", 0, ""),
        (
            41,
            "select 1 where false) as a; drop table patients cascade; select 1 from (select 1",
            2,
            "can't be made",
        ),
        (
            41,
            "with gone as (delete from public.visits returning 1) select * from gone",
            2,
            "can't be made",
        ),
        (41, "select nextval('counter')", 1, "read-only"),
        (41, "select 1 from visits group by visit_id having count(*) > 1;", 0, ""),
    ] {
        guarded.project.write("sql/checks/one.sql", sql);
        let outcome = guarded.run();
        assert_eq!(outcome.exit(), Some(code), "class {class}: {sql}: {}", outcome.stderr);
        outcome.stderr_contains(message);
        assert_eq!(guarded.database.content(), before, "class {class}: {sql}");
    }
    assert_eq!(guarded.database.value("select is_called from counter"), "f");
}

#[test]
fn views_that_reveal_or_multiply() {
    let guarded = Guarded::new();
    let leaf = "select relname from pg_class where relname like 'visits\\_r%' and relkind = 'r'";
    let leaf = guarded.database.value(leaf);
    let views = |files: &[(&str, &str)]| {
        for (path, sql) in files {
            guarded.project.write(path, sql);
        }
        let outcome = guarded.project.run(&["views"]).output_lacks(SECRET);
        for (path, _) in files {
            guarded.project.remove(path);
        }
        outcome
    };
    let (view, counted) = ("sql/views/shown.sql", "sql/materialized/counted.sql");
    let loose = "-- unique: source, batch_date, visit_id\nselect v.source, v.batch_date, v.visit_id, d.diagnosis_code
                 from visits v left join diagnoses d on d.visit_id = v.visit_id";
    let tight = loose.replacen("visit_id\n", "visit_id, diagnosis_code\n", 1);
    views(&[(view, "select file, reason from pipeline.quarantine")])
        .code(2)
        .stderr_contains("shown reads pipeline.quarantine");
    views(&[
        (view, "select * from hidden"),
        ("sql/views/hidden.sql", "select reason from pipeline.quarantine"),
    ])
    .code(2)
    .stderr_contains("hidden reads pipeline.quarantine");
    views(&[(view, &format!("select * from pipeline_partitions.{leaf}"))])
        .code(2)
        .stderr_contains(&format!("shown reads pipeline_partitions.{leaf}"));
    views(&[(view, "select 1 as one; drop table patients")]).code(2);
    views(&[(counted, loose)])
        .code(2)
        .stderr_contains("unique violation (23505)");
    assert_eq!(guarded.counts(), [3; 4]);
    views(&[(view, "select status from pipeline.runs"), (counted, &tight)]).code(0);
    let counts = (guarded.database.count("shown"), guarded.database.count("counted"));
    assert_eq!(counts, (1, 4));
}

/// The faults that, by `docs/explanation/quality.md`, nothing here can detect.
#[test]
fn what_no_count_and_no_rule_tells_from_what_is_meant() {
    let guarded = Guarded::new();
    for (entity, sql) in [
        // A value of another column, an invented value, and a part of a value.
        (
            "visits",
            "select * replace (provider_notes_author as provider_notes_text, provider_notes_text as provider_notes_author)
             from visits",
        ),
        ("patients", "select patient_id, 'somebody' as name from patients"),
        ("patients", "select patient_id, left(name, 2) as name from patients"),
        // As many rows are lost as are repeated, and no key distinguishes them.
        (
            "treatments",
            "select * from treatments where treatments_drug is not null union all (select * from treatments limit 1)",
        ),
    ] {
        guarded.project.write(&path(entity), transform(sql));
        guarded.run().code(0);
        assert_eq!((guarded.counts(), guarded.refused()), ([3; 4], vec![]), "{sql}");
        let honest = transform(&format!("select * from {entity}"));
        guarded.project.write(&path(entity), honest);
    }
}
