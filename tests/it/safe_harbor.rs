//! What `privacy: safe_harbor` promises of the rows: years that reveal no age over 89, surrogates that join within one
//! load and lead nowhere.
use crate::harness::{DATE, Project, Small};

fn under_safe_harbor(project: &Project) {
    let yaml = project.read("pipeline.yaml");
    project.write("pipeline.yaml", format!("{yaml}privacy: safe_harbor\n"));
}

#[test]
fn surrogates_join_within_a_load_and_no_further() {
    let field = "type: string, phi: identifier, mask: surrogate, domain: patient";
    let (database, project) = Small::new()
        .columns(&[("item_id", "text"), ("same", "text"), ("seen", "text")])
        .schema(&format!(
            "id: {{{field}, required: true}}\nagain: {{{field}}}\n\
             number: {{type: string, phi: identifier, mask: surrogate}}"
        ))
        .sql("select id as item_id, again as same, number as seen from source")
        .on_server();
    under_safe_harbor(&project);
    let day = r#"[{"id": "Zq-1", "again": "Zq-1", "number": "Zq-1"}, {"id": "Zq-2", "again": "Zq-1", "number": null}]"#;
    // No mask of the source needs the project's key.
    let project = project
        .json(day)
        .file("in/2023-05-02.json", day)
        .env("PIPELINE_MASK_KEY", "");
    project.run_clinic().code(0).output_lacks("Zq-");
    let ids = || database.rows("select item_id from items order by batch_date, seen is null");
    let first = ids();
    assert!(first.iter().all(|id| id.len() == 32 && !id.contains("Zq")), "{first:?}");
    // Both fields are of one domain. The third has its own.
    assert_eq!(
        database.rows("select same from items group by same"),
        [first[0].clone()]
    );
    assert_ne!(
        database.value("select seen from items where seen is not null"),
        first[0]
    );
    // The same day again, and another day in the same process: other ids.
    project
        .run(&["run", "--source", "clinic", "--start", DATE, "--end", "2023-05-02"])
        .code(0);
    let again = ids();
    assert_eq!(again.len(), 4);
    assert!(
        again[..2]
            .iter()
            .all(|id| !first.contains(id) && !again[2..].contains(id))
    );
}

#[test]
fn an_old_batch_shows_nobody_of_a_hundred_and_twelve() {
    let (database, project) = Small::new()
        .columns(&[("item_id", "text"), ("born", "int4"), ("age", "int4")])
        .schema(
            "id: {type: string, required: true}\nborn: {type: date, phi: date, mask: year}\n\
             age: {type: double, phi: quasi, mask: age_cap}",
        )
        .sql("select id as item_id, born, cast(age as int) as age from source")
        .on_server();
    under_safe_harbor(&project);
    project.write(
        "in/2001-05-01.json",
        r#"[{"id": "a", "born": "1912-03-04", "age": 112}, {"id": "b", "born": "1980-03-04", "age": 41.5}]"#,
    );
    project
        .run(&["run", "--source", "clinic", "--date", "2001-05-01"])
        .code(0);
    assert_eq!(
        database.rows("select item_id, born = extract(year from now())::int - 90, age from items order by 1"),
        ["a|t|90", "b|f|"]
    );
}

#[test]
fn days_since_1970_are_no_age() {
    let project = Small::new()
        .schema("id: {type: string, required: true}\nn: {type: bigint, phi: date, mask: age_cap}")
        .project();
    under_safe_harbor(&project);
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("`n` is masked with `age_cap`, but Safe Harbor, 45 CFR 164.514(b)(2)(i)(C)");
}

#[test]
fn a_shift_by_weeks_keeps_the_day_of_the_week() {
    let (database, project) = Small::new()
        .columns(&[("item_id", "text"), ("day", "date")])
        .schema("id: {type: string, required: true}\nday: {type: date, phi: date, mask: date_shift}")
        .rest("subject: id\nshift_by: weeks")
        .sql("select id as item_id, day from source")
        .on_server();
    let records: Vec<String> = (0..40)
        .map(|n| format!(r#"{{"id": "p{n}", "day": "2023-05-01"}}"#))
        .collect();
    let project = project.json(format!("[{}]", records.join(",")));
    project.run_clinic().code(0);
    assert_eq!(
        database.value("select count(*) from items where (day - date '2023-05-01') % 7 <> 0 or day = '2023-05-01'"),
        "0"
    );
    assert_ne!(database.value("select count(distinct day) from items"), "1");
    // A change of the unit changes the dates, so the batch is stale.
    project.edit("pipelines/clinic.yaml", "shift_by: weeks", "shift_by: days");
    project.run(&["check"]).code(0).stdout_contains("items.day");
}

#[test]
fn few_rows_of_a_masked_column_are_not_counted() {
    let small = |mask: &str| {
        Small::new()
            .schema(&format!("id: {{type: string, required: true, {mask}}}\nn: bigint"))
            .on_server()
    };
    let checks = "    checks:\n      - accepted_values: {column: item_id, values: [x]}\n        severity: warn\n";
    let record = |n: usize| format!(r#"{{"id": "p{n}", "n": 1}}"#);
    for (mask, rows, shown) in [
        ("phi: identifier, mask: hash", 3, "<10 rows of items break"),
        ("phi: identifier, mask: hash", 12, "12 rows of items break"),
        ("phi: none", 3, "3 rows of items break"),
    ] {
        let (database, project) = small(mask);
        let yaml = project.read("pipeline.yaml");
        project.write("pipeline.yaml", format!("{yaml}{checks}"));
        project.write("sql/checks/any.sql", "-- severity: warn\nselect * from items\n");
        let records: Vec<String> = (0..rows).map(record).collect();
        let project = project.json(format!("[{}]", records.join(",")));
        let run = project.run_clinic().code(0).stderr_contains(shown);
        let exact = rows >= 10 || !mask.contains("hash");
        let count = if exact { rows.to_string() } else { "<10".to_owned() };
        // A SELECT may compute its number from a value.
        let selected = if rows == 12 { "at least 10" } else { &count };
        assert!(
            run.stderr.contains(&format!("it selects {selected} rows of the batch")),
            "{}",
            run.stderr
        );
        let account = database.value("select account #>> '{entities,items,warnings}' from pipeline.runs");
        assert!(account.contains(&count), "{account}");
        let preview = ["preview", "--source", "clinic", "--date", DATE];
        let check = "accepted_values(item_id) of items";
        project
            .run(&preview)
            .code(0)
            .stderr_contains(&format!("warning: {check}: {count} rows"));
        let json = project
            .run(&[&preview[..], &["--output", "json"]].concat())
            .code(0)
            .json();
        let told = &json["entities"][0]["warnings"][0]["rows"];
        assert_eq!(told.to_string().trim_matches('"'), count, "{json}");
    }
}
