//! Mistakes in a source's `schema`: fields, types, masks.
use super::{problems, source, with};

#[test]
fn an_unknown_key_of_a_field() {
    insta::assert_snapshot!(source("required: true", "requird: true"), @r"
    error: the project has a problem

    error: unknown key `requird`
     --> pipelines/clinic.yaml:5:22
      |
    5 |   id: {type: string, requird: true}
      |                      ^^^^^^^
      |
      = hint: did you mean `required`?
    ");
}

#[test]
fn a_schema_type_that_does_not_exist() {
    insta::assert_snapshot!(source("n: bigint", "n: bigit"), @r"
    error: the project has a problem

    error: `bigit` is no type of a field
     --> pipelines/clinic.yaml:6:6
      |
    6 |   n: bigit
      |      ^^^^^
      |
      = hint: did you mean `bigint`?
    ");
}

#[test]
fn a_decimal_that_is_too_wide() {
    insta::assert_snapshot!(source("n: bigint", "n: decimal(39,2)"), @r"
    error: the project has a problem

    error: `decimal(39,2)` is no type
     --> pipelines/clinic.yaml:6:6
      |
    6 |   n: decimal(39,2)
      |      ^^^^^^^^^^^^^
      |
      = hint: write decimal(p,s) with a precision from 1 to 38 and a scale from 0 to the precision
    ");
}

#[test]
fn a_field_without_a_type() {
    insta::assert_snapshot!(source("n: bigint", "n: {required: true}"), @r"
    error: the project has a problem

    error: the field `n` has no `type`
     --> pipelines/clinic.yaml:6:3
      |
    6 |   n: {required: true}
      |   ^
      |
      = hint: add `type: string`
    ");
}

#[test]
fn a_field_with_two_types() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: int, list: int}"), @r"
    error: the project has a problem

    error: the field `n` has both `type` and `list`
     --> pipelines/clinic.yaml:6:18
      |
    6 |   n: {type: int, list: int}
      |                  ^^^^
      |
      = hint: keep one of them
    ");
}

#[test]
fn a_field_required_by_a_word() {
    insta::assert_snapshot!(source("required: true", "required: always"), @r"
    error: the project has a problem

    error: `required` must be true or false, not text
     --> pipelines/clinic.yaml:5:32
      |
    5 |   id: {type: string, required: always}
      |                                ^^^^^^
      |
      = hint: write `required: true` or `required: false`
    ");
}

#[test]
fn a_schema_that_is_a_list() {
    insta::assert_snapshot!(source("id: {type: string, required: true}\n  n: bigint", "[id, n]"), @r"
    error: the project has a problem

    error: `schema` must be a mapping, not a list
     --> pipelines/clinic.yaml:4:1
      |
    4 | schema:
      | ^^^^^^
      |
      = hint: write one `key: value` in a line
    ");
}

#[test]
fn a_source_without_a_schema() {
    insta::assert_snapshot!(source("schema:\n  id: {type: string, required: true}\n  n: bigint\n", ""), @r"
    error: the project has a problem

    error: the source has no `schema`
     --> pipelines/clinic.yaml:1:1
      |
    1 | name: clinic
      | ^
      |
      = hint: add `schema: {patient_id: string}`
    ");
}

#[test]
fn a_list_in_a_csv() {
    insta::assert_snapshot!(problems(&{ let project = with("pipelines/clinic.yaml", "n: bigint", "n: {list: int}"); project.edit("pipelines/clinic.yaml", "  path:", "  format: csv\n  path:"); project }), @r"
    error: the project has a problem

    error: `n` can't be a list or struct: csv has flat records
     --> pipelines/clinic.yaml:7:3
      |
    7 |   n: {list: int}
      |   ^
      |
      = hint: declare it as `json` where the cell holds JSON, else as `string`
    ");
}

#[test]
fn a_date_format_on_a_string() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: string, format: \"%Y\"}"), @r#"
    error: the project has a problem

    error: `format` is nothing for a string
     --> pipelines/clinic.yaml:6:21
      |
    6 |   n: {type: string, format: "%Y"}
      |                     ^^^^^^
      |
      = hint: it is for date, timestamp and timestamptz
    "#);
}

#[test]
fn a_date_format_that_is_none() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: date, format: \"yyyy-mm-dd\"}"), @r#"
    error: the project has a problem

    error: the format `yyyy-mm-dd` does not give a whole date
     --> pipelines/clinic.yaml:6:27
      |
    6 |   n: {type: date, format: "yyyy-mm-dd"}
      |                           ^^^^^^^^^^^^
      |
      = hint: a date needs year, month and day: "%d.%m.%Y"
    "#);
}

#[test]
fn from_on_a_date() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: date, from: number}"), @r"
    error: the project has a problem

    error: `from: number` is nothing for a date
     --> pipelines/clinic.yaml:6:25
      |
    6 |   n: {type: date, from: number}
      |                         ^^^^^^
      |
      = hint: dates come from strings anyway: name their `format` if it is not ISO 8601
    ");
}

#[test]
fn a_mask_that_its_type_can_t_have() {
    insta::assert_snapshot!(source("required: true", "required: true, mask: year"), @r"
    error: the project has a problem

    error: `id`: `year` does not mask a string; it takes date, timestamp and timestamptz
     --> pipelines/clinic.yaml:5:3
      |
    5 |   id: {type: string, required: true, mask: year}
      |   ^^
      |
      = hint: masks for this type: `keep`, `null`, `redact`, `hash`, `pseudonym`, `zip3`, `surrogate`
    ");
}

#[test]
fn a_sensitive_field_without_a_mask() {
    insta::assert_snapshot!(source("required: true", "required: true, phi: name"), @r"
    error: the project has a problem

    error: `id` is classed as name and has no mask
     --> pipelines/clinic.yaml:5:3
      |
    5 |   id: {type: string, required: true, phi: name}
      |   ^^
      |
      = hint: masks for this type: `keep`, `null`, `redact`, `hash`, `pseudonym`, `zip3`, `surrogate`; `keep` needs a `reason`
    ");
}

#[test]
fn a_subject_that_is_no_field() {
    insta::assert_snapshot!(source("schema:", "subject: idd\nschema:"), @r"
    error: the project has a problem

    error: the subject `idd` is no field of clinic
     --> pipelines/clinic.yaml:1:7
      |
    1 | name: clinic
      |       ^^^^^^
      |
      = hint: did you mean `id`?
    ");
}
