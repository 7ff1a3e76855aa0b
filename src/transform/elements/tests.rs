//! Compares the counter with a plain recursive count that does not use Arrow. Values that lie in memory behind a null
//! list or struct must not be counted.

use datafusion::arrow::array::{Int32Array, ListArray, StructArray, UInt64Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use futures::{TryStreamExt, stream};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::*;
use crate::model::{ElementFilter, RecordPath, testing};
use crate::transform::Limits;

/// A value and whether it is null. A null one may have a value behind it.
#[derive(Debug, Clone)]
struct Node {
    null: bool,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Int(i32),
    List(Vec<Node>),
    Struct(Vec<Node>),
}

fn list(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", element, true)))
}

fn structure(fields: &[(&str, DataType)]) -> DataType {
    let fields = fields.iter();
    DataType::Struct(
        fields
            .map(|(name, kind)| Field::new(*name, kind.clone(), true))
            .collect(),
    )
}

/// `a: [{n, b: [{c, d: [int]}]}]` and `s: {l: [[int]]}`.
fn columns() -> Vec<(&'static str, DataType)> {
    let d = list(DataType::Int32);
    let b = list(structure(&[("c", DataType::Int32), ("d", d)]));
    let a = list(structure(&[("n", DataType::Int32), ("b", b)]));
    let s = structure(&[("l", list(list(DataType::Int32)))]);
    vec![("a", a), ("s", s)]
}

fn node(kind: &DataType) -> BoxedStrategy<Node> {
    let value = match kind {
        DataType::List(element) => prop::collection::vec(node(element.data_type()), 0..4)
            .prop_map(Value::List)
            .boxed(),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|field| node(field.data_type())).collect();
            fields.prop_map(Value::Struct).boxed()
        }
        _ => (-2..3).prop_map(Value::Int).boxed(),
    };
    let null = prop::bool::weighted(0.2);
    (null, value).prop_map(|(null, value)| Node { null, value }).boxed()
}

fn build(kind: &DataType, nodes: &[&Node]) -> ArrayRef {
    let nulls: NullBuffer = nodes.iter().map(|node| !node.null).collect();
    match kind {
        DataType::List(element) => {
            let lists = nodes.iter().map(|node| match &node.value {
                Value::List(items) => items,
                other => panic!("{other:?}"),
            });
            let lengths = OffsetBuffer::from_lengths(lists.clone().map(Vec::len));
            let items: Vec<&Node> = lists.flatten().collect();
            let values = build(element.data_type(), &items);
            Arc::new(ListArray::new(Arc::clone(element), lengths, values, Some(nulls)))
        }
        DataType::Struct(fields) => {
            let child = |at: usize| {
                let children: Vec<&Node> = nodes
                    .iter()
                    .map(|node| match &node.value {
                        Value::Struct(children) => &children[at],
                        other => panic!("{other:?}"),
                    })
                    .collect();
                build(fields[at].data_type(), &children)
            };
            let children = (0..fields.len()).map(child).collect();
            Arc::new(StructArray::new(fields.clone(), children, Some(nulls)))
        }
        _ => {
            let value = |node: &&Node| match node.value {
                Value::Int(value) => (!node.null).then_some(value),
                _ => panic!("{node:?}"),
            };
            Arc::new(nodes.iter().map(value).collect::<Int32Array>())
        }
    }
}

fn naive(node: &Node, steps: &[Step], keep: &dyn Fn(&Node) -> bool) -> u64 {
    match (steps, &node.value) {
        ([], _) => u64::from(keep(node)),
        _ if node.null => 0,
        ([Step::Each, rest @ ..], Value::List(items)) => items.iter().map(|item| naive(item, rest, keep)).sum(),
        ([Step::Field(at), rest @ ..], Value::Struct(fields)) => naive(&fields[*at], rest, keep),
        other => panic!("{other:?}"),
    }
}

fn engine() -> Engine {
    let limits = Limits {
        memory: 64 << 20,
        at_once: 1,
        spill: None,
    };
    Engine::new(&limits).unwrap()
}

fn batch() -> Batch {
    Batch {
        source: "clinic".into(),
        date: "2023-05-02".parse().unwrap(),
    }
}

/// The declaration for `a[].b[]`, as it is read from a project.
fn conserved(path: &str, filter: Option<&str>) -> Conserved {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| *part != "$") {
        steps.push(RecordStep::Key(part.trim_end_matches("[]").to_owned()));
        steps.extend(std::iter::repeat_n(RecordStep::Each, part.matches("[]").count()));
    }
    Conserved {
        entity: "x".into(),
        kind: 0,
        path: RecordPath(steps),
        shown: path.into(),
        filter: filter.map(|sql| ElementFilter {
            sql: sql.into(),
            location: testing::location(),
        }),
        location: testing::location(),
    }
}

fn full(columns: &[(&str, DataType)]) -> SchemaRef {
    let own = columns.iter();
    let mut fields: Vec<Field> = own.map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
    fields.push(Field::new(RECORD_COLUMN, DataType::UInt64, false));
    Arc::new(Schema::new(fields))
}

fn plan(path: &str, filter: Option<&str>) -> Result<Elements, Diagnostic> {
    let full = full(&columns());
    let session = engine()
        .session_over(Inputs::of_one(Arc::clone(&full)).tables())
        .unwrap();
    Elements::plan(&session, &Inputs::of_one(full), &conserved(path, filter), &batch())
}

fn tally(path: &str, filter: Option<&str>) -> Arc<Tally> {
    let counter = Counter::new(engine().state(), plan(path, filter).unwrap(), &batch()).unwrap();
    Arc::new(Tally {
        counters: vec![counter],
    })
}

fn records(rows: &[Node]) -> RecordBatch {
    let kind = structure(&columns());
    let rows: Vec<&Node> = rows.iter().collect();
    let mut arrays = build(&kind, &rows).as_struct().columns().to_vec();
    arrays.push(Arc::new(UInt64Array::from_iter_values(1..=rows.len() as u64)));
    RecordBatch::try_new(full(&columns()), arrays).unwrap()
}

/// Counts `slices` of the records, each shown separately, as in a stream.
fn counted(tally: &Arc<Tally>, slices: Vec<RecordBatch>) -> Result<u64> {
    let slices = slices.into_iter().map(|batch| Ok(Masked::assumed(batch)));
    let passed: Vec<Masked> = futures::executor::block_on(tally.watch(stream::iter(slices).boxed()).try_collect())?;
    drop(passed);
    Ok(tally.of("x").expect("counted").count)
}

fn int(node: &Node) -> Option<i32> {
    match node.value {
        Value::Int(value) if !node.null => Some(value),
        _ => None,
    }
}

/// The first field of a struct, as SQL sees it.
fn first(node: &Node) -> Option<i32> {
    match &node.value {
        Value::Struct(fields) if !node.null => int(&fields[0]),
        _ => None,
    }
}

/// A predicate in SQL and the same predicate in Rust.
type Case = (&'static str, Option<&'static str>, fn(&Node) -> bool);

const CASES: [Case; 12] = [
    ("a[]", None, |_| true),
    ("a[].b[]", None, |_| true),
    ("a[].b[].d[]", None, |_| true),
    ("s.l[]", None, |_| true),
    ("s.l[][]", None, |_| true),
    ("a[]", Some("n > 0"), |node| first(node) > Some(0)),
    ("a[]", Some("n is null or n > 0"), |node| {
        first(node).is_none_or(|n| n > 0)
    }),
    ("a[].b[]", Some("c <> 1"), |node| first(node).is_some_and(|c| c != 1)),
    ("a[].b[]", Some("c is null"), |node| first(node).is_none()),
    ("a[].b[].d[]", Some("item >= 0"), |node| int(node) >= Some(0)),
    ("s.l[][]", Some("item between -1 and 1"), |node| {
        int(node).is_some_and(|n| (-1..=1).contains(&n))
    }),
    ("s.l[]", Some("cardinality(item) > 1"), |node| match &node.value {
        Value::List(items) => !node.null && items.len() > 1,
        _ => false,
    }),
];

fn agrees(rows: &[Node], cut: usize, tallies: &[Arc<Tally>]) -> TestCaseResult {
    let records = records(rows);
    let cut = cut.min(rows.len());
    for ((path, filter, keep), tally) in CASES.iter().zip(tallies) {
        let before = tally.of("x").expect("counted").count;
        // First a slice from the middle to the end, then the one before it. Each counts only its own rows.
        let later = counted(tally, vec![records.slice(cut, rows.len() - cut)]).unwrap();
        let all = counted(tally, vec![records.slice(0, cut)]).unwrap();
        let steps = plan_steps(path);
        let naive = |rows: &[Node]| rows.iter().map(|row| naive(row, &steps, keep)).sum::<u64>();
        prop_assert_eq!(
            later - before,
            naive(&rows[cut..]),
            "{} {:?} from {}",
            path,
            filter,
            cut
        );
        prop_assert_eq!(all - before, naive(rows), "{} {:?}", path, filter);
    }
    Ok(())
}

fn plan_steps(path: &str) -> Vec<Step> {
    walk(&full(&columns()), &conserved(path, None).path.0).unwrap().0
}

#[test]
fn the_same_as_a_recursive_count() {
    let tallies: Vec<Arc<Tally>> = CASES.iter().map(|(path, filter, _)| tally(path, *filter)).collect();
    let row = node(&structure(&columns())).prop_map(|row| Node { null: false, ..row });
    let rows = (prop::collection::vec(row, 0..8), 0_usize..8);
    proptest!(ProptestConfig::with_cases(256), |((rows, cut) in rows)| {
        agrees(&rows, cut, &tallies)?;
    });
}

fn shown(value: Value) -> Node {
    Node { null: false, value }
}

fn hidden(value: Value) -> Node {
    Node { null: true, value }
}

fn ints(values: &[i32]) -> Value {
    Value::List(values.iter().map(|value| shown(Value::Int(*value))).collect())
}

/// A row whose `s.l` is this list.
fn row(lists: Node) -> Node {
    let nothing = shown(Value::List(Vec::new()));
    shown(Value::Struct(vec![nothing, shown(Value::Struct(vec![lists]))]))
}

#[test]
fn a_predicate_never_meets_what_a_null_hides() {
    let rows = [
        row(shown(Value::List(vec![shown(ints(&[1, 2])), hidden(ints(&[0]))]))),
        row(hidden(Value::List(vec![shown(ints(&[0]))]))),
    ];
    let by = |filter| counted(&tally("s.l[][]", Some(filter)), vec![records(&rows)]);
    assert_eq!(by("10 / item > 5").unwrap(), 1);
    let error = by("10 / (item - 1) > 5").unwrap_err();
    assert_eq!(error.message, "`where` of conserves.x failed while it ran");
    assert!(error.why().unwrap().starts_with("a division by zero"));
}

#[test]
fn records_count_as_themselves() {
    let rows = [row(shown(ints(&[]))), row(hidden(ints(&[])))].map(|row| {
        let Value::Struct(mut fields) = row.value else { panic!() };
        let Value::Struct(inner) = &mut fields[1].value else {
            panic!()
        };
        inner[0].value = Value::List(Vec::new());
        shown(Value::Struct(fields))
    });
    let two = vec![records(&rows), records(&rows[..1])];
    assert_eq!(counted(&tally("$", None), two.clone()).unwrap(), 3);
    assert_eq!(counted(&tally("$", Some("s['l'] is not null")), two).unwrap(), 2);
}

#[test]
fn parameters_are_those_of_the_batch() {
    for (filter, count) in [
        ("$date = date '2023-05-02'", 1),
        ("$date > date '2023-05-02'", 0),
        ("$source = 'clinic' and item > 1", 1),
        ("now() is null", 0),
    ] {
        let rows = [row(shown(Value::List(vec![shown(ints(&[2]))])))];
        assert_eq!(
            counted(&tally("s.l[][]", Some(filter)), vec![records(&rows)]).unwrap(),
            count,
            "{filter}"
        );
    }
}

#[test]
fn what_is_no_predicate_of_an_element_is_refused() {
    let refused = [
        ("a[]", "n + 1"),
        ("a[]", "null"),
        ("a[].b[]", "n > 0"),
        ("a[].b[].d[]", "d > 0"),
        ("a[]", "n > 'x'"),
        ("a[]", "count(*) > 0"),
        ("a[]", "row_number() over () > 1"),
        ("a[]", "unnest(b) is not null"),
        ("a[]", "n in (select 1)"),
        ("a[]", "random() > 0.5"),
        ("a[]", "n > $day"),
        ("a[]", "n >"),
        ("$", "_record > 1"),
    ];
    let message = |(path, filter): (&str, &str)| {
        let problem = plan(path, Some(filter)).unwrap_err();
        format!("{filter}: {} | {}", problem.message, problem.hint.unwrap_or_default())
    };
    insta::assert_snapshot!(refused.map(message).join("\n"), @r"
    n + 1: `where` of `x` can't be planned: it must be true or false, this one is Int64 | it may name what an element of a[] has: n, b
    null: `where` of `x` can't be planned: it must be true or false, this one is Null | it may name what an element of a[] has: n, b
    n > 0: `where` of `x` can't be planned: column 'n' not found | it may name what an element of a[].b[] has: c, d
    d > 0: `where` of `x` can't be planned: column 'd' not found | it may name what an element of a[].b[].d[] has: item
    n > 'x': `where` of `x` can't be planned: Cannot cast string 'x' to value of Int32 type | it may name what an element of a[] has: n, b
    count(*) > 0: `where` of `x` can't be planned: it may use the element's own fields only: no aggregate, window, unnest or subquery | it may name what an element of a[] has: n, b
    row_number() over () > 1: `where` of `x` can't be planned: it may use the element's own fields only: no aggregate, window, unnest or subquery | it may name what an element of a[] has: n, b
    unnest(b) is not null: `where` of `x` can't be planned: it may use the element's own fields only: no aggregate, window, unnest or subquery | it may name what an element of a[] has: n, b
    n in (select 1): `where` of `x` can't be planned: it may use the element's own fields only: no aggregate, window, unnest or subquery | it may name what an element of a[] has: n, b
    random() > 0.5: `where` of `x` can't be planned: it must give the same each time: no random() and the like | it may name what an element of a[] has: n, b
    n > $day: `where` of `x` can't be planned: No value found for placeholder with name $day | it may name what an element of a[] has: n, b
    n >: `where` of `x` can't be planned: Expected: an expression, found: EOF | it may name what an element of a[] has: n, b
    _record > 1: `where` of `x` can't be planned: column '_record' not found | it may name what a record has: a, s
    ");
}
