//! A fifth entity needs only a contract, a migration and SQL.
use serde_json::json;

use crate::harness::{Database, Project, hashed};

#[test]
fn a_fifth_entity_needs_no_change_of_the_program() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    let contract = "  allergies:
    description: What a patient must not get
    columns:
      patient_id: {type: text, nullable: false}
      substance: {type: text, nullable: false}
      severity: smallint
    key: [patient_id, substance]
    parent: patients
    indexes:
      - [substance]
";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + "\n" + contract);
    project.edit(
        "pipelines/source_a.yaml",
        "  visits:\n",
        "  allergies:\n    list:\n      substance: {type: string, required: true}\n      severity: int\n  visits:\n",
    );
    project.write(
        "sql/source_a/allergies.sql",
        "with allergy as (select patient_id, unnest(allergies) as item from source)
         select patient_id, item['substance'] as substance, cast(item['severity'] as smallint) as severity from allergy\n",
    );
    let record = json!([{"patient_id": "P-1", "name": "N", "visits": [],
        "allergies": [{"substance": "penicillin", "severity": 3}, {"substance": "nuts"}]}, {"patient_id": "P-2", "name": "M"}]);
    project.input("source_a", "20230501", record.to_string());

    project
        .run(&["run", "--source", "source_a", "--date", "2023-05-01"])
        .code(2)
        .stderr_contains("allergies");
    project.run(&["migration", "new", "allergies"]).code(0);
    assert!(project.path("migrations/V2__allergies.sql").exists());
    project.run(&["migrate"]).code(0);
    project.load("source_a", "2023-05-01");
    let one = hashed("P-1");
    assert_eq!(
        database.rows("select patient_id, substance, severity, source, batch_date from allergies order by substance"),
        [
            format!("{one}|nuts||source_a|2023-05-01"),
            format!("{one}|penicillin|3|source_a|2023-05-01")
        ]
    );
    assert_eq!(database.count("patients"), 2);
    // The table that the migration made matches the contract.
    assert_eq!(
        database
            .rows("select indexdef from pg_indexes where tablename = 'allergies' order by 1")
            .len(),
        2,
        "the key and one index"
    );
}
