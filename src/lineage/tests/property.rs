//! Tests the main property of lineage: if a field is not in a column's lineage, changing the field never changes the
//! column. Random SQL is run twice, on records that differ in all such fields at once.

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use futures::{StreamExt, TryStreamExt, stream};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::random_sql::Sql;
use super::records::{batch, changed, record};
use super::*;
use crate::mask::Masked;
use crate::model::Batch;
use crate::transform::{ScanInput, Used, sample};

const FIELDS: &str = "id, city, hiv, age:int, codes[:string], home{street, zip}, \
                      visits[code, day:int, tags[:string], note{text, author}]";

/// The seeds to try: `LINEAGE_CASES` seeds, starting at `LINEAGE_SEED`.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("LINEAGE_SEED").unwrap_or(0);
    first..first + number("LINEAGE_CASES").unwrap_or(100)
}

#[tokio::test]
async fn a_field_outside_the_lineage_changes_nothing() {
    let engine = engine().unwrap();
    let (mut ran, mut fixed, mut moved, mut narrower) = (0_u64, 0_u64, 0_u64, 0_u64);
    let cases = seeds().end - seeds().start;
    for seed in seeds() {
        let mut random = StdRng::seed_from_u64(seed);
        let sql = Sql(&mut random).query();
        let project = project(
            vec![entity("t", "out, out2")],
            vec![source("s", FIELDS, &[("t", &sql)])],
            vec![],
        );
        // Some random queries can't be planned or run. They are skipped.
        let source = &project.sources[0];
        let Ok(lineage) = of_project(&engine, &project, Outlines::new()).await else {
            continue;
        };
        let outlines = engine.outline(&project, source, |_, _| Ok(())).unwrap();
        let sample = sample(source);
        let prepare = |used: Used<'_>| engine.prepare(&project, source, &outlines, &sample, used);
        let Ok(mut prepared) = prepare(&|_, _| None) else {
            continue;
        };
        let prepared = prepared.remove(0);
        let records: Vec<Value> = (0..6).map(|_| record(&mut random)).collect();
        let Some(before) = run(&engine, source, &prepared, &records).await else {
            continue;
        };
        ran += 1;
        // Fields that a transform does not use can be removed before it runs.
        let narrow = prepare(&used).unwrap().remove(0);
        narrower += u64::from(narrow.reads() < prepared.reads());
        let without = run(&engine, source, &narrow, &records).await;
        assert_eq!(without.as_ref(), Some(&before), "seed {seed}: narrowed\n{sql}");
        for (index, column) in ["out", "out2"].into_iter().enumerate() {
            let lineage = lineage.of("t", column).next().unwrap();
            let inside = |path: &str| lineage.origins.iter().any(|origin| origin.path == path);
            let outside = |path: &str| !inside(path);
            let changed = changed(&records, &source.kinds[0].schema, &outside, seed);
            fixed += u64::from(changed != records);
            let Some(after) = run(&engine, source, &prepared, &changed).await else {
                panic!("seed {seed}: the same query fails on other records\n{sql}")
            };
            assert_eq!(
                before[index],
                after[index],
                "seed {seed}: {column} derives from more than {}\n{sql}",
                shown(lineage)
            );
            let changed = self::changed(&records, &source.kinds[0].schema, &inside, seed);
            moved += u64::from(
                run(&engine, source, &prepared, &changed)
                    .await
                    .is_some_and(|after| before[index] != after[index]),
            );
        }
    }
    // Without these counts, the test could pass without testing anything.
    println!("{ran} of {cases} queries, {fixed} outside changes moved nothing, {moved} inside changes moved a column");
    assert!(narrower > ran / 4, "only {narrower} of {ran} queries read less");
    assert!(ran * 2 > cases, "only {ran} of {cases} queries ran");
    assert!(fixed > ran, "only {fixed} changes outside the lineage in {ran} queries");
    assert!(
        moved > ran / 2,
        "only {moved} changes inside the lineage were seen in {ran} queries"
    );
}

/// The values of both columns, sorted, because SQL promises no order. `None` if the query fails.
async fn run(
    engine: &Engine,
    source: &Source,
    prepared: &Prepared,
    records: &[Value],
) -> Option<[Vec<Option<String>>; 2]> {
    let schema = crate::model::arrow_schema(&source.kinds[0]);
    let input = batch(&schema, source, records);
    let input = ScanInput::own([schema].into(), move || {
        stream::iter([input.slice(0, 2), input.slice(2, 4)].map(|batch| Ok(Masked::assumed(batch)))).boxed()
    });
    let day = Batch {
        source: "s".into(),
        date: "2023-05-02".parse().unwrap(),
    };
    let rows: Vec<RecordBatch> = engine
        .execute(prepared, &day, input)
        .await
        .ok()?
        .rows
        .try_collect()
        .await
        .ok()?;
    Some([0, 1].map(|column| {
        let mut values: Vec<_> = rows.iter().flat_map(|batch| texts(batch.column(column))).collect();
        values.sort();
        values
    }))
}

fn texts(column: &ArrayRef) -> Vec<Option<String>> {
    cast(column, &DataType::Utf8)
        .unwrap()
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}
