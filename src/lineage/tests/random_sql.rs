//! Random SQL over the fields of the schema that the property test uses.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Makes random queries that return the columns `out` and `out2`.
pub(super) struct Sql<'a>(pub &'a mut StdRng);

impl Sql<'_> {
    fn one(&mut self, of: &[&str]) -> String {
        (*of.choose(self.0).unwrap()).to_owned()
    }

    pub fn query(&mut self) -> String {
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

    /// A relation named `s`, with or without `visits` unnested, and expressions over it that give texts and numbers.
    fn relation(&mut self) -> (String, Vec<&'static str>, Vec<&'static str>) {
        let mut texts = vec!["s.id", "s.city", "s.hiv", "s.home['zip']", "s.home['street']"];
        let mut numbers = vec!["s.age"];
        match self.0.random_range(0..6) {
            5 => {
                texts.extend([
                    "s.v['item']['code']",
                    "s.v['item']['note']['text']",
                    "s.v['item']['tags'][1]",
                ]);
                numbers.extend(["s.v['ordinality']", "s.v['item']['day']"]);
                let numbered = self.one(&[
                    "with_ordinality(visits)",
                    "array_filter(with_ordinality(visits), x -> x['item']['code'] = city)",
                ]);
                (
                    format!("(SELECT id, city, hiv, age, home, unnest({numbered}) AS v FROM source) s"),
                    texts,
                    numbers,
                )
            }
            0 | 1 => {
                texts.extend([
                    "s.codes[1]",
                    "s.visits[1]['code']",
                    "s.visits[s.age]['note']['text']",
                    "s.visits[2]['tags'][1]",
                    "s.visits['code'][2]",
                    "array_to_string(s.visits['note']['author'], ',')",
                    "array_filter(s.visits, x -> x['code'] = s.city)[1]['note']['text']",
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

    /// Collects values into a list and unnests them again.
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
