//! What lineage is for: a field that is not in a column's lineage can change as it likes, and the
//! column stays the same. Random SQL is run twice, on records that differ in all those fields at once.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, RecordBatch, StringArray, StructArray, UInt64Array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field as ArrowField, SchemaRef};
use futures::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::*;
use crate::ingest;
use crate::transform::Feed;

const FIELDS: &str = "id, city, hiv, age:int, codes[:string], home{street, zip}, \
                      visits[code, day:int, tags[:string], note{text, author}]";

/// Seeds tried; `LINEAGE_CASES` sets more.
fn cases() -> u64 {
    std::env::var("LINEAGE_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(150)
}

#[tokio::test]
async fn a_field_outside_the_lineage_changes_nothing() {
    let engine = engine();
    let (mut ran, mut fixed, mut moved) = (0, 0, 0);
    for seed in 0..cases() {
        let mut random = StdRng::seed_from_u64(seed);
        let sql = Sql(&mut random).query();
        let project = project(
            vec![entity("t", "out, out2")],
            vec![source("s", FIELDS, &[("t", &sql)])],
            vec![],
        );
        // Not all that is made up here can be planned and run.
        let source = &project.sources[0];
        let Ok(lineage) = of_project(&engine, &project).await else {
            continue;
        };
        let prepared = engine.prepare(&project, source, |_, _| Ok(())).await.unwrap().remove(0);
        let records: Vec<Value> = (0..6).map(|_| record(&mut random)).collect();
        let Some(before) = run(&engine, source, &prepared, &records).await else {
            continue;
        };
        ran += 1;
        for (index, column) in ["out", "out2"].into_iter().enumerate() {
            let lineage = lineage.of("t", column).next().unwrap();
            let inside = |path: &str| lineage.origins.iter().any(|origin| origin.path == path);
            let outside = |path: &str| !inside(path);
            let changed = changed(&records, &source.schema, &outside, seed);
            fixed += usize::from(changed != records);
            let Some(after) = run(&engine, source, &prepared, &changed).await else {
                panic!("seed {seed}: the same query fails on other records\n{sql}")
            };
            assert_eq!(
                before[index],
                after[index],
                "seed {seed}: {column} derives from more than {}\n{sql}",
                shown(lineage)
            );
            let changed = self::changed(&records, &source.schema, &inside, seed);
            moved += usize::from(
                run(&engine, source, &prepared, &changed)
                    .await
                    .is_some_and(|after| before[index] != after[index]),
            );
        }
    }
    // Else this proves nothing.
    println!(
        "{ran} queries of {}, {fixed} columns unmoved by outside changes, {moved} moved by inside ones",
        cases()
    );
    assert!(ran * 2 > cases(), "only {ran} of {} queries ran", cases());
    assert!(
        fixed > ran as usize,
        "only {fixed} changes outside the lineage in {ran} queries"
    );
    assert!(
        moved > ran as usize / 2,
        "only {moved} changes inside the lineage were seen in {ran} queries"
    );
}

/// The values of both columns, sorted: SQL promises no order; `None` where running fails.
async fn run(
    engine: &Engine,
    source: &Source,
    prepared: &Prepared,
    records: &[Value],
) -> Option<[Vec<Option<String>>; 2]> {
    let schema = ingest::arrow_schema(source);
    let input = batch(&schema, source, records);
    let feed = Feed::own(schema, move || {
        stream::iter([Ok(input.slice(0, 2)), Ok(input.slice(2, 4))]).boxed()
    });
    let day = Batch {
        source: "s".into(),
        date: "2023-05-02".parse().unwrap(),
    };
    let rows: Vec<RecordBatch> = engine
        .execute(prepared, &day, feed)
        .await
        .ok()?
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

fn batch(schema: &SchemaRef, source: &Source, records: &[Value]) -> RecordBatch {
    let column = |field: &Field| {
        let values: Vec<&Value> = records.iter().map(|record| &record[&field.name]).collect();
        array(&field.field_type, &values)
    };
    let mut columns: Vec<ArrayRef> = source.schema.iter().map(column).collect();
    columns.push(Arc::new(UInt64Array::from_iter_values(1..=records.len() as u64)));
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

fn array(field_type: &FieldType, values: &[&Value]) -> ArrayRef {
    let nulls = NullBuffer::from(values.iter().map(|value| !value.is_null()).collect::<Vec<_>>());
    match field_type {
        FieldType::Int => Arc::new(
            values
                .iter()
                .map(|v| v.as_i64().map(|n| i32::try_from(n).unwrap()))
                .collect::<Int32Array>(),
        ),
        FieldType::Bool => Arc::new(values.iter().map(|v| v.as_bool()).collect::<BooleanArray>()),
        FieldType::Struct(fields) => {
            let arrays = fields.iter().map(|field| {
                let inner: Vec<&Value> = values.iter().map(|value| &value[&field.name]).collect();
                let array = array(&field.field_type, &inner);
                (
                    Arc::new(ArrowField::new(&field.name, array.data_type().clone(), true)),
                    array,
                )
            });
            let (fields, arrays): (Vec<_>, Vec<_>) = arrays.unzip();
            Arc::new(StructArray::new(fields.into(), arrays, Some(nulls)))
        }
        FieldType::List(item) => {
            let lists: Vec<&[Value]> = values
                .iter()
                .map(|v| v.as_array().map_or(&[][..], Vec::as_slice))
                .collect();
            let items = array(
                &item.field_type,
                &lists.iter().flat_map(|list| list.iter()).collect::<Vec<_>>(),
            );
            let field = Arc::new(ArrowField::new("item", items.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.len()));
            Arc::new(ListArray::new(field, offsets, items, Some(nulls)))
        }
        _ => Arc::new(values.iter().map(|value| value.as_str()).collect::<StringArray>()),
    }
}

fn text(random: &mut StdRng) -> Value {
    // Few values, so that keys and groups meet.
    if random.random_bool(0.15) {
        Value::Null
    } else {
        json!(["a", "b", "m", "x"].choose(random).unwrap())
    }
}

fn number(random: &mut StdRng) -> Value {
    if random.random_bool(0.15) {
        Value::Null
    } else {
        json!(random.random_range(0..4))
    }
}

fn list(random: &mut StdRng, mut item: impl FnMut(&mut StdRng) -> Value) -> Value {
    if random.random_bool(0.1) {
        return Value::Null;
    }
    let length = random.random_range(0..3);
    (0..length).map(|_| item(random)).collect()
}

fn visit(random: &mut StdRng) -> Value {
    if random.random_bool(0.1) {
        return Value::Null;
    }
    let note = if random.random_bool(0.2) {
        Value::Null
    } else {
        json!({"text": text(random), "author": text(random)})
    };
    json!({"code": text(random), "day": number(random), "tags": list(random, text), "note": note})
}

fn record(random: &mut StdRng) -> Value {
    let home = if random.random_bool(0.2) {
        Value::Null
    } else {
        json!({"street": text(random), "zip": text(random)})
    };
    json!({
        "id": text(random), "city": text(random), "hiv": text(random), "age": number(random), "home": home,
        "codes": list(random, text), "visits": list(random, visit),
    })
}

/// The records with everything anew at the paths that `may` change.
fn changed(records: &[Value], schema: &[Field], may: &dyn Fn(&str) -> bool, seed: u64) -> Vec<Value> {
    let mut random = StdRng::seed_from_u64(seed ^ 0xC0FFEE);
    records
        .iter()
        .map(|record| change_fields(record, schema, "", may, &mut random))
        .collect()
}

fn change_fields(
    value: &Value,
    fields: &[Field],
    prefix: &str,
    may: &dyn Fn(&str) -> bool,
    random: &mut StdRng,
) -> Value {
    let change = |field: &Field| {
        let path = format!("{prefix}{}", field.name);
        (
            field.name.clone(),
            change_value(&value[&field.name], &field.field_type, &path, may, random),
        )
    };
    Value::Object(fields.iter().map(change).collect::<Map<_, _>>())
}

fn change_value(
    value: &Value,
    field_type: &FieldType,
    path: &str,
    may: &dyn Fn(&str) -> bool,
    random: &mut StdRng,
) -> Value {
    match field_type {
        FieldType::Int => {
            if may(path) {
                number(random)
            } else {
                value.clone()
            }
        }
        FieldType::Struct(fields) => {
            // That a struct is null counts to every field in it.
            let may_all = leaves(field_type, path).iter().all(|leaf| may(leaf));
            match (value.is_null(), may_all && random.random_bool(0.3)) {
                (true, false) | (false, true) => Value::Null,
                (true, true) | (false, false) => change_fields(value, fields, &format!("{path}."), may, random),
            }
        }
        FieldType::List(item) => {
            let path = format!("{path}[]");
            let mut items = value.as_array().cloned().unwrap_or_default();
            if may(&path) {
                items = (0..random.random_range(0..4))
                    .map(|i| items.get(i).cloned().unwrap_or(Value::Null))
                    .collect();
            } else if value.is_null() {
                return Value::Null;
            }
            items
                .iter()
                .map(|one| change_value(one, &item.field_type, &path, may, random))
                .collect()
        }
        _ => {
            if may(path) {
                text(random)
            } else {
                value.clone()
            }
        }
    }
}

fn leaves(field_type: &FieldType, path: &str) -> Vec<String> {
    match field_type {
        FieldType::Struct(fields) => fields
            .iter()
            .flat_map(|field| leaves(&field.field_type, &format!("{path}.{}", field.name)))
            .collect(),
        FieldType::List(item) => {
            let path = format!("{path}[]");
            let mut paths = leaves(&item.field_type, &path);
            paths.push(path);
            paths
        }
        _ => vec![path.to_owned()],
    }
}

/// Makes up queries that return `out` and `out2`.
struct Sql<'a>(&'a mut StdRng);

impl Sql<'_> {
    fn one(&mut self, of: &[&str]) -> String {
        (*of.choose(self.0).unwrap()).to_owned()
    }

    fn query(&mut self) -> String {
        match self.0.random_range(0..12) {
            0 => format!("{} UNION ALL {}", self.select(), self.select()),
            1 => format!(
                "{} {} {}",
                self.select(),
                self.one(&["UNION", "EXCEPT", "INTERSECT"]),
                self.select()
            ),
            2 => self.aggregate(),
            3 => self.joined(),
            4 => self.regrouped(),
            5 => format!(
                "SELECT out2 AS out, out AS out2 FROM ({}) WHERE {}",
                self.select(),
                self.one(&["out < 'm'", "out2 IS NULL", "out = out2"])
            ),
            6 => format!(
                "SELECT DISTINCT ON (out2) out, out2 FROM ({}) ORDER BY out2, out",
                self.select()
            ),
            _ => self.select(),
        }
    }

    /// A relation called `s` with `visits` unnested or not, and texts and numbers over it.
    fn relation(&mut self) -> (String, Vec<&'static str>, Vec<&'static str>) {
        let mut texts = vec!["s.id", "s.city", "s.hiv", "s.home['zip']", "s.home['street']"];
        let mut numbers = vec!["s.age"];
        match self.0.random_range(0..5) {
            0 | 1 => {
                texts.extend([
                    "s.codes[1]",
                    "s.visits[1]['code']",
                    "s.visits[s.age]['note']['text']",
                    "s.visits[2]['tags'][1]",
                ]);
                numbers.extend(["array_length(s.visits)", "cardinality(s.codes)", "s.visits[1]['day']"]);
                ("source s".to_owned(), texts, numbers)
            }
            2 | 3 => {
                texts.extend([
                    "s.v['code']",
                    "s.v['note']['text']",
                    "s.v['note']['author']",
                    "s.v['tags'][1]",
                ]);
                numbers.extend(["s.v['day']", "array_length(s.v['tags'])"]);
                let extra = self.one(&["", ", unnest(codes) AS c"]);
                (
                    format!("(SELECT id, city, hiv, age, home, unnest(visits) AS v{extra} FROM source) s"),
                    texts,
                    numbers,
                )
            }
            _ => {
                texts.extend(["s.v['code']", "s.tag"]);
                numbers.extend(["s.v['day']"]);
                let inner = "SELECT id, city, hiv, age, home, unnest(visits) AS v FROM source";
                (
                    format!("(SELECT id, city, hiv, age, home, v, unnest(v['tags']) AS tag FROM ({inner})) s"),
                    texts,
                    numbers,
                )
            }
        }
    }

    fn text(&mut self, texts: &[&str], numbers: &[&str], depth: u32) -> String {
        if depth == 0 || self.0.random_bool(0.35) {
            return if self.0.random_bool(0.2) {
                format!("CAST({} AS VARCHAR)", self.one(numbers))
            } else {
                self.one(texts)
            };
        }
        let depth = depth - 1;
        let (a, b) = (self.text(texts, numbers, depth), self.text(texts, numbers, depth));
        let condition = self.condition(texts, numbers, depth);
        match self.0.random_range(0..13) {
            0 => format!("upper({a})"),
            1 => format!("({a} || {b})"),
            2 => format!("coalesce({a}, {b})"),
            3 => format!("nullif({a}, {b})"),
            4 => format!("CASE WHEN {condition} THEN {a} ELSE {b} END"),
            5 => format!("CASE {a} WHEN 'a' THEN {b} END"),
            6 => format!("named_struct('p', {a}, 'q', {b})['{}']", self.one(&["p", "q"])),
            7 => format!(
                "(CASE WHEN {condition} THEN named_struct('p', {a}, 'q', {b}) ELSE named_struct('p', {b}, 'q', 'k') END)['p']"
            ),
            8 => format!("make_array({a}, {b})[{}]", self.one(&["1", "2", "s.age"])),
            9 => format!("(CASE WHEN {condition} THEN s.home ELSE NULL END)['zip']"),
            10 => format!("coalesce(s.home, named_struct('street', {a}, 'zip', {b}))['zip']"),
            11 => format!(
                "(SELECT max(z.{}) FROM source z WHERE z.{} = {a})",
                self.one(&["city", "hiv"]),
                self.one(&["id", "hiv"])
            ),
            _ => "'k'".to_owned(),
        }
    }

    fn condition(&mut self, texts: &[&str], numbers: &[&str], depth: u32) -> String {
        let (a, b) = (self.text(texts, numbers, depth.min(1)), self.one(texts));
        match self.0.random_range(0..7) {
            0 => format!("{a} = {b}"),
            1 => format!("{a} < 'm'"),
            2 => format!("{a} IS NULL"),
            3 => format!("{} > 1", self.one(numbers)),
            4 => format!("{a} IN ('a', {b})"),
            5 => format!("({a} LIKE 'a%' OR NOT {b} = 'x')"),
            _ => "s.home IS NULL".to_owned(),
        }
    }

    fn filter(&mut self, texts: &[&str], numbers: &[&str]) -> String {
        match self.0.random_range(0..8) {
            0..=2 => String::new(),
            3 => format!(
                " WHERE {} IN (SELECT z.{} FROM source z WHERE z.age > 0)",
                self.one(texts),
                self.one(&["city", "hiv"])
            ),
            4 => format!(
                " WHERE {}EXISTS (SELECT 1 FROM source z WHERE z.{} = {})",
                self.one(&["", "NOT "]),
                self.one(&["id", "hiv"]),
                self.one(texts)
            ),
            _ => format!(" WHERE {}", self.condition(texts, numbers, 2)),
        }
    }

    fn select(&mut self) -> String {
        let (relation, texts, numbers) = self.relation();
        let (texts, numbers) = (texts.as_slice(), numbers.as_slice());
        let out = self.text(texts, numbers, 3);
        let (a, b, n) = (self.one(texts), self.one(texts), self.one(numbers));
        let out2 = match self.0.random_range(0..7) {
            0 => format!("CAST(row_number() OVER (PARTITION BY {a} ORDER BY {b}) AS VARCHAR)"),
            1 => format!("lag({a}) OVER (ORDER BY {b}, {n})"),
            2 => format!("CAST(sum({n}) OVER (PARTITION BY {a}) AS VARCHAR)"),
            3 => format!("(first_value(s.home) OVER (PARTITION BY {a} ORDER BY {b}))['zip']"),
            _ => self.text(texts, numbers, 2),
        };
        let filter = self.filter(texts, numbers);
        let distinct = if self.0.random_bool(0.15) { "DISTINCT " } else { "" };
        let select = format!("SELECT {distinct}{out} AS out, {out2} AS out2 FROM {relation}{filter}");
        if self.0.random_bool(0.2) {
            return format!(
                "SELECT out, out2 FROM ({select} ORDER BY {} LIMIT 2)",
                self.one(&["out", "out2", "1, 2"])
            );
        }
        select
    }

    fn aggregate(&mut self) -> String {
        let (relation, texts, numbers) = self.relation();
        let (texts, numbers) = (texts.as_slice(), numbers.as_slice());
        let (e, f, g, n) = (
            self.text(texts, numbers, 2),
            self.one(texts),
            self.one(texts),
            self.one(numbers),
        );
        let out = match self.0.random_range(0..9) {
            0 => format!("max({e})"),
            1 => "CAST(count(*) AS VARCHAR)".to_owned(),
            2 => format!("CAST(count(DISTINCT {e}) AS VARCHAR)"),
            3 => format!("first_value({e} ORDER BY {f})"),
            4 => format!("array_agg(s.home ORDER BY {f})[1]['zip']"),
            5 => format!("(first_value(s.home ORDER BY {f}) IGNORE NULLS)['zip']"),
            6 => format!("CAST(sum({n}) FILTER (WHERE {f} < 'm') AS VARCHAR)"),
            7 => "max(s.home)['zip']".to_owned(),
            _ => format!("string_agg({e}, ',' ORDER BY {f})"),
        };
        let filter = self.filter(texts, numbers);
        let having = self.one(&["", "", " HAVING count(*) > 1"]);
        match self.0.random_range(0..4) {
            0 => format!("SELECT {out} AS out, 'k' AS out2 FROM {relation}{filter}"),
            1 => format!("SELECT {out} AS out, {g} AS out2 FROM {relation}{filter} GROUP BY ROLLUP({g}, {f}){having}"),
            _ => format!("SELECT {out} AS out, {g} AS out2 FROM {relation}{filter} GROUP BY {g}{having}"),
        }
    }

    fn joined(&mut self) -> String {
        let (relation, texts, numbers) = self.relation();
        let out = self.text(&texts, &numbers, 2);
        let (a, b) = (self.one(&texts), self.one(&["z.id", "z.hiv"]));
        let and = self.one(&["", " AND z.age > s.age"]);
        match self
            .one(&[
                "JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "LEFT SEMI JOIN",
                "LEFT ANTI JOIN",
                "CROSS JOIN",
            ])
            .as_str()
        {
            "CROSS JOIN" => format!("SELECT {out} AS out, z.city AS out2 FROM {relation} CROSS JOIN source z"),
            join if join.contains("SEMI") || join.contains("ANTI") => {
                format!("SELECT {out} AS out, {a} AS out2 FROM {relation} {join} source z ON {a} = {b}{and}")
            }
            join => format!("SELECT {out} AS out, z.city AS out2 FROM {relation} {join} source z ON {a} = {b}{and}"),
        }
    }

    /// Values gathered into a list and taken apart again.
    fn regrouped(&mut self) -> String {
        let (a, b) = (
            self.one(&["city", "hiv", "home['zip']"]),
            self.one(&["city", "id", "home['street']"]),
        );
        let distinct = self.one(&["", "DISTINCT "]);
        let key = self.one(&["hiv", "id"]);
        format!(
            "SELECT x['p'] AS out, k AS out2 FROM (SELECT k, unnest(l) AS x FROM (SELECT {key} AS k, \
             array_agg({distinct}named_struct('p', {a}, 'q', {b})) AS l FROM source GROUP BY {key}))"
        )
    }
}
