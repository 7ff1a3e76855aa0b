//! Mistakes in a source as a whole: its keys, its name, its files.
use super::{problems, source, with};
use crate::harness::Small;

#[test]
fn an_unknown_key_of_a_source() {
    insta::assert_snapshot!(source("schema:", "on_unknown_feild: warn\nschema:"), @r"
    error: the project has a problem

    error: unknown key `on_unknown_feild`
     --> pipelines/clinic.yaml:4:1
      |
    4 | on_unknown_feild: warn
      | ^^^^^^^^^^^^^^^^
      |
      = hint: did you mean `on_unknown_field`?
    ");
}

#[test]
fn a_key_of_a_source_given_twice() {
    insta::assert_snapshot!(source("schema:", "name: clinic\nschema:"), @r"
    error: the project has a problem

    error: the key `name` is given twice
     --> pipelines/clinic.yaml:4:1
      |
    4 | name: clinic
      | ^^^^
      |
      = hint: it stands in line 1 already: keep one of them
    ");
}

#[test]
fn a_source_named_unlike_its_file() {
    insta::assert_snapshot!(source("name: clinic", "name: klinik"), @r"
    error: the project has a problem

    error: the source `klinik` lies in a file of another name
     --> pipelines/clinic.yaml:1:7
      |
    1 | name: klinik
      |       ^^^^^^
      |
      = hint: call the file pipelines/klinik.yaml, or the source `clinic`
    ");
}

#[test]
fn two_sources_with_one_alias() {
    insta::assert_snapshot!(problems(&{
        let project = with("pipelines/clinic.yaml", "input:", "aliases: [c]\ninput:");
        project.write("pipelines/other.yaml", project.read("pipelines/clinic.yaml").replace("name: clinic", "name: other"));
        project.write("sql/other/items.sql", project.read("sql/clinic/items.sql"));
        project
    }), @r"
    error: the project has a problem

    error: `c` stands for two sources
     --> pipelines/other.yaml:2:11
      |
    2 | aliases: [c]
      |           ^
      |
      = hint: pipelines/clinic.yaml:2:11 gives it to `clinic` already: choose another here or there
    ");
}

#[test]
fn two_sources_with_one_name() {
    insta::assert_snapshot!(problems(&{
        let project = Small::new().project();
        project.write("pipelines/other.yaml", project.read("pipelines/clinic.yaml"));
        project
    }), @r"
    error: the project has 2 problems

    error: `clinic` stands for two sources
     --> pipelines/other.yaml:1:7
      |
    1 | name: clinic
      |       ^^^^^^
      |
      = hint: pipelines/clinic.yaml:1:7 gives it to `clinic` already: choose another here or there

    error: the source `clinic` lies in a file of another name
     --> pipelines/other.yaml:1:7
      |
    1 | name: clinic
      |       ^^^^^^
      |
      = hint: call the file pipelines/clinic.yaml, or the source `other`
    ");
}

#[test]
fn an_alias_that_is_another_sources_name() {
    insta::assert_snapshot!(problems(&{
        let project = Small::new().project();
        let yaml = project.read("pipelines/clinic.yaml").replace("name: clinic", "name: other\naliases: [clinic]");
        project.write("pipelines/other.yaml", yaml);
        project.write("sql/other/items.sql", project.read("sql/clinic/items.sql"));
        project
    }), @r"
    error: the project has a problem

    error: `clinic` stands for two sources
     --> pipelines/other.yaml:2:11
      |
    2 | aliases: [clinic]
      |           ^^^^^^
      |
      = hint: pipelines/clinic.yaml:1:7 gives it to `clinic` already: choose another here or there
    ");
}

#[test]
fn a_source_without_sql() {
    insta::assert_snapshot!(problems(&{
        let project = Small::new().project();
        project.remove("sql/clinic");
        project
    }), @r"
    error: the project has a problem

    error: the folder sql/clinic does not exist
     --> pipelines/clinic.yaml:1:7
      |
    1 | name: clinic
      |       ^^^^^^
      |
      = hint: it holds the source's transforms, one file per entity: sql/clinic/items.sql
    ");
}

#[test]
fn a_folder_of_transforms_that_is_not_there() {
    insta::assert_snapshot!(source("schema:", "transforms: sql/klinic\nschema:"), @r"
    error: the project has a problem

    error: the folder sql/klinic does not exist
     --> pipelines/clinic.yaml:4:13
      |
    4 | transforms: sql/klinic
      |             ^^^^^^^^^^
      |
      = hint: it holds the source's transforms, one file per entity: sql/klinic/items.sql
    ");
}

#[test]
fn a_project_without_sources() {
    insta::assert_snapshot!(problems(&{
        let project = Small::new().project();
        project.remove("pipelines");
        project
    }), @r"
    error: the project has a problem

    error: the project has no folder `pipelines`, so no source
    --> pipelines:1:1
     = hint: a file pipelines/<name>.yaml makes a source: name, input, schema
    ");
}
