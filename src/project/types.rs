//! Reads the names of types: PostgreSQL's types in the contract, and the field types in a source's schema. It does not
//! know the place in the file, so the caller reports the problem.

use std::fmt;

use super::keys::Shape;
use crate::model::wording::{did_you_mean, one_of};
use crate::model::{FieldType, PgType, References};

/// Why a type's name is refused, and how to correct it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadType {
    pub message: String,
    pub hint: String,
}

impl BadType {
    fn new(message: String, hint: impl Into<String>) -> Self {
        Self {
            message,
            hint: hint.into(),
        }
    }
}

/// The type of a column in the contract.
pub(super) const PG_TYPE: Shape = Shape::Type(&PG_NAMES, &["varchar", "numeric", "decimal"]);
/// The type of a scalar field in a source's schema.
pub(super) const FIELD_TYPE: Shape = Shape::Type(&FIELD_NAMES, &["decimal"]);

const PG_NAMES: [&str; 25] = [
    "text",
    "varchar",
    "varchar(n)",
    "bool",
    "boolean",
    "int2",
    "smallint",
    "int4",
    "int",
    "integer",
    "int8",
    "bigint",
    "float4",
    "real",
    "float8",
    "double precision",
    "numeric",
    "numeric(p,s)",
    "decimal",
    "date",
    "timestamp",
    "timestamptz",
    "jsonb",
    "uuid",
    "text[]",
];
/// Type names of other systems, each with the name to use here.
const PG_SYNONYMS: [(&str, &str); 12] = [
    ("string", "text"),
    ("str", "text"),
    ("char", "varchar(n)"),
    ("character varying", "varchar(n)"),
    ("double", "double precision"),
    ("float", "double precision"),
    ("long", "bigint"),
    ("datetime", "timestamp"),
    ("timestamp with time zone", "timestamptz"),
    ("timestamp without time zone", "timestamp"),
    ("json", "jsonb"),
    ("varchar[]", "text[]"),
];

impl PgType {
    /// The type as SQL spells it, e.g. `numeric(10,2)`.
    pub fn sql(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for PgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Varchar(Some(length)) => return write!(f, "varchar({length})"),
            Self::Numeric(Some((precision, scale))) => return write!(f, "numeric({precision},{scale})"),
            Self::Text => "text",
            Self::Varchar(None) => "varchar",
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric(None) => "numeric",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
            Self::Jsonb => "jsonb",
            Self::Uuid => "uuid",
            Self::TextArray => "text[]",
        })
    }
}

/// Reads the type of a column in the contract.
pub(super) fn parse_pg_type(text: &str) -> Result<PgType, BadType> {
    let (name, arguments) = split(text)?;
    let plain = match name {
        "varchar" => return varchar(text, &arguments),
        "numeric" | "decimal" => return numeric(text, &arguments),
        "text" => PgType::Text,
        "bool" | "boolean" => PgType::Bool,
        "int2" | "smallint" => PgType::Int2,
        "int4" | "int" | "integer" => PgType::Int4,
        "int8" | "bigint" => PgType::Int8,
        "float4" | "real" => PgType::Float4,
        "float8" | "double precision" => PgType::Float8,
        "date" => PgType::Date,
        "timestamp" => PgType::Timestamp,
        "timestamptz" => PgType::TimestampTz,
        "jsonb" => PgType::Jsonb,
        "uuid" => PgType::Uuid,
        "text[]" => PgType::TextArray,
        _ => {
            return Err(unknown(
                text,
                name,
                &PG_SYNONYMS,
                &PG_NAMES,
                "PostgreSQL type that a contract may name",
            ));
        }
    };
    without_arguments(text, name, &arguments).map(|()| plain)
}

/// PostgreSQL allows 10485760 characters (its manual, "Character Types").
fn varchar(text: &str, arguments: &[i64]) -> Result<PgType, BadType> {
    match *arguments {
        [] => Ok(PgType::Varchar(None)),
        [length @ 1..=10_485_760] => Ok(PgType::Varchar(u32::try_from(length).ok())),
        _ => Err(BadType::new(
            format!("`{text}` is no type"),
            "write varchar(n) with n from 1 to 10485760",
        )),
    }
}

/// PostgreSQL allows a declared precision of 1 to 1000 and a scale of -1000 to 1000 (its manual, "Numeric Types").
fn numeric(text: &str, arguments: &[i64]) -> Result<PgType, BadType> {
    let (precision, scale) = match *arguments {
        [] => return Ok(PgType::Numeric(None)),
        [precision] => (precision, 0),
        [precision, scale] => (precision, scale),
        _ => (0, 0),
    };
    match (u16::try_from(precision), i16::try_from(scale)) {
        (Ok(precision @ 1..=1000), Ok(scale @ -1000..=1000)) => Ok(PgType::Numeric(Some((precision, scale)))),
        _ => Err(BadType::new(
            format!("`{text}` is no type"),
            "write numeric(p,s) with a precision from 1 to 1000 and a scale from -1000 to 1000",
        )),
    }
}

const FIELD_NAMES: [&str; 11] = [
    "string",
    "bool",
    "int",
    "bigint",
    "double",
    "decimal(p,s)",
    "date",
    "timestamp",
    "timestamptz",
    "reference",
    "json",
];
const FIELD_SYNONYMS: [(&str, &str); 20] = [
    ("text", "string"),
    ("varchar", "string"),
    ("str", "string"),
    ("uuid", "string"),
    ("boolean", "bool"),
    ("integer", "int"),
    ("int4", "int"),
    ("int8", "bigint"),
    ("int64", "bigint"),
    ("long", "bigint"),
    ("float", "double"),
    ("float8", "double"),
    ("number", "double"),
    ("numeric", "decimal(p,s)"),
    ("datetime", "timestamp"),
    ("jsonb", "json"),
    ("object", "struct: {...}` in place of `type"),
    ("struct", "struct: {...}` in place of `type"),
    ("list", "list: ...` in place of `type"),
    ("array", "list: ...` in place of `type"),
];

/// Reads the type of a scalar field in a source's schema. A date type is returned without formats.
pub(super) fn parse_field_type(text: &str) -> Result<FieldType, BadType> {
    let (name, arguments) = split(text)?;
    let plain = match name {
        "decimal" => return decimal(text, &arguments),
        "string" => FieldType::String,
        "bool" => FieldType::Bool,
        "int" => FieldType::Int,
        "bigint" => FieldType::Bigint,
        "double" => FieldType::Double,
        "date" => FieldType::Date(Vec::new()),
        "timestamp" => FieldType::Timestamp(Vec::new()),
        "timestamptz" => FieldType::TimestampTz(Vec::new()),
        "reference" => FieldType::Reference(References::default()),
        "json" => FieldType::Json,
        _ => return Err(unknown(text, name, &FIELD_SYNONYMS, &FIELD_NAMES, "type of a field")),
    };
    without_arguments(text, name, &arguments).map(|()| plain)
}

/// Arrow's Decimal128 holds 38 digits.
fn decimal(text: &str, arguments: &[i64]) -> Result<FieldType, BadType> {
    let (precision, scale) = match *arguments {
        [precision] => (precision, 0),
        [precision, scale] => (precision, scale),
        _ => (0, 0),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p @ 1..=38), Ok(s)) if s >= 0 && i64::from(s) <= precision => Ok(FieldType::Decimal(p, s)),
        _ => Err(BadType::new(
            format!("`{text}` is no type"),
            "write decimal(p,s) with a precision from 1 to 38 and a scale from 0 to the precision",
        )),
    }
}

/// Splits `numeric(10, 2)` into its name and its numbers. `double precision` and `text[]` are names without numbers.
fn split(text: &str) -> Result<(&str, Vec<i64>), BadType> {
    let Some((name, rest)) = text.split_once('(') else {
        return Ok((text, Vec::new()));
    };
    let numbers = rest.strip_suffix(')').and_then(|inner| {
        inner
            .split(',')
            .map(|number| number.trim().parse().ok())
            .collect::<Option<Vec<i64>>>()
    });
    let example = "write numbers in the parentheses: varchar(20), numeric(10,2)";
    numbers
        .map(|numbers| (name.trim_end(), numbers))
        .ok_or_else(|| BadType::new(format!("`{text}` is no type"), example))
}

fn without_arguments(text: &str, name: &str, arguments: &[i64]) -> Result<(), BadType> {
    if arguments.is_empty() {
        return Ok(());
    }
    Err(BadType::new(
        format!("`{text}` is no type"),
        format!("`{name}` takes no numbers: write `{name}`"),
    ))
}

fn unknown(text: &str, name: &str, synonyms: &[(&str, &str)], known: &[&str], what: &str) -> BadType {
    let lower = name.to_lowercase();
    let hint = synonyms
        .iter()
        .find(|(other, _)| *other == lower)
        .map(|(_, here)| format!("write `{here}`"))
        .or_else(|| did_you_mean(name, known.iter().copied()))
        .unwrap_or_else(|| format!("it may be {}", one_of(known)));
    BadType::new(format!("`{text}` is no {what}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_column_type_is_read_and_spelt_back() {
        let cases = [
            ("text", "text"),
            ("varchar", "varchar"),
            ("varchar(20)", "varchar(20)"),
            ("bool", "boolean"),
            ("boolean", "boolean"),
            ("int2", "smallint"),
            ("smallint", "smallint"),
            ("int4", "integer"),
            ("int", "integer"),
            ("integer", "integer"),
            ("int8", "bigint"),
            ("bigint", "bigint"),
            ("float4", "real"),
            ("real", "real"),
            ("float8", "double precision"),
            ("double precision", "double precision"),
            ("numeric", "numeric"),
            ("decimal", "numeric"),
            ("numeric(5)", "numeric(5,0)"),
            ("numeric(10, 2)", "numeric(10,2)"),
            ("decimal(3,-2)", "numeric(3,-2)"),
            ("date", "date"),
            ("timestamp", "timestamp"),
            ("timestamptz", "timestamptz"),
            ("jsonb", "jsonb"),
            ("uuid", "uuid"),
            ("text[]", "text[]"),
        ];
        for (name, sql) in cases {
            let parsed = parse_pg_type(name).expect(name);
            assert_eq!(parsed.sql(), sql);
            assert_eq!(parse_pg_type(&parsed.sql()), Ok(parsed));
        }
    }

    fn pg(name: &str) -> (String, String) {
        parse_pg_type(name)
            .map_err(|bad| (bad.message, bad.hint))
            .expect_err(name)
    }

    #[test]
    fn unknown_column_types_come_with_a_remedy() {
        let what = "is no PostgreSQL type that a contract may name";
        assert_eq!(pg("txt"), (format!("`txt` {what}"), "did you mean `text`?".into()));
        assert_eq!(pg("TEXT"), (format!("`TEXT` {what}"), "did you mean `text`?".into()));
        assert_eq!(pg("string"), (format!("`string` {what}"), "write `text`".into()));
        assert_eq!(pg("json"), (format!("`json` {what}"), "write `jsonb`".into()));
        assert!(pg("geometry").1.starts_with("it may be text, varchar, "));
        assert_eq!(
            pg("date(3)"),
            (
                "`date(3)` is no type".into(),
                "`date` takes no numbers: write `date`".into()
            )
        );
        assert_eq!(pg("varchar(0)").1, "write varchar(n) with n from 1 to 10485760");
        assert_eq!(
            pg("varchar(x)").1,
            "write numbers in the parentheses: varchar(20), numeric(10,2)"
        );
        for bad in ["numeric(0)", "numeric(1001)", "numeric(5,1001)", "numeric(1,2,3)"] {
            assert!(
                pg(bad)
                    .1
                    .starts_with("write numeric(p,s) with a precision from 1 to 1000"),
                "{bad}"
            );
        }
    }

    #[test]
    fn field_types() {
        assert!(matches!(
            parse_field_type("decimal(38,38)"),
            Ok(FieldType::Decimal(38, 38))
        ));
        assert!(matches!(parse_field_type("decimal(5)"), Ok(FieldType::Decimal(5, 0))));
        for bad in [
            "decimal",
            "decimal(39,0)",
            "decimal(0,0)",
            "decimal(5,6)",
            "decimal(5,-1)",
            "decimal(300,1)",
        ] {
            let hint = parse_field_type(bad).expect_err(bad).hint;
            assert_eq!(
                hint,
                "write decimal(p,s) with a precision from 1 to 38 and a scale from 0 to the precision"
            );
        }
        let hint = |name| parse_field_type(name).map_err(|bad| bad.hint).expect_err(name);
        assert_eq!(hint("text"), "write `string`");
        assert_eq!(hint("strng"), "did you mean `string`?");
        assert_eq!(hint("object"), "write `struct: {...}` in place of `type`");
        assert_eq!(hint("string(5)"), "`string` takes no numbers: write `string`");
    }
}
