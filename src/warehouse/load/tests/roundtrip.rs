//! Sends every type through a real database: binary COPY in, text out. Values are edge cases and random ones.

#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "small numbers")]

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{DataType, i256};
use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::warehouse::copy::{Encoder, HEADER, TRAILER, accepts};
use crate::warehouse::sql::describe;

/// `edges`, then random values from `strategy`, then a null.
fn values<T: Clone + std::fmt::Debug>(edges: &[T], strategy: impl Strategy<Value = T>) -> Vec<Option<T>> {
    let mut runner = TestRunner::default();
    let drawn = vec(strategy, 200).new_tree(&mut runner).unwrap().current();
    edges.iter().cloned().chain(drawn).map(Some).chain([None]).collect()
}

/// Sends a column and returns the result of the SQL expression `shown` (over the column c) for each row.
async fn through(client: &Client, pg: PgType, array: ArrayRef, shown: &str) -> Vec<Option<String>> {
    assert_eq!(accepts(array.data_type(), &pg), Ok(()));
    let contract = entity(&[("n", PgType::Int8, false), ("c", pg, true)]);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..array.len() as i64));
    let batch = RecordBatch::try_from_iter_with_nullable([("n", numbers, false), ("c", array, true)]).unwrap();
    let encoder = Encoder::new(&contract, &batch.schema()).unwrap();
    let mut out = BytesMut::from(HEADER);
    let mut rows = encoder.bind(&batch).unwrap();
    let mut enough = 1;
    while rows
        .write(&mut out, enough)
        .unwrap_or_else(|error| panic!("{pg:?}: row {} {error}", error.row))
    {
        enough = out.len() + 1;
    }
    out.extend_from_slice(TRAILER);
    let table = format!(
        "DROP TABLE IF EXISTS trip; CREATE TABLE trip (n int8, c {})",
        ddl::type_name(pg)
    );
    client.batch_execute(&table).await.unwrap();
    let sink = client
        .copy_in::<_, Bytes>("COPY trip FROM STDIN (FORMAT binary)")
        .await
        .unwrap();
    let mut sink = std::pin::pin!(sink);
    sink.send(out.freeze()).await.unwrap();
    sink.finish()
        .await
        .unwrap_or_else(|error| panic!("{pg:?}: {} {error:?}", describe(&error)));
    let sql = format!("SELECT {shown} FROM trip ORDER BY n");
    client
        .query(&sql, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

fn texts_of<T: ToString>(values: &[Option<T>]) -> Vec<Option<String>> {
    values
        .iter()
        .map(|value| value.as_ref().map(ToString::to_string))
        .collect()
}

async fn connections() -> Vec<crate::warehouse::connect::Connection> {
    let mut all = Vec::new();
    for warehouse in testing::both().await {
        all.push(warehouse.acquire_as_user().await.unwrap());
    }
    all
}

/// Any text without NUL.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', "☃"))
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_uuids_and_lists() {
    for client in connections().await {
        let edges = ["", " ", "\t\n\r\\.\\N", "é☃😀", "x".repeat(70_000).as_str()].map(str::to_owned);
        let strings = values(&edges, text());
        let plain: ArrayRef = Arc::new(StringArray::from(strings.clone()));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
        for arrow in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary] {
            let array = cast(&plain, &arrow).unwrap();
            assert_eq!(through(&client, PgType::Text, array, "c").await, strings, "{arrow}");
        }
        let short = values(
            &[String::new(), "é☃😀  ".to_owned()],
            text().prop_map(|text| text.chars().take(5).collect::<String>()),
        );
        let array = Arc::new(StringArray::from(short.clone()));
        assert_eq!(
            through(&client, PgType::Varchar(Some(5)), array, "c::text").await,
            short
        );

        let ids = values(&[0u128, u128::MAX], any::<u128>());
        let ids: Vec<Option<Uuid>> = ids.into_iter().map(|id| id.map(Uuid::from_u128)).collect();
        let fixed =
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids.iter().map(|id| id.map(Uuid::into_bytes)), 16);
        let shown = texts_of(&ids);
        assert_eq!(
            through(&client, PgType::Uuid, Arc::new(fixed.unwrap()), "c::text").await,
            shown
        );
        let simple = ids.iter().map(|id| id.map(|id| id.simple().to_string()));
        let simple = Arc::new(simple.collect::<StringArray>());
        assert_eq!(through(&client, PgType::Uuid, simple, "c::text").await, shown);

        let lists = values(
            &[vec![], vec![None], vec![Some(String::new()), None]],
            vec(option::of(text()), 0..5),
        );
        let mut builder = ListBuilder::new(StringBuilder::new());
        for list in &lists {
            match list {
                Some(items) => builder.append_value(items.clone()),
                None => builder.append_null(),
            }
        }
        let array: ArrayRef = Arc::new(builder.finish());
        let large = cast(
            &array,
            &DataType::LargeList(Arc::new(arrow::datatypes::Field::new("item", DataType::Utf8View, true))),
        );
        for array in [array, large.unwrap()] {
            let back = through(&client, PgType::TextArray, array, "to_json(c)::text").await;
            let back: Vec<Option<Vec<Option<String>>>> = back
                .iter()
                .map(|text| text.as_ref().map(|text| serde_json::from_str(text).unwrap()))
                .collect();
            assert_eq!(back, lists);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_numbers() {
    for client in connections().await {
        let bools = values(&[true, false], any::<bool>());
        assert_eq!(
            through(
                &client,
                PgType::Bool,
                Arc::new(BooleanArray::from(bools.clone())),
                "c::text"
            )
            .await,
            texts_of(&bools)
        );
        let i16s = values(&[i16::MIN, -1, 0, i16::MAX], any::<i16>());
        assert_eq!(
            through(
                &client,
                PgType::Int2,
                Arc::new(Int16Array::from(i16s.clone())),
                "c::text"
            )
            .await,
            texts_of(&i16s)
        );
        let i32s = values(&[i32::MIN, -1, 0, i32::MAX], any::<i32>());
        for pg in [
            PgType::Int4,
            PgType::Int8,
            PgType::Numeric(None),
            PgType::Numeric(Some((10, 0))),
        ] {
            assert_eq!(
                through(&client, pg, Arc::new(Int32Array::from(i32s.clone())), "c::text").await,
                texts_of(&i32s)
            );
        }
        let i64s = values(&[i64::MIN, -1, 0, i64::MAX], any::<i64>());
        for pg in [PgType::Int8, PgType::Numeric(None)] {
            assert_eq!(
                through(&client, pg, Arc::new(Int64Array::from(i64s.clone())), "c::text").await,
                texts_of(&i64s)
            );
        }
        let u64s = values(&[0, u64::MAX], any::<u64>());
        assert_eq!(
            through(
                &client,
                PgType::Numeric(None),
                Arc::new(UInt64Array::from(u64s.clone())),
                "c::text"
            )
            .await,
            texts_of(&u64s)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floating_point_numbers() {
    for client in connections().await {
        let f64s = values(
            &[
                0.0,
                -0.0,
                f64::MIN_POSITIVE,
                f64::MAX,
                f64::INFINITY,
                f64::NEG_INFINITY,
                0.1,
            ],
            any::<f64>(),
        );
        let back = through(
            &client,
            PgType::Float8,
            Arc::new(Float64Array::from(f64s.clone())),
            "c::text",
        )
        .await;
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        let back: Vec<_> = back
            .iter()
            .map(|text| bits(text.as_ref().map(|text| text.parse().unwrap())))
            .collect();
        assert_eq!(back, f64s.iter().map(|value| bits(*value)).collect::<Vec<_>>());
        let f32s = values(
            &[0.0, -0.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, 0.1],
            any::<f32>(),
        );
        let back = through(
            &client,
            PgType::Float4,
            Arc::new(Float32Array::from(f32s.clone())),
            "c::text",
        )
        .await;
        let bits = |value: Option<f32>| value.map(f32::to_bits);
        let back: Vec<_> = back
            .iter()
            .map(|text| bits(text.as_ref().map(|text| text.parse().unwrap())))
            .collect();
        assert_eq!(back, f32s.iter().map(|value| bits(*value)).collect::<Vec<_>>());
        let nan = Arc::new(Float64Array::from(vec![f64::NAN]));
        assert_eq!(
            through(&client, PgType::Float8, nan, "c::text").await,
            [Some("NaN".to_owned())]
        );
    }
}

/// `unscaled / 10^scale` as text with `shown` decimals, of which those beyond `scale` are zeros.
fn decimal(unscaled: &str, scale: usize, shown: usize) -> String {
    let (sign, digits) = unscaled
        .strip_prefix('-')
        .map_or(("", unscaled), |digits| ("-", digits));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, decimals) = digits.split_at(digits.len() - scale);
    let point = if shown > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{decimals}{}", "0".repeat(shown - scale))
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals() {
    for client in connections().await {
        let limit = 10i128.pow(38) - 1;
        let edges = [0, 1, -1, 10_000, -100_000_000, 99_999_999, limit, -limit];
        let unscaled = values(
            &edges,
            prop_oneof![
                -limit..=limit,
                (-1_000_000i128..1_000_000),
                any::<i64>().prop_map(i128::from)
            ],
        );
        for (scale, declared) in [
            (0, None),
            (2, None),
            (3, Some((50, 7))),
            (38, None),
            (20, Some((60, 22))),
        ] {
            let array = Decimal128Array::from(unscaled.clone())
                .with_precision_and_scale(38, scale)
                .unwrap();
            let shown = declared.map_or(scale as usize, |(_, shown)| shown as usize);
            let expected: Vec<_> = unscaled
                .iter()
                .map(|value| value.map(|value| decimal(&value.to_string(), scale as usize, shown)))
                .collect();
            let back = through(&client, PgType::Numeric(declared), Arc::new(array), "c::text").await;
            assert_eq!(back, expected, "{scale} {declared:?}");
        }
        let limit = i256::from_string(&"9".repeat(76)).unwrap();
        let wide = any::<(i128, u128)>().prop_map(|(high, low)| i256::from_parts(low, high >> 4));
        let unscaled = values(&[limit, limit.wrapping_neg(), i256::ZERO], wide);
        for scale in [0, 5, 76] {
            let array = Decimal256Array::from(unscaled.clone())
                .with_precision_and_scale(76, scale)
                .unwrap();
            let expected: Vec<_> = unscaled
                .iter()
                .map(|value| value.map(|value| decimal(&value.to_string(), scale as usize, scale as usize)))
                .collect();
            assert_eq!(
                through(&client, PgType::Numeric(None), Arc::new(array), "c::text").await,
                expected,
                "{scale}"
            );
        }
        let small = Decimal32Array::from(vec![Some(-12_345), None])
            .with_precision_and_scale(9, 2)
            .unwrap();
        let back = through(&client, PgType::Numeric(Some((5, 2))), Arc::new(small), "c::text").await;
        assert_eq!(back, [Some("-123.45".to_owned()), None]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_times() {
    for client in connections().await {
        let (first, last) = (-2_451_545 + 10_957, 2_145_031_948 + 10_957);
        let days = values(&[first, last, 0, -719_529], prop_oneof![first..=last, -40_000..40_000]);
        let shown = "(c - date '1970-01-01')::text";
        assert_eq!(
            through(&client, PgType::Date, Arc::new(Date32Array::from(days.clone())), shown).await,
            texts_of(&days)
        );
        let millis: Vec<_> = days
            .iter()
            .map(|day| day.map(|day| i64::from(day) * 86_400_000))
            .collect();
        assert_eq!(
            through(&client, PgType::Date, Arc::new(Date64Array::from(millis)), shown).await,
            texts_of(&days)
        );

        let first = i64::from(first) * 86_400_000_000;
        let micros = values(
            &[first, i64::MAX - 1, 0, -1],
            prop_oneof![first..i64::MAX, -1_000_000_000_000..1_000_000_000_000i64],
        );
        let array = Arc::new(TimestampMicrosecondArray::from(micros.clone()));
        let shown = "(extract(epoch from c) * 1000000)::numeric(30,0)::text";
        assert_eq!(
            through(&client, PgType::Timestamp, array, shown).await,
            texts_of(&micros)
        );
        client.batch_execute("SET timezone = 'Asia/Kathmandu'").await.unwrap();
        assert_eq!(
            through(
                &client,
                PgType::TimestampTz,
                Arc::new(TimestampMicrosecondArray::from(micros.clone()).with_timezone("UTC")),
                shown
            )
            .await,
            texts_of(&micros)
        );
        let seconds = values(&[-1, 9_224_318_015_999], -100_000_000_000..9_000_000_000_000i64);
        let array = Arc::new(TimestampSecondArray::from(seconds.clone()));
        let shown = "extract(epoch from c)::numeric(30,0)::text";
        assert_eq!(
            through(&client, PgType::Timestamp, array, shown).await,
            texts_of(&seconds)
        );
        let nanos: Vec<_> = values(&[-1], any::<i32>())
            .iter()
            .map(|value| value.map(|value| i64::from(value) * 1_000))
            .collect();
        let array = Arc::new(TimestampNanosecondArray::from(nanos.clone()));
        let shown = "(extract(epoch from c) * 1000000000)::numeric(30,0)::text";
        assert_eq!(
            through(&client, PgType::Timestamp, array, shown).await,
            texts_of(&nanos)
        );
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15f64..1e15).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((text(), inner), 0..5).prop_map(|pairs| pairs.into_iter().collect::<Value>()),
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn json_values() {
    for client in connections().await {
        let documents = values(&[], json());
        let array: StringArray = documents
            .iter()
            .map(|value| value.as_ref().map(ToString::to_string))
            .collect();
        let back = through(&client, PgType::Jsonb, Arc::new(array), "c::text").await;
        for (back, sent) in back.iter().zip(&documents) {
            assert_eq!(
                &back
                    .as_ref()
                    .map(|back| serde_json::from_str::<serde_json::Value>(back).unwrap()),
                sent
            );
        }
        // The server, too, accepts the deepest nesting that the check allows.
        let edges = [
            format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)),
            "{\"a\":".repeat(1_000) + "1" + &"}".repeat(1_000),
            "1e131071".to_owned(),
            "-1e-16383".to_owned(),
            r#"["\ud83d\ude00", "\\u0000", "\u00e9\/"]"#.to_owned(),
            " \n{\"a\" : 1, \"a\": 2 }\t".to_owned(),
        ];
        let back = through(
            &client,
            PgType::Jsonb,
            Arc::new(StringArray::from_iter_values(edges)),
            "c::text",
        )
        .await;
        assert_eq!(back[5].as_deref(), Some("{\"a\": 2}"));
        assert_eq!(back[4].as_deref(), Some("[\"😀\", \"\\\\u0000\", \"é/\"]"));
    }
}
