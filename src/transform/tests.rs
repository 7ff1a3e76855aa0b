//! Transforms as users write them, planned and run over made-up records.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, ListArray, RecordBatch, StringArray, StructArray, UInt64Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field as ArrowField, Fields, SchemaRef, UInt64Type};
use futures::{StreamExt, TryStreamExt, stream};

use super::*;
use crate::error::{Diagnostic, Location, Result};
use crate::lineage;
use crate::mask::Masked;
use crate::model::{Batch, Column, Entity, Field, FieldType, PgType, Project, Source, Transform};

fn here() -> Location {
    Location {
        file: PathBuf::from("x"),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
    }
}

fn column(name: &str, pg_type: PgType, nullable: bool) -> Column {
    Column {
        name: name.into(),
        pg_type,
        nullable,
        description: None,
        location: here(),
    }
}

fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        privacy: crate::model::Privacy::default(),
        rules: crate::model::ValueRules::default(),
        name: name.into(),
        field_type,
        required: false,
        from: None,
        description: None,
        one_or_many: false,
        location: here(),
    }
}

/// One entity (patient_id text, code text) and a source with `patient_id` and a list of `{code}`.
fn project(sql: &str) -> Project {
    let codes = FieldType::List(Box::new(field(
        "item",
        FieldType::Struct(vec![field("code", FieldType::String)]),
    )));
    let entity = Entity {
        name: "codes".into(),
        description: None,
        columns: vec![
            column("patient_id", PgType::Text, false),
            column("code", PgType::Text, true),
        ],
        key: vec![],
        parent: None,
        deletes_from: None,
        deleted_flag: None,
        indexes: vec![],
        checks: vec![],
        location: here(),
    };
    let source = Source {
        transforms: vec![Transform {
            entity: "codes".into(),
            path: "sql/a/codes.sql".into(),
            sql: sql.into(),
            given: None,
        }],
        ..crate::model::testing::source("a", vec![field("patient_id", FieldType::String), field("codes", codes)])
    };
    Project {
        exposed: Vec::new(),
        profile: crate::model::Profile::Custom,
        gate: None,
        root: PathBuf::new(),
        entities: vec![entity],
        sources: vec![source],
        views: vec![],
        checks: vec![],
        text: String::new(),
    }
}

fn text_only(arrow: &DataType, _: &PgType) -> std::result::Result<(), String> {
    if matches!(arrow, DataType::Utf8 | DataType::Utf8View) {
        Ok(())
    } else {
        Err("CAST it to text".into())
    }
}

/// Patient `P<record>` with the given number of codes, `<record>-1` and so on. `None` is a null list.
fn records(schema: &SchemaRef, codes: &[Option<usize>]) -> RecordBatch {
    let ids: StringArray = (1..=codes.len()).map(|i| Some(format!("P{i}"))).collect();
    let values: StringArray = codes
        .iter()
        .enumerate()
        .flat_map(|(i, n)| (1..=n.unwrap_or(0)).map(move |k| Some(format!("{}-{k}", i + 1))))
        .collect();
    let fields = Fields::from(vec![ArrowField::new("code", DataType::Utf8, true)]);
    let items = StructArray::new(fields.clone(), vec![Arc::new(values)], None);
    let list = ListArray::new(
        Arc::new(ArrowField::new("item", DataType::Struct(fields), true)),
        OffsetBuffer::from_lengths(codes.iter().map(|n| n.unwrap_or(0))),
        Arc::new(items),
        Some(NullBuffer::from(codes.iter().map(Option::is_some).collect::<Vec<_>>())),
    );
    let record = UInt64Array::from_iter_values(1..=codes.len() as u64);
    RecordBatch::try_new(
        Arc::clone(schema),
        vec![Arc::new(ids), Arc::new(list), Arc::new(record)],
    )
    .unwrap()
}

fn engine() -> Engine {
    Engine::new(&Limits {
        memory: 64 << 20,
        at_once: 1,
        spill: None,
    })
    .unwrap()
}

fn prepare(sql: &str) -> std::result::Result<Prepared, Vec<Diagnostic>> {
    let project = project(sql);
    prepared(&project, &sample(&project.sources[0]), &|_, _| None)
}

fn prepared(project: &Project, batch: &Batch, used: Used<'_>) -> std::result::Result<Prepared, Vec<Diagnostic>> {
    let (engine, source) = (engine(), &project.sources[0]);
    let outlines = engine.outline(project, source, text_only)?;
    let mut all = engine.prepare(project, source, &outlines, batch, used)?;
    Ok(all.remove(0))
}

fn problems(sql: &str) -> Vec<String> {
    let shown = |d: Diagnostic| {
        let at = d
            .location
            .map_or(String::new(), |l| format!("{}:{}+{}", l.line, l.column, l.length));
        format!("{at} {} | {}", d.message, d.hint.unwrap_or_default())
    };
    prepare(sql)
        .expect_err("the transform is refused")
        .into_iter()
        .map(shown)
        .collect()
}

/// The rows as `patient code record`, from a shared input of two batches. Whole and narrowed records must give the
/// same.
async fn run(sql: &str) -> Result<Vec<String>> {
    let full = prepare(sql).map_err(Prepared::problems)?;
    let project = project(sql);
    let sample = sample(&project.sources[0]);
    let narrow = prepared(&project, &sample, &lineage::used);
    let narrow = narrow.map_err(Prepared::problems)?;
    let rows = rows_of(&project, &full).await?;
    assert_eq!(rows_of(&project, &narrow).await?, rows);
    Ok(rows)
}

async fn rows_of(project: &Project, prepared: &Prepared) -> Result<Vec<String>> {
    let source = &project.sources[0];
    let schema = crate::model::arrow_schema(&source.kinds[0]);
    let batch = on("2023-05-02");
    let input = records(&schema, &[Some(2), None, Some(0), Some(1)]);
    let open = move |schema: &SchemaRef| {
        let _ = schema;
        stream::iter([input.slice(0, 1), input.slice(1, 3)].map(|batch| Ok(Masked::assumed(batch)))).boxed()
    };
    let rows = if prepared.shares().is_some() {
        let (mut inputs, broadcast) = broadcast(&[Arc::clone(&schema)].into(), open(&schema), &[0]);
        let input = inputs.remove(0);
        let rows = engine()
            .execute(prepared, &batch, input)
            .await?
            .rows
            .try_collect::<Vec<_>>();
        let (rows, read) = futures::join!(rows, broadcast.run());
        read?;
        rows?
    } else {
        let s = Arc::clone(&schema);
        let input = ScanInput::own([schema].into(), move || open(&s));
        engine()
            .execute(prepared, &batch, input)
            .await?
            .rows
            .try_collect::<Vec<_>>()
            .await?
    };
    Ok(rows.iter().flat_map(shown_rows).collect())
}

fn shown_rows(batch: &RecordBatch) -> Vec<String> {
    assert_eq!(
        batch
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .filter(|name| !name.starts_with("_check_"))
            .collect::<Vec<_>>(),
        ["patient_id", "code", "_record"]
    );
    let text = |i: usize, row: usize| {
        let column = datafusion::arrow::compute::cast(batch.column(i), &DataType::Utf8).unwrap();
        let column = column.as_string::<i32>();
        if column.is_null(row) {
            "null".to_owned()
        } else {
            column.value(row).to_owned()
        }
    };
    let record = batch.column(2).as_primitive::<UInt64Type>();
    (0..batch.num_rows())
        .map(|row| {
            let record = if record.is_null(row) {
                "?".to_owned()
            } else {
                record.value(row).to_string()
            };
            format!("{} {} {record}", text(0, row), text(1, row))
        })
        .collect()
}

const UNNEST: &str = "WITH c AS (SELECT patient_id, unnest(codes) AS item FROM source)
SELECT item['code'] AS code, patient_id FROM c";

#[tokio::test]
async fn unnests_and_keeps_the_record() {
    assert_eq!(run(UNNEST).await.unwrap(), ["P1 1-1 1", "P1 1-2 1", "P4 4-1 4"]);
}

#[tokio::test]
async fn elements_are_numbered_in_each_list() {
    // Lists with two elements, null, none and one; those after the first lie in a slice.
    let numbered = "WITH c AS (SELECT patient_id, unnest(with_ordinality(codes)) AS c FROM source)
        SELECT patient_id, CAST(c['ordinality'] AS VARCHAR) || ':' || c['item']['code'] AS code FROM c";
    assert_eq!(run(numbered).await.unwrap(), ["P1 1:1-1 1", "P1 2:1-2 1", "P4 1:4-1 4"]);
    let kept = "SELECT patient_id, array_to_string(array_filter(with_ordinality(codes), c -> c['item']['code'] LIKE '%-2' \
                OR patient_id = 'P4')['ordinality'], ',') AS code FROM source";
    assert_eq!(run(kept).await.unwrap(), ["P1 2 1", "P2 null 2", "P3  3", "P4 1 4"]);
    let error = problems("SELECT patient_id, with_ordinality(patient_id)[1]['item'] AS code FROM source");
    assert!(error[0].contains("with_ordinality takes a list"), "{error:?}");
}

#[tokio::test]
async fn a_field_of_a_list_is_the_list_of_the_field() {
    let rows = run("SELECT patient_id, array_to_string(codes['code'], '+') AS code FROM source").await;
    assert_eq!(rows.unwrap(), ["P1 1-1+1-2 1", "P2 null 2", "P3  3", "P4 4-1 4"]);
    // Lists in lists, and inside of a lambda.
    let nested = "SELECT patient_id, array_to_string(flatten(make_array(codes, codes)['code']), '+') || \
                  array_to_string(array_transform(make_array(codes), c -> cardinality(c['code'])), '') AS code FROM source";
    assert_eq!(run(nested).await.unwrap()[0], "P1 1-1+1-2+1-1+1-22 1");
    let unknown = problems("SELECT patient_id, codes['cod'][1] AS code FROM source");
    assert!(unknown[0].starts_with("1:25+7 there is no field `cod`"), "{unknown:?}");
}

#[tokio::test]
async fn the_record_survives_what_keeps_rows_apart() {
    for (sql, rows) in [
        (
            "SELECT patient_id, NULL AS code FROM source WHERE patient_id = 'P3'",
            vec!["P3 null 3"],
        ),
        (
            "SELECT * FROM (SELECT patient_id, 'x' AS code FROM source ORDER BY patient_id DESC LIMIT 1)",
            vec!["P4 x 4"],
        ),
        (
            "SELECT patient_id, CAST(row_number() OVER (ORDER BY patient_id) AS VARCHAR) AS code FROM source LIMIT 2",
            vec!["P1 1 1", "P2 2 2"],
        ),
        (
            "SELECT a.patient_id, b.patient_id AS code FROM source a JOIN source b ON a.patient_id = b.patient_id
             WHERE a.patient_id = 'P2'",
            vec!["P2 P2 2"],
        ),
        (
            "SELECT patient_id, 'u' AS code FROM source WHERE patient_id = 'P1'
             UNION ALL SELECT patient_id, 'v' FROM source WHERE patient_id = 'P2'",
            vec!["P1 u 1", "P2 v 2"],
        ),
        (
            "SELECT patient_id, $source AS code FROM source WHERE $date = DATE '2023-05-02' LIMIT 1",
            vec!["P1 a 1"],
        ),
    ] {
        assert_eq!(run(sql).await.unwrap(), rows, "{sql}");
    }
}

#[tokio::test]
async fn the_record_ends_where_rows_are_merged() {
    let distinct = "SELECT DISTINCT 'p' AS patient_id, NULL AS code FROM source";
    assert_eq!(run(distinct).await.unwrap(), ["p null ?"]);
    let aggregate = "SELECT max(patient_id) AS patient_id, CAST(count(*) AS VARCHAR) AS code FROM source";
    assert_eq!(run(aggregate).await.unwrap(), ["P4 4 ?"]);
    let subquery =
        "SELECT patient_id, (SELECT max(patient_id) FROM source) AS code FROM source WHERE patient_id = 'P1'";
    assert_eq!(run(subquery).await.unwrap(), ["P1 P4 1"]);
}

#[tokio::test]
async fn counts_scans_of_source() {
    assert_eq!(prepare(UNNEST).unwrap().scans.len(), 1);
    let twice = "SELECT a.patient_id, NULL AS code FROM source a WHERE a.patient_id IN (SELECT patient_id FROM source)";
    assert_eq!(prepare(twice).unwrap().scans.len(), 2);
    // On the sample date that is used for planning, the optimizer would find one of the scans unused.
    let later = "SELECT patient_id, NULL AS code FROM source UNION ALL \
                 SELECT patient_id, NULL AS code FROM source WHERE $date > DATE '2000-01-01'";
    assert_eq!(prepare(later).unwrap().scans.len(), 2);
}

#[tokio::test]
async fn the_output_is_checked_against_the_contract() {
    assert_eq!(
        problems("SELECT 1 AS patient_id,\n       name AS cod\nFROM (SELECT 'x' AS name FROM source)"),
        [
            "2:8+11 column `cod` is not one of codes | did you mean `code`?",
            "1:8+15 column `patient_id` of codes is text but the transform returns Int64 | CAST it to text",
            "1:1+23 column `code` (text) of codes is missing | return it, or `NULL AS code` where this source has none",
        ]
    );
}

#[tokio::test]
async fn planning_errors_name_the_place() {
    let unknown = problems("SELECT patient_id,\n  cods AS code\nFROM source");
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(unknown[0].starts_with("2:3+4 column 'cods' not found"), "{unknown:?}");
    let syntax = problems("SELECT patient_id\nFORM source");
    assert!(syntax[0].starts_with("2:6+"), "{syntax:?}");
    for from in [
        "source s CROSS JOIN UNNEST(s.codes) AS c(i)",
        "source s, LATERAL (SELECT unnest(s.codes) AS i) c",
    ] {
        let lateral = problems(&format!("SELECT s.patient_id, c.i['code'] AS code FROM {from}"));
        assert!(lateral[0].contains("unnests in the SELECT list"), "{lateral:?}");
    }
    let field = problems("SELECT patient_id,\n  codes[1]['cod'] AS code FROM source");
    assert!(
        field[0].starts_with("2:11+7 ") && field[0].contains("there is no field `cod`"),
        "{field:?}"
    );
    let list = problems("SELECT patient_id, codes['code'] AS code FROM source");
    assert!(
        list[0].starts_with("1:20+21 ") && list[0].contains("the transform returns List"),
        "{list:?}"
    );
    let ordinality = problems("SELECT patient_id, c.i AS code FROM source, UNNEST(codes) WITH ORDINALITY AS c(i, n)");
    assert!(
        ordinality[0].contains("unnest(with_ordinality(visits))"),
        "{ordinality:?}"
    );
    let ddl = problems("DROP TABLE source");
    assert_eq!(
        ddl,
        ["1:1+17 a transform is one SELECT | return the entity's rows with a SELECT"]
    );
    let two = problems("SELECT 1; SELECT 2");
    assert_eq!(two.len(), 1, "{two:?}");
}

#[tokio::test]
async fn a_failing_value_is_not_shown() {
    let sql = "SELECT patient_id, CAST(sum(CAST(patient_id AS INT)) OVER () AS VARCHAR) AS code FROM source";
    let error = run(sql).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("sql/a/codes.sql failed while it ran"), "{shown}");
    assert!(!shown.contains("P1"), "{shown}");
    let sql = "SELECT CAST(parse_date(patient_id) AS VARCHAR) AS patient_id, CAST(count(*) AS VARCHAR) AS code FROM source \
               GROUP BY parse_date(patient_id)";
    let error = run(sql).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("P1"), "{error:?}");
}

#[tokio::test]
async fn an_input_that_fails_ends_every_transform() {
    let schema = crate::model::arrow_schema(&project(UNNEST).sources[0].kinds[0]);
    let input = stream::iter([Err(crate::Error::batch("file x: damaged"))]).boxed();
    let (mut inputs, broadcast) = broadcast(&[schema].into(), input, &[0]);
    let input = inputs.remove(0);
    let prepared = prepare(UNNEST).unwrap();
    let batch = on("2023-05-02");
    let rows = engine()
        .execute(&prepared, &batch, input)
        .await
        .unwrap()
        .rows
        .try_collect::<Vec<_>>();
    let (rows, read) = futures::join!(rows, broadcast.run());
    assert_eq!(read.unwrap_err().to_string(), "file x: damaged");
    assert_eq!(rows.unwrap_err().to_string(), "file x: damaged");
}

#[tokio::test]
async fn an_input_that_is_cut_off_is_no_end() {
    let schema = crate::model::arrow_schema(&project(UNNEST).sources[0].kinds[0]);
    let (mut inputs, broadcast) = broadcast(&[schema].into(), stream::empty().boxed(), &[0]);
    let input = inputs.remove(0);
    drop(broadcast);
    let prepared = prepare(UNNEST).unwrap();
    let batch = on("2023-05-02");
    let rows = engine()
        .execute(&prepared, &batch, input)
        .await
        .unwrap()
        .rows
        .try_collect::<Vec<_>>()
        .await;
    assert_eq!(rows.unwrap_err().to_string(), "reading the input was cut off");
}

fn on(day: &str) -> Batch {
    Batch {
        source: "a".into(),
        date: day.parse().unwrap(),
    }
}

/// The rows of the batch of `day`, whose input has these codes; in no particular order.
async fn rows_on(prepared: &Prepared, day: &str, codes: &[Option<usize>]) -> Vec<String> {
    let batch = on(day);
    let schema = crate::model::arrow_schema(&project(UNNEST).sources[0].kinds[0]);
    let input = records(&schema, codes);
    let open = move || stream::iter([Ok(Masked::assumed(input.clone()))]).boxed();
    let execution = engine()
        .execute(prepared, &batch, ScanInput::own([schema].into(), open))
        .await;
    let rows = execution.unwrap().rows.try_collect::<Vec<_>>().await.unwrap();
    let mut rows: Vec<String> = rows.iter().flat_map(shown_rows).collect();
    rows.sort();
    rows
}

/// The same rows, from a plan that was made for this day and runs once.
async fn rows_alone(sql: &str, day: &str, codes: &[Option<usize>]) -> Vec<String> {
    let project = project(sql);
    let prepared = prepared(&project, &on(day), &|_, _| None);
    rows_on(&prepared.unwrap(), day, codes).await
}

/// Does what `run` does with the days of a source.
#[tokio::test]
async fn a_transform_serves_more_than_one_batch_and_tells_none_of_another() {
    let filtered = "SELECT patient_id, upper(patient_id) AS code FROM source WHERE patient_id > 'P1' \
                    UNION ALL SELECT patient_id, NULL FROM source";
    let dated = "SELECT patient_id, CAST($date AS VARCHAR) AS code FROM source";
    let of_source = "SELECT patient_id, $source AS code FROM source";
    let subquery = "SELECT patient_id, (SELECT max(patient_id) FROM source) AS code FROM source";
    let join = "SELECT a.patient_id, b.patient_id AS code FROM source a JOIN source b USING (patient_id)";
    let cross = "SELECT a.patient_id, b.patient_id AS code FROM source a CROSS JOIN source b";
    let aggregate = "SELECT patient_id, max(patient_id) AS code FROM source GROUP BY patient_id";
    for sql in [UNNEST, filtered, dated, of_source, subquery, join, cross, aggregate] {
        let prepared = prepare(sql).unwrap();
        let (one, other) = (("2023-05-02", vec![Some(2), None]), ("2023-05-03", vec![Some(1); 3]));
        // The first batch runs a second time, beside the other.
        let (first, second, third) = futures::join!(
            rows_on(&prepared, one.0, &one.1),
            rows_on(&prepared, other.0, &other.1),
            rows_on(&prepared, one.0, &one.1)
        );
        let alone = rows_alone(sql, one.0, &one.1).await;
        assert_eq!((&first, &third), (&alone, &alone), "{sql}");
        assert_eq!(second, rows_alone(sql, other.0, &other.1).await, "{sql}");
    }
}

#[tokio::test]
async fn lambdas_go_over_elements_and_arrows_elsewhere_into_json() {
    for (sql, rows) in [
        (
            "SELECT patient_id, array_filter(codes, c -> c['code'] = '1-2')[1]['code'] AS code FROM source",
            vec!["P1 1-2 1", "P2 null 2", "P3 null 3", "P4 null 4"],
        ),
        (
            "SELECT patient_id, array_to_string(array_transform(codes, (c) -> upper(c['code'] || 'x')), ' ') AS code
             FROM source WHERE any_match(codes, c -> c['code'] = '4-1')",
            vec!["P4 4-1X 4"],
        ),
        (
            "SELECT patient_id, array_to_string(array_transform(array_filter(codes, c -> c['code'] <> '1-1'),
                                                                 d -> d['code'] || patient_id), ' ') AS code
             FROM source WHERE patient_id = 'P1'",
            vec!["P1 1-2P1 1"],
        ),
        (
            "SELECT patient_id, j ->> 'a' AS code FROM (SELECT *, '{\"a\": 7}' AS j FROM source)
             WHERE patient_id = 'P1' AND (j -> 'a') IS NOT NULL",
            vec!["P1 7 1"],
        ),
    ] {
        assert_eq!(run(sql).await.unwrap(), rows, "{sql}");
    }
}

#[tokio::test]
async fn json_and_code_functions_are_there() {
    let sql = "SELECT code_system('ICD-10:E11.9') AS patient_id, json_get_str('{\"a\":\"b\"}', 'a') AS code FROM source LIMIT 1";
    assert_eq!(run(sql).await.unwrap(), ["ICD-10 b 1"]);
}

/// Each transform has its own part of the memory. In a common pool, the first one to merge its spilled runs would
/// take all of it.
#[tokio::test]
async fn a_sort_that_merges_leaves_the_others_their_memory() {
    let spill = tempfile::tempdir().unwrap();
    let engine = Engine::new(&Limits {
        memory: 16 << 20,
        at_once: 2,
        spill: Some(spill.path().to_owned()),
    })
    .unwrap();
    let mut project = project("SELECT patient_id, repeat(unnest(codes)['code'], 50) AS code FROM source");
    project.entities[0].key = vec!["code".to_owned()];
    let source = &project.sources[0];
    let prepared = prepared(&project, &sample(source), &|_, _| None).unwrap();
    let schema = crate::model::arrow_schema(&source.kinds[0]);
    let input = records(&schema, &[Some(20); 80]);
    let open = move || {
        stream::iter(vec![input.clone(); 100])
            .map(|batch| Ok(Masked::assumed(batch)))
            .boxed()
    };
    let batch = on("2023-05-02");
    let sort = || {
        engine.execute(
            &prepared,
            &batch,
            ScanInput::own([Arc::clone(&schema)].into(), open.clone()),
        )
    };
    let mut merging = sort().await.unwrap().rows;
    let first = merging.next().await.unwrap().unwrap();
    let spilled = std::fs::read_dir(spill.path()).unwrap().count();
    assert!(spilled > 0, "nothing was spilled");
    let (all, rest) = (sort().await.unwrap().rows, merging);
    for (rows, expected) in [(all, 160_000), (rest, 160_000 - first.num_rows())] {
        let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), expected);
    }
}
