//! Batches that were loaded under other masks than the project declares now: they are named, kept from readers under a
//! privacy profile, and loaded again by one command.
use crate::harness::{DATE, Database, Project, Small, rows};
use crate::roles::{Roles, client, refusal, url};

const NEXT: &str = "2023-05-02";
const NAME: &str = "Canary Zqxw";

fn small(mask: &str) -> Small {
    Small::new()
        .columns(&[("item_id", "text"), ("name", "text"), ("n", "int8")])
        .schema(&format!(
            "id: {{type: string, required: true}}\nname: {{type: string, phi: name, {mask}}}\nn: bigint"
        ))
        .sql("select id as item_id, name, n from source")
}

/// Two days with a raw name, views over them, and a reader.
fn loaded_raw() -> (Database, Project, Roles) {
    let (database, project) = small("mask: keep, reason: \"asked for\"").on_server();
    let day = format!(r#"[{{"id": "a", "name": "{NAME}", "n": 1}}]"#);
    let project = project
        .json(&day)
        .file(&format!("in/{NEXT}.json"), &day)
        .file("sql/views/names.sql", "select item_id, name from items\n")
        .file("sql/views/numbers.sql", "select n from items\n")
        .file(
            "sql/materialized/people.sql",
            "-- unique: name\nselect name, count(*) as rows from items group by name\n",
        )
        .file("sql/views/over_people.sql", "select name as who from people\n");
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    let roles = Roles::of(&database);
    project.run(&roles.args()).code(0);
    assert_eq!(
        rows(&mut client(&database, &roles.reader), "select name from items"),
        [NAME]
    );
    // Once there are roles, the loader works, and not the superuser.
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    (database, project, roles)
}

fn redact(project: &Project, profile: &str) {
    project.edit(
        "pipelines/clinic.yaml",
        "mask: keep, reason: \"asked for\"",
        "mask: redact",
    );
    let yaml = project.read("pipeline.yaml");
    project.write("pipeline.yaml", format!("{yaml}{profile}"));
}

/// The comment on the column `name`.
fn comment(database: &Database, table: &str) -> String {
    database.value(&format!(
        "select col_description('{table}'::regclass, attnum) from pg_attribute
         where attrelid = '{table}'::regclass and attname = 'name'"
    ))
}

#[test]
fn a_batch_under_other_masks_is_named_hidden_and_loaded_again() {
    let (database, project, roles) = loaded_raw();
    redact(&project, "privacy: safe_harbor\n");

    // Everything that speaks of masks names the batch, and no value.
    for command in [&["check"][..], &["status"], &["privacy", "report"]] {
        let said = project.run(command).code(0).output_lacks("Zqxw");
        assert!(
            said.stdout.contains(&format!("clinic {DATE}")) && said.stdout.contains("items.name"),
            "{command:?}: {}",
            said.stdout
        );
    }
    let report = project.run(&["privacy", "report", "--output", "json"]).code(0).json();
    let stale = &report["stale_masks"][0];
    assert_eq!((&stale["source"], &stale["date"]), (&"clinic".into(), &DATE.into()));
    assert_eq!(stale["columns"][0]["column"], "items.name");
    assert_eq!(stale["columns"].as_array().unwrap().len(), 1);
    assert!(stale["columns"][0]["loaded"].as_str().unwrap().contains("keep"));
    assert!(stale["columns"][0]["now"].as_str().unwrap().contains("redact"));
    let check = project.run(&["check", "--output", "json"]).code(0).json();
    assert_eq!(check["stale_masks"], report["stale_masks"]);
    let status = project.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!(status[0]["stale_masks"][0]["column"], "items.name");

    let superuser = database.url();
    let made = [&roles.args()[..], &["--database-url", &superuser]].concat();
    let made = project.run(&made).code(0);
    assert!(
        made.stdout
            .contains(&format!("without batches under other masks: clinic {DATE}")),
        "{}",
        made.stdout
    );
    assert!(
        made.stdout.contains("over their columns: names, people, over_people")
            || made.stdout.contains("over their columns: names, over_people, people"),
        "{}",
        made.stdout
    );

    // The run of another day loads what was asked for, says what is not, and hides the old rows from the reader.
    let next = ["run", "--source", "clinic", "--date", NEXT];
    project.run(&next).code(0).stderr_contains(DATE).output_lacks("Zqxw");
    assert_eq!(database.count("items"), 2);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select name from items"), ["[redacted]"]);
    assert!(!refusal(&mut reader, "select * from items where name::int = 1").contains("Zqxw"));
    for closed in ["public.items", "names", "people", "over_people"] {
        let refused = refusal(&mut reader, &format!("select * from {closed}"));
        assert!(refused.contains("permission denied"), "{closed}: {refused}");
    }
    assert_eq!(rows(&mut reader, "select n from numbers"), ["1", "1"]);

    for table in ["items", "names"] {
        assert!(
            comment(&database, table).contains("1 batch was loaded under other masks"),
            "{}",
            comment(&database, table)
        );
    }

    // Exactly that batch is loaded again, and all is open.
    let again = project
        .run(&["run", "--stale-masks", "--output", "json"])
        .code(0)
        .json();
    let batches = again["batches"].as_array().unwrap();
    assert_eq!(batches.len(), 1, "{batches:?}");
    assert_eq!(batches[0]["date"], DATE);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(
        rows(&mut reader, "select name from items"),
        ["[redacted]", "[redacted]"]
    );
    assert_eq!(rows(&mut reader, "select who from over_people"), ["[redacted]"]);
    assert_eq!(rows(&mut reader, "select name, rows from people"), ["[redacted]|2"]);
    assert_eq!(comment(&database, "items"), "[lineage: clinic: name (name, redact)]");
    assert_eq!(database.count("pipeline.hidden_batches"), 0);
    let check = project.run(&["check", "--output", "json"]).code(0).json();
    assert_eq!(check["stale_masks"], serde_json::json!([]));
    assert_eq!(
        project
            .run(&["run", "--stale-masks", "--output", "json"])
            .code(0)
            .json()["batches"],
        serde_json::json!([])
    );
}

#[test]
fn a_superuser_is_told_why_nothing_is_known_and_a_view_put_in_place_is_noticed() {
    let (database, project, roles) = loaded_raw();
    redact(&project, "privacy: safe_harbor\n");
    project.run(&["run", "--source", "clinic", "--date", NEXT]).code(0);
    let superuser = database.url();
    project
        .run(&["check", "--database-url", &superuser])
        .code(0)
        .stderr_contains("rights of a superuser");

    // What is right already is not made again.
    let oid = "select 'pipeline_reading.items'::regclass::oid::text";
    let before = database.value(oid);
    project.run(&["views"]).code(0);
    assert_eq!(database.value(oid), before);
    // A view that a migration puts in its place, with the same columns and the same barrier, is noticed.
    database.execute(
        "create or replace view pipeline_reading.items with (security_barrier) as select t.item_id, t.name, t.n, t.source
         from public.items t where not exists (select from pipeline.hidden_batches h where h.source = t.source
         and h.batch_date = t.batch_date and false)",
    );
    project.run(&["views"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select name from items"), ["[redacted]"]);
}

#[test]
fn views_and_migrate_hide_it_too_and_a_drop_ends_it() {
    let (database, project, roles) = loaded_raw();
    redact(&project, "privacy: pseudonymised\n");
    project.run(&["views"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select name from items"), Vec::<String>::new());
    assert!(refusal(&mut reader, "select * from people").contains("permission denied"));
    let drop = ["drop", "--source", "clinic", "--date", DATE, "--yes"];
    project.run(&drop).code(0);
    assert_eq!(database.count("pipeline.masks"), 0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select name from people"), Vec::<String>::new());
    assert_eq!(rows(&mut reader, "select name from public.items"), Vec::<String>::new());
}

#[test]
fn without_a_profile_it_is_named_and_stays_visible() {
    let (database, project, roles) = loaded_raw();
    redact(&project, "");
    project
        .run(&["run", "--source", "clinic", "--date", NEXT])
        .code(0)
        .stderr_contains("--stale-masks");
    let mut reader = client(&database, &roles.reader);
    assert_eq!(
        rows(&mut reader, "select name from items order by batch_date"),
        [NAME, "[redacted]"]
    );
    assert_eq!(database.count("pipeline.hidden_batches"), 0);
}

#[test]
fn a_batch_of_which_nothing_is_recorded_counts_as_stale() {
    let (database, project, roles) = loaded_raw();
    database.execute("delete from pipeline.masks");
    let yaml = project.read("pipeline.yaml");
    project.write("pipeline.yaml", format!("{yaml}privacy: safe_harbor\n"));
    project.edit(
        "pipelines/clinic.yaml",
        "phi: name, mask: keep, reason: \"asked for\"",
        "phi: none",
    );
    project.run(&["check"]).code(0).stdout_contains("not recorded");
    project.run(&["migrate"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select name from items"), Vec::<String>::new());
    assert!(refusal(&mut reader, "select * from numbers").contains("permission denied"));
    project.run(&["run", "--stale-masks", "--source", "clinic"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(rows(&mut reader, "select name from items"), [NAME]);
    assert_eq!(rows(&mut reader, "select n from numbers"), ["1"]);
}

#[test]
fn a_printed_script_opens_nothing_under_a_profile() {
    let (_database, project, roles) = loaded_raw();
    redact(&project, "privacy: safe_harbor\n");
    let mut print = roles.args();
    print.push("--print");
    project.run(&print).code(0).output_lacks("GRANT SELECT");
}

#[test]
fn another_key_or_domain_makes_a_batch_stale() {
    let (_database, project) = small("mask: hash, domain: person").on_server();
    let project = project.json(format!(r#"[{{"id": "a", "name": "{NAME}", "n": 1}}]"#));
    project.run_clinic().code(0);
    let stale = |project: &Project| project.run(&["check", "--output", "json"]).code(0).json()["stale_masks"].clone();
    assert_eq!(stale(&project), serde_json::json!([]));
    project.edit("pipelines/clinic.yaml", "domain: person", "domain: somebody");
    assert_eq!(stale(&project)[0]["columns"][0]["column"], "items.name");
    project.edit("pipelines/clinic.yaml", "domain: somebody", "domain: person");
    let project = project.env("PIPELINE_MASK_KEY", "/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v8=");
    assert!(
        stale(&project)[0]["columns"][0]["loaded"]
            .as_str()
            .unwrap()
            .contains("key")
    );
    // Without the key at hand, that of the newest run is taken for the present one.
    let project = project.env("PIPELINE_MASK_KEY", "");
    assert_eq!(stale(&project), serde_json::json!([]));
    let project = project.env("PIPELINE_MASK_KEY", "/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v8=");
    project.run(&["run", "--stale-masks"]).code(0);
    assert_eq!(stale(&project), serde_json::json!([]));
}

#[test]
fn the_embedded_database_is_asked_where_there_is_one() {
    let project = small("mask: keep, reason: \"asked for\"").project();
    let project = project.json(format!(r#"[{{"id": "a", "name": "{NAME}", "n": 1}}]"#));
    let check = project.run(&["check", "--output", "json"]).code(0).json();
    assert_eq!(check["stale_masks"], serde_json::json!(null));
    assert!(!project.path(".pipeline/warehouse").exists());
    project.run_clinic().code(0);
    redact(&project, "");
    project
        .run(&["check"])
        .code(0)
        .stdout_contains(&format!("clinic {DATE}: items.name"));
    project.run(&["run", "--stale-masks"]).code(0);
    project
        .run(&["query", "select name from items"])
        .code(0)
        .stdout_contains("[redacted]");
}

#[test]
fn a_source_that_is_gone_is_named_and_not_loaded() {
    let (_database, project, _) = loaded_raw();
    project.write(
        "pipelines/other.yaml",
        project
            .read("pipelines/clinic.yaml")
            .replace("name: clinic", "name: other\ntransforms: sql/clinic"),
    );
    project.remove("pipelines/clinic.yaml");
    project
        .run(&["check"])
        .code(0)
        .stdout_contains("no longer in the project");
    project
        .run(&["run", "--stale-masks"])
        .code(0)
        .stderr_contains("pipeline drop");
}

#[test]
fn a_field_that_became_sensitive_and_left_the_sql_makes_its_column_stale() {
    let (_database, project) = small("mask: keep, reason: \"asked for\"").on_server();
    project.edit(
        "pipelines/clinic.yaml",
        ", phi: name, mask: keep, reason: \"asked for\"",
        "",
    );
    let project = project.json(format!(r#"[{{"id": "a", "name": "{NAME}", "n": 1}}]"#));
    project.run_clinic().code(0);
    project.run(&["check", "--output", "json"]).code(0);
    project.edit(
        "pipelines/clinic.yaml",
        "name: {type: string",
        "name: {type: string, phi: name, mask: redact",
    );
    project.write(
        "sql/clinic/items.sql",
        "select id as item_id, cast(null as varchar) as name, n from source\n",
    );
    let check = project.run(&["check", "--output", "json"]).code(0).json();
    assert_eq!(check["stale_masks"][0]["columns"][0]["column"], "items.name");
}

#[test]
fn a_materialized_view_stays_closed_until_its_rows_are_new() {
    let (database, project, roles) = loaded_raw();
    project.write(
        "sql/materialized/people.sql",
        "-- unique: name\nselect name, item_id as rows from items\n",
    );
    let two = format!(r#"[{{"id": "a", "name": "{NAME}", "n": 1}}, {{"id": "b", "name": "Other", "n": 2}}]"#);
    project.write(&format!("in/{DATE}.json"), two);
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    redact(&project, "privacy: safe_harbor\n");
    // Both names become one, so the view can't be refreshed and still holds the raw ones.
    project.run(&["run", "--stale-masks"]).code(1);
    assert_eq!(
        database.value("select count(*) from people where name like '%Zqxw%'"),
        "1"
    );
    let mut reader = client(&database, &roles.reader);
    for closed in ["people", "over_people"] {
        assert!(refusal(&mut reader, &format!("select * from {closed}")).contains("permission denied"));
    }
    assert_eq!(
        rows(&mut reader, "select name from items"),
        ["[redacted]", "[redacted]"]
    );
    project.write(
        "sql/materialized/people.sql",
        "select name, item_id as rows from items\n",
    );
    project.run(&["views", "--refresh"]).code(0);
    let mut reader = client(&database, &roles.reader);
    assert_eq!(
        rows(&mut reader, "select who from over_people"),
        ["[redacted]", "[redacted]"]
    );
}

/// A comparison that PostgreSQL holds to be safe may be made below a view's barrier, and EXPLAIN ANALYZE counts its rows.
#[test]
fn a_plan_tells_a_reader_nothing_of_hidden_rows() {
    let (database, project, roles) = loaded_raw();
    redact(&project, "privacy: pseudonymised\n");
    project.run(&["run", "--source", "clinic", "--date", NEXT]).code(0);
    let mut reader = client(&database, &roles.reader);
    let mut plan = |condition: &str| {
        let sql =
            format!("explain (analyze, costs off, timing off, summary off) select n from items where {condition}");
        rows(&mut reader, &sql).join("\n").replace(condition, "")
    };
    let told = |name: &str, plan: &mut dyn FnMut(&str) -> String| {
        let plan = plan(&format!("name = '{name}'"));
        plan.replace(&format!("'{name}'::text"), "")
    };
    assert_eq!(told(NAME, &mut plan), told("Somebody else", &mut plan));
    let above = plan("name > 'Canary' AND name < 'Canasta'")
        .replace("Canary", "")
        .replace("Canasta", "");
    let below = plan("name > 'Babel' AND name < 'Banana'")
        .replace("Babel", "")
        .replace("Banana", "");
    assert_eq!(above, below);
    // The barrier stays for what PostgreSQL does not hold to be safe.
    let mut reader = client(&database, &roles.reader);
    assert_eq!(
        rows(&mut reader, "select name from items where name = '[redacted]'"),
        ["[redacted]"]
    );
}
