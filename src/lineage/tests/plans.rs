//! Tests of every kind of plan node and expression, with one transform each. Its columns are `id` and `out`.

use super::*;

const FIELDS: &str = "id, city, born:date, hiv, age:int, extra:json, codes[:string], home{street, zip}, \
                      visits[day:date, code, tags[:string], note{text, author}, items[drug, dose]]";

/// The lineage of the column `out`, as `direct | indirect`.
async fn out(sql: &str) -> String {
    let project = project(
        vec![entity("t", "out")],
        vec![source("s", FIELDS, &[("t", sql)])],
        vec![],
    );
    let lineage = of_project(&engine().unwrap(), &project, Outlines::new())
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    shown(lineage.of("t", "out").next().unwrap())
}

async fn all(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        let found = out(sql).await;
        if found != *expected {
            wrong.push(format!("{sql}\n  is       {found}\n  and not  {expected}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn values() {
    all(&[
        ("SELECT city AS out FROM source", "city |"),
        ("SELECT upper(city) || '-' || id AS out FROM source", "city id |"),
        ("SELECT CAST(age AS VARCHAR) AS out FROM source", "age |"),
        (
            "SELECT CASE WHEN hiv = 'pos' THEN city ELSE id END AS out FROM source",
            "city hiv id |",
        ),
        ("SELECT CASE hiv WHEN 'pos' THEN 'y' END AS out FROM source", "hiv |"),
        ("SELECT coalesce(city, id) AS out FROM source", "city id |"),
        ("SELECT code_value(city) AS out FROM source", "city |"),
        ("SELECT json_get_str(extra, 'x') AS out FROM source", "extra |"),
        (
            "SELECT CAST(age BETWEEN 1 AND 2 OR city LIKE 'x%' OR hiv IN ('a', id) AS VARCHAR) AS out FROM source",
            "age city hiv id |",
        ),
        ("SELECT CAST(city IS NULL AS VARCHAR) AS out FROM source", "city |"),
    ])
    .await;
}

#[tokio::test]
async fn table_functions_derive_from_no_field() {
    all(&[
        ("SELECT value AS out FROM source, range(1, 3)", "|"),
        (
            "SELECT g.value AS out FROM generate_series(1, 3) g WHERE g.value > 1",
            "|",
        ),
        ("SELECT city AS out FROM source CROSS JOIN range(1, 3)", "city |"),
    ])
    .await;
}

#[tokio::test]
async fn constants_derive_from_no_field() {
    all(&[
        ("SELECT 'x' AS out FROM source", "|"),
        ("SELECT $source AS out FROM source", "|"),
        ("SELECT $date AS out FROM source", "$date |"),
        (
            "SELECT CAST($date - born AS VARCHAR) AS out FROM source",
            "born $date |",
        ),
        ("SELECT city AS out FROM source WHERE born < $date", "city | born $date"),
        ("SELECT 'x' AS out", "|"),
        ("SELECT column1 AS out FROM (VALUES ('a'), ('b'))", "|"),
        ("SELECT 'x' AS out FROM source WHERE hiv = 'pos'", "| hiv"),
    ])
    .await;
}

#[tokio::test]
async fn structs_and_lists() {
    all(&[
        ("SELECT home['zip'] AS out FROM source", "home.zip |"),
        ("SELECT s.home.zip AS out FROM source s", "home.zip |"),
        ("SELECT CAST(home IS NULL AS VARCHAR) AS out FROM source", "home.street home.zip |"),
        ("SELECT visits[1]['code'] AS out FROM source", "visits[].code | visits[]"),
        ("SELECT visits[age]['note']['text'] AS out FROM source", "age visits[].note.text | visits[]"),
        ("SELECT codes[1] AS out FROM source", "codes[] |"),
        ("SELECT array_to_string(codes, ',') AS out FROM source", "codes[] |"),
        ("SELECT CAST(array_length(visits) AS VARCHAR) AS out FROM source", "visits[] |"),
        ("SELECT CAST(cardinality(visits) AS VARCHAR) AS out FROM source", "visits[] |"),
        (
            "SELECT CAST(cardinality(array_transform(visits, v -> v['items'])) AS VARCHAR) AS out FROM source",
            "visits[] visits[].items[] |",
        ),
        (
            "SELECT CAST(n AS VARCHAR) AS out FROM (SELECT unnest(visits) AS v,
             unnest(generate_series(1, cast(cardinality(visits) AS BIGINT))) AS n FROM source)",
            "visits[] |",
        ),
        (
            "SELECT CAST(v['ordinality'] AS VARCHAR) AS out FROM (SELECT unnest(with_ordinality(visits)) AS v FROM source)",
            "visits[] |",
        ),
        (
            "SELECT v['item']['code'] AS out FROM (SELECT unnest(with_ordinality(visits)) AS v FROM source)",
            "visits[].code | visits[]",
        ),
        (
            "SELECT array_filter(with_ordinality(visits), v -> v['item']['code'] = id)[1]['item']['day'] AS out FROM source",
            "visits[].day | id visits[] visits[].code",
        ),
        ("SELECT array_to_string(visits['code'], ',') AS out FROM source", "visits[] visits[].code |"),
        ("SELECT visits['note']['text'][1] AS out FROM source", "visits[].note.text | visits[]"),
        ("SELECT visits['items']['drug'][1][1] AS out FROM source", "visits[].items[].drug | visits[] visits[].items[]"),
        ("SELECT x['drug'] AS out FROM (SELECT unnest(visits[1]['items']) AS x FROM source)", "visits[].items[].drug | visits[] visits[].items[]"),
        (
            "SELECT array_filter(visits, v -> v['code'] = city)[1]['day'] AS out FROM source",
            "visits[].day | city visits[] visits[].code",
        ),
        (
            "SELECT v['day'] AS out FROM (SELECT unnest(array_filter(visits, v -> v['code'] = 'x')) AS v FROM source)",
            "visits[].day | visits[] visits[].code",
        ),
        (
            "SELECT array_to_string(array_transform(visits, v -> v['note']['text'] || id), ' ') AS out FROM source",
            "id visits[] visits[].note.text |",
        ),
        (
            "SELECT CAST(any_match(visits, v -> v['code'] = id) AS VARCHAR) AS out FROM source",
            "id visits[] visits[].code |",
        ),
        (
            "SELECT array_to_string(array_filter(array_transform(visits, v -> v['code']), c -> c <> id), ' ') AS out FROM source",
            "id visits[] visits[].code |",
        ),
        ("SELECT CAST(visits IS NULL AS VARCHAR) AS out FROM source", "visits[] |"),
        ("SELECT named_struct('a', city, 'b', hiv)['a'] AS out FROM source", "city |"),
        ("SELECT struct(city, hiv)['c1'] AS out FROM source", "hiv |"),
        ("SELECT out FROM (SELECT x['b']['zip'] AS out FROM (SELECT named_struct('a', id, 'b', home) AS x FROM source))", "home.zip |"),
        ("SELECT make_array(city, id)[1] AS out FROM source", "city id |"),
        ("SELECT make_array(home, named_struct('street', id, 'zip', city))[1]['zip'] AS out FROM source", "city home.zip |"),
        (
            "SELECT (CASE WHEN hiv = 'x' THEN home ELSE named_struct('street', id, 'zip', city) END)['zip'] AS out FROM source",
            "city hiv home.zip |",
        ),
        // Whether the first or the second is returned depends on whether the first is null, so the result derives from
        // all of it.
        (
            "SELECT coalesce(home, named_struct('street', id, 'zip', city))['zip'] AS out FROM source",
            "city home.street home.zip id |",
        ),
    ])
    .await;
}

#[tokio::test]
async fn unnests() {
    all(&[
        ("SELECT unnest(codes) AS out FROM source", "codes[] |"),
        ("SELECT city AS out FROM (SELECT city, unnest(codes) FROM source)", "city | codes[]"),
        ("SELECT v['code'] AS out FROM (SELECT unnest(visits) AS v FROM source)", "visits[].code | visits[]"),
        ("SELECT unnest(v['tags']) AS out FROM (SELECT unnest(visits) AS v FROM source)", "visits[].tags[] | visits[]"),
        (
            "SELECT i['drug'] AS out FROM (SELECT unnest(v['items']) AS i FROM (SELECT unnest(visits) AS v FROM source))",
            "visits[].items[].drug | visits[] visits[].items[]",
        ),
        // Two lists are unnested side by side. The longer one decides how many rows there are.
        ("SELECT v['code'] AS out FROM (SELECT unnest(visits) AS v, unnest(codes) FROM source)", "visits[].code | codes[] visits[]"),
        ("SELECT out FROM (SELECT unnest(home) FROM source) AS t(a, out)", "home.zip |"),
        ("SELECT unnest(unnest(make_array(codes))) AS out FROM source", "codes[] |"),
        ("SELECT unnest(make_array(city, id)) AS out FROM source", "city id |"),
    ])
    .await;
}

#[tokio::test]
async fn rows() {
    all(&[
        ("SELECT city AS out FROM source WHERE hiv = 'pos'", "city | hiv"),
        ("SELECT city AS out FROM source ORDER BY born LIMIT 1", "city | born"),
        (
            "SELECT DISTINCT city AS out FROM (SELECT city, hiv FROM source)",
            "city |",
        ),
        (
            "SELECT out FROM (SELECT DISTINCT city AS out, hiv FROM source)",
            "city | hiv",
        ),
        (
            "SELECT DISTINCT ON (id) city AS out FROM source ORDER BY id, born",
            "city | born id",
        ),
        (
            "SELECT city AS out FROM source QUALIFY row_number() OVER (PARTITION BY id ORDER BY born) = 1",
            "city | born id",
        ),
        (
            "SELECT out FROM (SELECT * FROM (SELECT id, city AS out FROM source))",
            "city |",
        ),
    ])
    .await;
}

#[tokio::test]
async fn aggregates_and_windows() {
    all(&[
        ("SELECT CAST(count(*) AS VARCHAR) AS out FROM source", "|"),
        ("SELECT CAST(count(*) AS VARCHAR) AS out FROM (SELECT unnest(visits) FROM source)", "| visits[]"),
        ("SELECT CAST(count(DISTINCT city) AS VARCHAR) AS out FROM source", "city |"),
        ("SELECT max(city) AS out FROM source GROUP BY hiv HAVING count(age) > 1", "city | age hiv"),
        ("SELECT city AS out FROM source GROUP BY city, hiv", "city | hiv"),
        ("SELECT city AS out FROM source GROUP BY ROLLUP(city, hiv)", "city | hiv"),
        ("SELECT CAST(grouping(hiv) AS VARCHAR) AS out FROM source GROUP BY CUBE(city, hiv)", "hiv | city"),
        ("SELECT max(city) FILTER (WHERE hiv = 'x') AS out FROM source", "city hiv |"),
        // Such a value tells the condition, as a CASE does.
        ("SELECT CAST(count(*) FILTER (WHERE hiv = 'x') AS VARCHAR) AS out FROM source GROUP BY id", "hiv | id"),
        ("SELECT array_agg(city ORDER BY born) FILTER (WHERE hiv = 'x')[1] AS out FROM source", "city hiv | born"),
        (
            "SELECT CAST(count(*) FILTER (WHERE hiv = 'x') OVER (PARTITION BY id ORDER BY born) AS VARCHAR) AS out FROM source",
            "hiv | born id",
        ),
        ("SELECT first_value(city ORDER BY born) AS out FROM source", "city | born"),
        ("SELECT first_value(home ORDER BY born)['zip'] AS out FROM source", "home.zip | born"),
        ("SELECT (first_value(home ORDER BY born) IGNORE NULLS)['zip'] AS out FROM source", "home.street home.zip | born"),
        ("SELECT array_agg(home ORDER BY born)[1]['zip'] AS out FROM source", "home.zip | born"),
        ("SELECT unnest(array_agg(DISTINCT city)) AS out FROM source", "city |"),
        ("SELECT x['zip'] AS out FROM (SELECT unnest(array_agg(home)) AS x FROM source)", "home.zip |"),
        ("SELECT lag(city) OVER (PARTITION BY id ORDER BY born) AS out FROM source", "city | born id"),
        ("SELECT lag(city, 1, 'x') OVER (ORDER BY born) AS out FROM source", "city | born"),
        ("SELECT CAST(row_number() OVER w AS VARCHAR) AS out FROM source WINDOW w AS (PARTITION BY id ORDER BY born)", "| born id"),
    ])
    .await;
}

/// A window function leaves the rows in its own order. This matters only where rows are picked by order.
#[tokio::test]
async fn the_order_that_a_window_leaves() {
    let windowed = "(SELECT city, row_number() OVER (PARTITION BY hiv ORDER BY born) AS n FROM source)";
    for (sql, expected) in [
        ("SELECT city AS out FROM w", "city |"),
        ("SELECT city AS out FROM w LIMIT 1", "city | born hiv"),
        ("SELECT first_value(city) AS out FROM w", "city | born hiv"),
        ("SELECT DISTINCT ON (city) city AS out FROM w", "city | born hiv"),
    ] {
        all(&[(&sql.replace(" w", &format!(" {windowed}")), expected)]).await;
    }
}

#[tokio::test]
async fn joins_and_unions() {
    all(&[
        (
            "SELECT b.city AS out FROM source a JOIN source b ON a.id = b.id",
            "city | id",
        ),
        (
            "SELECT a.city AS out FROM source a LEFT JOIN source b ON a.id = b.id AND b.age > a.age",
            "city | age id",
        ),
        (
            "SELECT city AS out FROM source a JOIN (SELECT id AS city2, hiv FROM source) b USING (hiv)",
            "city | hiv",
        ),
        (
            "SELECT city AS out FROM (SELECT city, id AS k FROM source) a JOIN (SELECT hiv AS k FROM source) b USING (k)",
            "city | hiv id",
        ),
        (
            "SELECT coalesce(a.city, b.city) AS out FROM source a FULL JOIN source b ON a.id = b.hiv",
            "city | hiv id",
        ),
        (
            "SELECT a.city AS out FROM source a LEFT SEMI JOIN source b ON a.id = b.hiv",
            "city | hiv id",
        ),
        (
            "SELECT a.city AS out FROM source a LEFT ANTI JOIN source b ON a.id = b.hiv",
            "city | hiv id",
        ),
        (
            "SELECT a.city AS out FROM source a CROSS JOIN (SELECT unnest(codes) FROM source) b",
            "city | codes[]",
        ),
        (
            "SELECT city AS out FROM source UNION ALL SELECT id FROM source WHERE hiv = 'x'",
            "city id | hiv",
        ),
        (
            "SELECT city AS out FROM source UNION SELECT id FROM source",
            "city id |",
        ),
        (
            "SELECT city AS out FROM source EXCEPT SELECT hiv FROM source",
            "city | hiv",
        ),
        (
            "SELECT city AS out FROM source INTERSECT SELECT hiv FROM source",
            "city | hiv",
        ),
        (
            "WITH RECURSIVE r AS (SELECT id, city AS out FROM source UNION ALL
             SELECT s.id, r.out FROM r JOIN source s ON s.hiv = r.id) SELECT out FROM r",
            "city | hiv id",
        ),
        (
            "SELECT l.out FROM source a, LATERAL (SELECT max(b.city) AS out FROM source b WHERE b.id = a.hiv) l",
            "city | hiv id",
        ),
    ])
    .await;
}

#[tokio::test]
async fn subqueries() {
    all(&[
        (
            "SELECT (SELECT max(city) FROM source WHERE hiv = 'x') AS out FROM source",
            "city | hiv",
        ),
        (
            "SELECT (SELECT max(b.city) FROM source b WHERE b.id = a.hiv) AS out FROM source a",
            "city | hiv id",
        ),
        (
            "SELECT city AS out FROM source WHERE id IN (SELECT hiv FROM source WHERE age > 1)",
            "city | age hiv id",
        ),
        (
            "SELECT city AS out FROM source a WHERE EXISTS (SELECT 1 FROM source b WHERE b.hiv = a.id)",
            "city | hiv id",
        ),
        (
            "SELECT city AS out FROM source a WHERE NOT EXISTS (SELECT 1 FROM source b WHERE b.hiv = a.id)",
            "city | hiv id",
        ),
        (
            "SELECT city AS out FROM source WHERE age > (SELECT avg(age) FROM source)",
            "city | age",
        ),
        (
            "SELECT city AS out FROM source WHERE NOT EXISTS (SELECT 1 FROM source b WHERE b.hiv = source.id)",
            "city | hiv id",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_table_without_a_source_and_a_transform_that_fails() {
    let columns = vec![entity("t", "out"), entity("lonely", "x")];
    let mut project = project(
        columns,
        vec![source("s", FIELDS, &[("t", "SELECT city AS out FROM source")])],
        vec![],
    );
    let known = lineage(&project).await;
    assert_eq!(
        known.column("lonely.x").unwrap().to_text(),
        "lonely.x\n└─ no source serves it"
    );
    project.sources[0].transforms[0].sql = "SELECT citi AS out FROM source".into();
    let error = of_project(&engine().unwrap(), &project, Outlines::new())
        .await
        .unwrap_err();
    assert_eq!(error.diagnostics.len(), 1, "{error:?}");
}

#[tokio::test]
async fn unknown_columns_and_tables_are_answered_with_the_nearest() {
    let lineage = lineage(&super::shipped::shipped()).await;
    let hint = |name: &str| {
        let error = lineage.column(name).unwrap_err();
        format!("{} | {}", error.message, error.hint.unwrap())
    };
    assert_eq!(
        hint("visits.visit_dat"),
        "there is no column `visits.visit_dat` | did you mean `visit_date`?"
    );
    assert_eq!(
        hint("visit.visit_date"),
        "there is no column `visit.visit_date` | did you mean `visits.visit_date`?"
    );
    assert!(
        hint("patients.x")
            .ends_with("there are patients.patient_id, patients.name, patients.source, patients.batch_date")
    );
    assert_eq!(lineage.column("patients").unwrap().asked.len(), 4);
    assert_eq!(lineage.column("patient_treatment_summary.name").unwrap().asked.len(), 1);
}
