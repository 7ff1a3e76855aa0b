//! The splitter and the decoder. Both run in one read, on two threads; what is reported is the time that the program
//! itself counts for the one stage or the other, as `pipeline run --timings` shows it.

use std::fs;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use healthcare_insights::model::{Bounds, Field, FieldType, Literal, Normalize, Source, ValueRules};
use regex::Regex;

use crate::patients::DRUGS;
use crate::world::{Read, World, group};

pub fn bench(criterion: &mut Criterion, world: &World) {
    let checked = with_rules(&world.lines);
    let split = |read: Read| read.split;
    let decode = |read: Read| read.decode;
    measure(
        criterion,
        world,
        "split",
        &[("ndjson", &world.lines), ("array", &world.array)],
        split,
    );
    measure(
        criterion,
        world,
        "decode",
        &[("plain", &world.lines), ("rules", &checked)],
        decode,
    );
}

fn measure(
    criterion: &mut Criterion,
    world: &World,
    stage: &str,
    sources: &[(&str, &Source)],
    spent: fn(Read) -> Duration,
) {
    let mut group = group(criterion, stage);
    for (name, source) in sources {
        let size = fs::metadata(&source.input.paths[0].path).expect("the input").len();
        group.throughput(Throughput::ElementsAndBytes {
            elements: world.patients.len() as u64,
            bytes: size,
        });
        group.bench_function(*name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| spent(world.read(source))).sum());
        });
    }
    group.finish();
}

/// The source with a rule of each kind, all of which its records keep.
fn with_rules(source: &Source) -> Source {
    let mut source = source.clone();
    let mut rules = |path: &[&str], rules| field(&mut source.kinds[0].schema, path).rules = rules;
    let matches = |pattern: &str| Regex::new(&format!(r"\A(?:{pattern})\z")).ok();
    let trimmed = || vec![Normalize::Trim, Normalize::EmptyAsNull];
    rules(
        &["patient_id"],
        ValueRules {
            normalize: vec![
                Normalize::Trim,
                Normalize::StripPrefix("Patient/".to_owned()),
                Normalize::Upper,
            ],
            matches: matches(r"P-\d{9}"),
            ..ValueRules::default()
        },
    );
    rules(
        &["name"],
        ValueRules {
            normalize: trimmed(),
            length: Some(Bounds {
                min: Some(1),
                max: Some(200),
            }),
            ..ValueRules::default()
        },
    );
    rules(
        &["visits", "date"],
        ValueRules {
            // 1900-01-01.
            range: Some(Bounds {
                min: Some(Literal::Number(-25_567)),
                max: None,
            }),
            ..ValueRules::default()
        },
    );
    rules(
        &["visits", "diagnoses", "code"],
        ValueRules {
            normalize: trimmed(),
            matches: matches(r"ICD-1[01]:[A-Z0-9]+(\.[0-9]+)?"),
            ..ValueRules::default()
        },
    );
    rules(
        &["visits", "diagnoses", "treatments", "drug"],
        ValueRules {
            accepted_values: DRUGS.map(|drug| Literal::Text(drug.to_owned())).to_vec(),
            ..ValueRules::default()
        },
    );
    source
}

/// A declared field, by the names on the way to it.
fn field<'a>(fields: &'a mut [Field], path: &[&str]) -> &'a mut Field {
    let (name, rest) = path.split_first().expect("a name");
    let found = fields
        .iter_mut()
        .find(|field| field.name == *name)
        .expect("a declared field");
    if rest.is_empty() {
        return found;
    }
    match &mut found.field_type {
        FieldType::Struct(fields) => field(fields, rest),
        FieldType::List(item) => match &mut item.field_type {
            FieldType::Struct(fields) => field(fields, rest),
            _ => panic!("{name} holds no fields"),
        },
        _ => panic!("{name} holds no fields"),
    }
}
