//! The JSON Schemas say what the readers do, by the word of another validator: every YAML file of these tests, right or
//! wrong, and many variants of files that have every key.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema_valid::Config;
use jsonschema_valid::schemas::Draft;
use regex::Regex;
use serde_json::{Value, json};

use super::Files;
use crate::error::{Diagnostic, Error};
use crate::model::Project;
use crate::project::document::Document;
use crate::project::mapping::Context;
use crate::project::problems::Problems;
use crate::project::{YamlKind, contract, parse_tests, schema_text, source};

/// Messages about what an editor can know: keys, and the shape of their values.
const SHAPE: &str = "^unknown key|must be (a mapping|a list|text|true or false|a percentage|a whole number)|\
                        ^(a |the |`)[^`]*`? has no `[a-z_]+`$|^`[a-z_]+` can't be `[^$]*$|^nothing acts on `[a-z_]+` yet|\
                        is no PostgreSQL type that a contract|is no type of a field|a check with(out a rule| two rules)|\
                        has both `|without bounds|declares no [a-z]+$|names no [a-z]+$|accepts nothing|has no step|a batch that fails has";

fn kind(path: &str) -> Option<YamlKind> {
    match path {
        "pipeline.yaml" => Some(YamlKind::Project),
        path if Path::new(path).extension()? != "yaml" => None,
        "schemas/kinds.yaml" => Some(YamlKind::Kinds),
        path if path.starts_with("schemas/") => Some(YamlKind::Fields),
        path if path.starts_with("pipelines/") => Some(YamlKind::Source),
        _ => Some(YamlKind::Tests),
    }
}

/// Whether the schema accepts the text. `None`: the text is no YAML.
fn accepts(kind: YamlKind, text: &str) -> Option<bool> {
    static KNOWN: LazyLock<Vec<(YamlKind, Config<'static>)>> = LazyLock::new(|| {
        let config = |kind: YamlKind| {
            let schema: &'static Value = Box::leak(Box::new(kind.schema()));
            (
                kind,
                Config::from_schema(schema, Some(Draft::Draft7)).expect("a schema"),
            )
        };
        YamlKind::ALL.map(config).into()
    });
    let value: Value = serde_saphyr::from_str(text).ok()?;
    let (_, config) = KNOWN.iter().find(|(known, _)| *known == kind)?;
    Some(config.validate(&value).is_ok())
}

/// Where the schema judges a file otherwise than the readers, of which these are the problems.
fn difference(path: &str, text: &str, found: &[&Diagnostic]) -> Option<String> {
    static OF_SHAPE: LazyLock<Regex> = LazyLock::new(|| Regex::new(SHAPE).expect("a pattern"));
    let kind = kind(path)?;
    let accepted = accepts(kind, text)?;
    let known: Vec<&str> = found.iter().map(|problem| problem.message.as_str()).collect();
    let of_shape = known.iter().any(|message| OF_SHAPE.is_match(message));
    if of_shape && accepted {
        Some(format!(
            "the schema {kind:?} accepts {text}\nof which the reader says {known:#?}"
        ))
    } else if known.is_empty() && !accepted {
        Some(format!("the schema {kind:?} refuses {text}\nwhich the reader accepts"))
    } else {
        None
    }
}

/// Where the schemas judge the YAML files of a project otherwise than the readers.
pub(super) fn differences(files: &Files, read: &Result<Project, Error>) -> Vec<String> {
    let problems = read.as_ref().err().map_or(&[][..], |error| &error.diagnostics);
    if read.is_err() && problems.is_empty() {
        return Vec::new();
    }
    let of_file = |path: &String, text: &String| {
        // That a shared file is no mapping is told where it is used.
        let here = |problem: &&Diagnostic| {
            problem.message.starts_with(&format!("{path} is no mapping"))
                || problem.location.as_ref().is_some_and(|at| at.file == Path::new(path))
        };
        // A shared file is judged where it is used.
        let users = files.0.iter().filter(|(other, _)| other != path);
        let mut users = users.filter_map(|(_, text)| text.as_ref());
        if matches!(kind(path), Some(YamlKind::Fields | YamlKind::Kinds))
            && !users.any(|text| text.contains(path.as_str()))
        {
            return None;
        }
        // What follows from a circle of files is not seen in one of them.
        if problems
            .iter()
            .filter(here)
            .any(|problem| problem.message.ends_with("uses itself"))
        {
            return None;
        }
        difference(path, text, &problems.iter().filter(here).collect::<Vec<_>>())
    };
    let files = files.0.iter();
    files.filter_map(|(path, text)| of_file(path, text.as_ref()?)).collect()
}

#[test]
fn the_schemas_are_schemas_of_draft_7() {
    for kind in YamlKind::ALL {
        let schema = kind.schema();
        let config = Config::from_schema(&schema, Some(Draft::Draft7)).expect("a schema");
        assert!(config.validate_schema().is_ok(), "{kind:?}");
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    }
    let all: Value = serde_json::from_str(&schema_text(None)).expect("JSON");
    assert_eq!(all["source"], YamlKind::Source.schema());
}

#[test]
fn an_editor_learns_meanings_choices_and_defaults() {
    let source = YamlKind::Source.schema();
    let malformed = &source["properties"]["input"]["properties"]["on_malformed"];
    assert_eq!(malformed["default"], "quarantine");
    assert_eq!(malformed["anyOf"][0]["enum"], json!(["quarantine", "fail"]));
    assert!(malformed["description"].as_str().is_some_and(|text| text.len() > 20));
    assert_eq!(source["required"], json!(["name", "input"]));
    let column = &YamlKind::Project.schema()["properties"]["entities"]["additionalProperties"]["properties"]["columns"];
    let column = &column["additionalProperties"]["anyOf"][1];
    assert_eq!(
        column["properties"]["nullable"],
        json!({"type": "boolean", "default": true, "description": "Whether the column may be null."})
    );
}

/// A file that schemas use. The reader judges it where it is used, so only the schema is asked here.
#[test]
fn a_file_of_shared_fields_has_a_schema_of_its_own() {
    let accepted = |text: &str| accepts(YamlKind::Fields, text).expect("YAML");
    for text in [
        "a: string\nb: {type: date, phi: date, mask: year}\nc: {list: {d: int}}\n",
        "use: schemas/base.yaml\na: {mask: redact}\nb: null\nc: {struct: {d: null}}\n",
        // The type is that of each schema that uses the file.
        "a: {phi: name, mask: redact}\n",
        "a: {struct: {b: {phi: name}}}\n",
        "use: string\n",
        // It takes out a field of a file before it.
        "a: null\n",
    ] {
        assert!(accepted(text), "{text}");
    }
    for text in [
        "- a\n",
        "a: strin\n",
        "a: {type: string, masc: redact}\n",
        "schema: {a: string}\n",
    ] {
        assert!(!accepted(text), "{text}");
    }
}

const PROJECT: &str = r#"{
  "name": "n", "description": "d",
  "privacy": {"profile": "custom", "k": 2, "quasi": ["name"], "over": "patients", "severity": "warn"},
  "expose": [{"view": "patients", "reason": "r"}],
  "entities": {
    "patients": {
      "description": "d",
      "columns": {
        "patient_id": {"type": "text", "nullable": false, "description": "d"},
        "name": "varchar(20)", "born": "date", "weight": "numeric(4, 1)", "n": "int8", "gone": "bool"
      },
      "key": ["patient_id"],
      "latest": {"view": "patients_latest", "deleted": "gone", "materialized": true},
      "deletions": "patients_gone",
      "indexes": [["name"], {"columns": ["name", "born"]}],
      "checks": [
        {"not_null": "name", "name": "c", "severity": "warn", "orphans": "keep"},
        {"unique": ["name", "born"]},
        {"accepted_values": {"column": "name", "values": ["a", 1, true]}},
        {"range": {"column": "n", "min": 1, "max": "9"}},
        {"expression": "n > 0"},
        {"row_count": {"min": 1, "max": "1_000", "change": "50%"}},
        {"freshness": {"column": "born", "days": 3}}
      ]
    },
    "visits": {
      "columns": {"patient_id": "text", "visit_id": "text"},
      "parent": {"entity": "patients", "columns": ["patient_id"], "scope": "source"},
      "checks": [{"relationships": {"entity": "patients", "columns": ["patient_id"], "scope": "source"}}]
    }
  }
}"#;

const CLINIC: &str = r#"{
  "name": "clinic", "aliases": ["c"], "description": "d",
  "input": {
    "path": "data/{date:%Y%m%d}/visits.csv", "format": "csv", "compression": "gzip", "encoding": "Latin1",
    "on_missing": "skip", "on_empty": "replace", "on_empty_file": "ignore", "on_malformed": "fail",
    "on_no_records": "skip", "csv": {"delimiter": ";", "quote": "'", "header": false, "nulls": ["-"]}
  },
  "schema": {
    "patient_id": {"type": "string", "required": true, "phi": "identifier", "mask": "hash", "domain": "patient"},
    "name": {"type": "string", "phi": "name", "mask": "keep", "reason": "r", "description": "d",
      "normalize": ["trim", {"strip_prefix": "a"}], "matches": "[a-z]+", "length": {"min": 1, "max": 9}},
    "born": {"type": "date", "format": ["%d.%m.%Y", "%Y"], "precision": "partial", "normalize": {"strip_suffix": "z"}},
    "seen": {"type": "timestamp", "format": "%Y-%m-%d %H:%M", "nulls": ["9999-12-31"]},
    "weight": {"type": "decimal(5, 1)", "from": ["string", "number"], "range": {"min": 0, "max": 400.5}},
    "n": {"type": "int", "from": "string", "accepted_values": [1, 2], "normalize": "trim"},
    "code": {"type": "string", "length": 5},
    "flag": "bool"
  },
  "subject": "patient_id", "shift_by": "weeks", "on_unknown_field": "fail", "transforms": "sql/clinic",
  "checks": {"patients": [{"not_null": "born"}]},
  "conserves": {"patients": {"path": "$", "where": "n > 0"}},
  "deletes": {"patients": "select patient_id from source where flag"},
  "allow_constant_masks": ["name"],
  "max_quarantined": {"records": "1%", "entities": {"patients": 20, "visits": "0.5 %"}}
}"#;

const NESTED: &str = r#"{
  "name": "clinic",
  "input": {"path": "s3://b/{date}.json", "records": "$.entry[*]", "storage": {"region": "x", "allow_http": true}},
  "schema": {
    "patient_id": "string",
    "of": {"type": "reference", "to": ["Patient"], "base": ["https://x.example/fhir"], "domains": {"Patient": "p"},
      "phi": "identifier", "mask": "hash"},
    "at": {"type": "timestamptz", "zone": "UTC"},
    "visits": {"list": {"id": "string", "notes": {"struct": {"text": "string"}}, "codes": {"list": "string"}}},
    "names": {"one_or_many": {"text": {"type": "string", "required": false}}},
    "tags": {"one_or_many": "string"}
  },
  "conserves": {"visits": "visits[]"},
  "max_quarantined": 0
}"#;

const KINDS: &str = r#"{
  "name": "clinic",
  "input": {"path": ["in/{date}.json", {"path": "in/{date}/visits.json", "kind": "visit"}]},
  "kinds": {
    "patient": {
      "where": {"type": "Patient", "meta.version": [1, "2"]},
      "schema": {"patient_id": "string", "use": "string"},
      "subject": "patient_id", "on_unknown_field": "ignore", "checks": {"patients": [{"not_null": "name"}]},
      "conserves": {"patients": "$"}, "deletes": {"patients": "select patient_id from patient"}, "allow_constant_masks": ["patient_id"], "max_quarantined": "1%"
    },
    "visit": {"where": {"type": "Visit"}, "schema": {"visit_id": "string"}}
  },
  "on_unknown_kind": "fail"
}"#;

const CASES: &str = r#"{"tests": [
  {"name": "n", "description": "d", "date": "2023-05-01", "records": [{"patient_id": "P"}, "{broken"],
   "rows": {"patients": [{"patient_id": "P", "name": null, "n": 1}], "visits": []},
   "refused": [{"entity": "record", "check": "malformed", "record": 2, "path": "p", "reason": "r"}]},
  {"name": "n", "date": 20230501, "records": [], "fails": "no"}
]}"#;

fn files() -> Files {
    Files::good()
        .with("pipeline.yaml", PROJECT)
        .with("pipelines/clinic.yaml", CLINIC)
}

/// All variants of a value: each value in it replaced by others or taken out, and each mapping with a further key.
fn variants(value: &Value) -> Vec<Value> {
    let others = [
        json!(null),
        json!(7),
        json!("zzz"),
        json!([]),
        json!({}),
        json!(["zzz"]),
    ];
    let mut found: Vec<Value> = others.to_vec();
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let with = |new: Option<Value>| {
                    let mut map = map.clone();
                    map.remove(key);
                    map.extend(new.map(|new| (key.clone(), new)));
                    Value::Object(map)
                };
                found.push(with(None));
                found.extend(variants(inner).into_iter().map(|new| with(Some(new))));
            }
            let mut more = map.clone();
            more.insert("zzz".to_owned(), json!("string"));
            found.push(Value::Object(more));
        }
        Value::Array(list) => {
            for (at, inner) in list.iter().enumerate() {
                let with = |new: Option<Value>| {
                    let mut list = list.clone();
                    list.splice(at..=at, new);
                    Value::Array(list)
                };
                found.push(with(None));
                found.extend(variants(inner).into_iter().map(|new| with(Some(new))));
            }
        }
        _ => {}
    }
    found
}

/// Reads one file alone, without the disk.
fn problems_of(path: &str, text: &str) -> Vec<Diagnostic> {
    let mut problems = Problems::default();
    let document = Document::new(path.into(), text.to_owned());
    if let Some(tree) = document.parse(&mut problems) {
        let mut ctx = Context {
            document: &document,
            lookup: &|_| None,
            held: &Vec::new,
            variables: false,
            problems: &mut problems,
        };
        match kind(path) {
            Some(YamlKind::Project) => drop(contract::read(&mut ctx, &tree)),
            _ => drop(source::read(&mut ctx, &tree)),
        }
    }
    problems.into_diagnostics()
}

#[track_caller]
fn variants_are_judged_alike(path: &str, text: &str) {
    // The unchanged file must be right, or its variants would show nothing.
    files().with(path, text).load().expect("a good project");
    let variants = variants(&serde_json::from_str(text).expect("JSON"));
    assert!(variants.len() > 150, "{}", variants.len());
    let found = variants.iter().filter_map(|variant| {
        let text = variant.to_string();
        difference(path, &text, &problems_of(path, &text).iter().collect::<Vec<_>>())
    });
    assert_eq!(found.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn variants_of_a_contract_with_every_key_are_judged_alike() {
    variants_are_judged_alike("pipeline.yaml", PROJECT);
}

#[test]
fn variants_of_a_source_with_every_key_are_judged_alike() {
    variants_are_judged_alike("pipelines/clinic.yaml", CLINIC);
    variants_are_judged_alike("pipelines/clinic.yaml", NESTED);
    variants_are_judged_alike("pipelines/clinic.yaml", KINDS);
}

/// What is laid over shared fields, and whether it can be right.
#[test]
fn what_is_laid_over_shared_fields_is_judged_at_any_depth() {
    for (over, right) in [
        (
            r#"{"visits": {"list": {"note": null, "date": {"format": "%Y"}}}}"#,
            true,
        ),
        (r#"{"visits": {"required": true, "list": {"note": null}}}"#, true),
        (
            r#"{"visits": {"list": {"use": "schemas/visit.yaml", "use_of": "string"}}}"#,
            true,
        ),
        (r#"{"visits": {"list": {"use": "string"}}}"#, true),
        (r#"{"visits": {"list": "string"}}"#, true),
        (
            r#"{"name": {"struct": {"of": {"one_or_many": {"text": {"mask": "redact"}}}}}}"#,
            true,
        ),
        (r#"{"visits": {"list": {"date": {"fromat": "%Y"}}}}"#, false),
        (r#"{"visits": {"list": {"date": {"mask": "redcat"}}}}"#, false),
        (r#"{"visits": {"list": 7}}"#, false),
        (r#"{"name": {"struct": "string"}}"#, false),
        (
            r#"{"name": {"struct": {"of": {"one_or_many": {"text": {"maks": "redact"}}}}}}"#,
            false,
        ),
    ] {
        let mut source: Value = serde_json::from_str(NESTED).expect("JSON");
        let mut schema: Value = serde_json::from_str(over).expect("JSON");
        schema["use"] = json!("schemas/patient.yaml");
        source["schema"] = schema;
        assert_eq!(accepts(YamlKind::Source, &source.to_string()), Some(right), "{over}");
    }
}

#[test]
fn variants_of_test_cases_are_judged_alike() {
    let project = files()
        .with("pipelines/clinic.yaml", NESTED)
        .load()
        .expect("a good project");
    let judge = |text: &str| {
        let path = "sql/clinic/tests/a.yaml";
        let read = parse_tests(&project, &project.sources[0], path.into(), text.to_owned());
        let problems = read.err().map_or_else(Vec::new, |error| error.diagnostics);
        (difference(path, text, &problems.iter().collect::<Vec<_>>()), problems)
    };
    assert_eq!(judge(CASES), (None, Vec::new()));
    let variants = variants(&serde_json::from_str(CASES).expect("JSON"));
    assert!(variants.len() > 200, "{}", variants.len());
    let found: Vec<String> = variants
        .iter()
        .filter_map(|variant| judge(&variant.to_string()).0)
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

/// The keys of all mappings in a schema.
fn declared(schema: &Value, keys: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        keys.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(map) => map.values().for_each(|inner| declared(inner, keys)),
        Value::Array(list) => list.iter().for_each(|inner| declared(inner, keys)),
        _ => {}
    }
}

#[test]
fn every_key_is_in_the_files_whose_variants_are_judged() {
    let given: String = [PROJECT, CLINIC, NESTED, KINDS, CASES].concat();
    let mut keys = BTreeSet::new();
    for kind in YamlKind::ALL {
        declared(&kind.schema(), &mut keys);
    }
    assert!(keys.len() > 80, "{keys:?}");
    for key in keys {
        assert!(given.contains(&format!("\"{key}\":")), "{key}");
    }
}
