//! Tests through the binary: where it looks for a project, what it prints, and its exit code.
use super::with;
use crate::harness::{Project, Small};

/// The output of `pipeline check` for a faulty project.
fn refused(project: &Project) -> String {
    project.run(&["check"]).code(2).stdout_is("").message()
}

#[test]
fn no_project_at_all() {
    insta::assert_snapshot!(refused(&Project::new()), @r"
    error: no project found: neither [project] nor a folder above it holds pipeline.yaml
    hint: go into a project's folder, or name it: --project DIR
    ");
}

#[test]
fn a_folder_that_is_not_there() {
    insta::assert_snapshot!(Project::new().run(&["check", "--project", "nowhere"]).code(2).message(), @r"
    error: nowhere is no project: it holds no pipeline.yaml
    hint: name a project's folder: --project DIR, or declare the entities in a pipeline.yaml there
    ");
}

#[test]
fn a_secret_from_the_environment_among_the_storage_options() {
    insta::assert_snapshot!(refused(&with("pipelines/clinic.yaml", "  path: in/", "  storage: {aws_secret_access_key: \"${env:SECRET}\"}\n  path: s3://bucket/").env("SECRET", "abc")), @r"
    error: the project has a problem

    error: a secret may not stand in a project file: `aws_secret_access_key`
     --> pipelines/clinic.yaml:3:13
      |
    3 |   storage: {aws_secret_access_key: ***************}
      |             ^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    ");
}

#[test]
fn every_problem_at_once() {
    insta::assert_snapshot!(refused(&{
        let project = with("pipeline.yaml", "int8", "integr");
        project.edit("pipeline.yaml", "key: [item_id]", "key: [itemid]");
        project.edit("pipelines/clinic.yaml", "n: bigint", "n: bigit");
        project.edit("pipelines/clinic.yaml", "schema:", "skema: {}\nschema:");
        project
    }), @r#"
    error: the project has 4 problems

    error: `integr` is no PostgreSQL type that a contract may name
     --> pipeline.yaml:6:17
      |
    6 |       n: {type: "integr"}
      |                 ^^^^^^^^
      |
      = hint: did you mean `integer`?

    error: `items` has no column `itemid`
     --> pipeline.yaml:7:11
      |
    7 |     key: [itemid]
      |           ^^^^^^
      |
      = hint: did you mean `item_id`?

    error: unknown key `skema`
     --> pipelines/clinic.yaml:4:1
      |
    4 | skema: {}
      | ^^^^^
      |
      = hint: it may be name, aliases, description, input, schema, subject, kinds, on_unknown_kind, shift_by, on_unknown_field, transforms, checks, conserves, deletes, allow_constant_masks or max_quarantined

    error: `bigit` is no type of a field
     --> pipelines/clinic.yaml:7:6
      |
    7 |   n: bigit
      |      ^^^^^
      |
      = hint: did you mean `bigint`?
    "#);
}

#[test]
fn sql_that_does_not_parse() {
    insta::assert_snapshot!(refused(&Small::new().sql("select id as item_id,\n  n fron source").project()), @r"
    error: the transforms do not fit the project

    error: Expected: end of statement, found: source at Line: 2, Column: 10
     --> sql/clinic/items.sql:2:10
      |
    2 |   n fron source
      |          ^^^^^^
    ");
}
