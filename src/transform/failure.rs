//! Converts DataFusion's errors. A planning error gets its place in the SQL file. An error at run time loses its
//! text, because that may quote a value of the data.

use std::fmt;
use std::path::Path;

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::Span as DfSpan;
use datafusion::error::DataFusionError;

use super::places::{Part, Places};
use super::tokens::Tokens;
use super::uncomputable::Uncomputable;
use super::wording;
use crate::error::{Code, Diagnostic, Error, Location};
use crate::model::{Check, Entity, Transform};

/// The hint for a FROM that unnests laterally: an equivalent form that DataFusion can plan.
const CTE_FORM: &str = "DataFusion unnests in the SELECT list: WITH v AS (SELECT patient_id, unnest(visits) AS item FROM \
                        source) SELECT patient_id, item['date'] FROM v. For WITH ORDINALITY: unnest(with_ordinality(visits)) \
                        AS v gives v['item'] and v['ordinality']";

/// A span in a SQL file: line and column of its start, and of its end where known. They count from 1; 0 is unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub line: u64,
    pub column: u64,
    pub end_line: u64,
    pub end_column: u64,
}

impl From<datafusion::sql::sqlparser::tokenizer::Span> for Span {
    fn from(s: datafusion::sql::sqlparser::tokenizer::Span) -> Self {
        Self {
            line: s.start.line,
            column: s.start.column,
            end_line: s.end.line,
            end_column: s.end.column,
        }
    }
}

impl From<DfSpan> for Span {
    fn from(s: DfSpan) -> Self {
        Self {
            line: s.start.line,
            column: s.start.column,
            end_line: s.end.line,
            end_column: s.end.column,
        }
    }
}

/// The place in a transform's file. Without a span, it is the first line that is not a comment.
pub(super) fn locate(transform: &Transform, span: Option<Span>) -> Location {
    let lines: Vec<&str> = transform.sql.lines().collect();
    let first = lines
        .iter()
        .position(|l| !l.trim().is_empty() && !l.trim_start().starts_with("--"))
        .unwrap_or(0);
    let span = span.filter(|s| s.line > 0);
    // What stands before the SQL of a YAML file is made by the program.
    if let Some(given) = &transform.given
        && span
            .as_ref()
            .is_none_or(|s| usize::try_from(s.line).is_ok_and(|line| line < given.line))
    {
        return given.clone();
    }
    let line = span.map_or(first + 1, |s| usize::try_from(s.line).unwrap_or(1));
    let given = transform.given.as_ref().filter(|given| given.line == line);
    let text = given.map_or_else(
        || (*lines.get(line - 1).unwrap_or(&"")).to_owned(),
        |given| given.text.clone(),
    );
    let column = span.map_or(1, |s| usize::try_from(s.column).unwrap_or(1).max(1));
    let rest = text.chars().count().saturating_sub(column - 1).max(1);
    let length = match span {
        Some(s) if s.end_line == s.line && s.end_column > s.column => {
            usize::try_from(s.end_column - s.column).unwrap_or(1).min(rest)
        }
        Some(s) if s.end_line > s.line => rest,
        Some(_) => 1,
        None => rest,
    };
    Location {
        file: transform.path.clone(),
        line,
        column,
        length,
        text,
    }
}

/// The place of a span of a plan in a transform's file.
pub fn place(transform: &Transform, span: Option<DfSpan>) -> Location {
    locate(transform, span.map(Span::from))
}

/// A transform that can't be planned; its text quotes the analyst's SQL, never data.
pub(super) fn planning(transform: &Transform, error: &DataFusionError, unnests_sideways: bool) -> Diagnostic {
    let hint = wording::hint(error);
    let hint = if unnests_sideways && wording::no_field(error).is_none() {
        Some(CTE_FORM.to_owned())
    } else {
        hint
    };
    Diagnostic {
        message: wording::words(error),
        location: Some(locate(transform, span(&transform.sql, error))),
        hint,
    }
}

/// Where an error is in the SQL: as DataFusion says, or else where the SQL names what the error names.
fn span(sql: &str, error: &DataFusionError) -> Option<Span> {
    let said = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    if let Some(said) = said {
        return Some(Span::from(said));
    }
    let text = error.find_root().strip_backtrace();
    if let Some(found) = parser_position(&text).or_else(|| dumped_position(&text)) {
        return Some(found);
    }
    let tokens = Tokens::of(sql);
    let found = match (wording::no_field(error), Uncomputable::of(error)) {
        (Some(missing), _) => tokens.access(missing),
        (_, Some(aggregate)) => tokens.call(&aggregate.function, aggregate.distinct),
        _ => wording::names(error)
            .iter()
            .find_map(|name| tokens.accessed(name, None).or_else(|| tokens.named(name))),
    };
    found.map(Span::from)
}

/// The diagnostic for a check that can't be planned, at its place in the YAML.
pub(super) fn check(check: &Check, entity: &str, error: &DataFusionError) -> Diagnostic {
    let text = wording::words(error);
    Diagnostic {
        message: format!("the check `{}` of {entity} can't be planned: {text}", check.name),
        location: Some(check.location.clone()),
        hint: wording::hint_for_check(error),
    }
}

/// The diagnostic for the checks of an entity that can't be planned together, at the entity's place in the YAML.
pub(super) fn checks(entity: &Entity, error: &DataFusionError) -> Diagnostic {
    Diagnostic {
        message: format!(
            "the checks of {} can't be planned: {}",
            entity.name,
            wording::words(error)
        ),
        location: Some(entity.location.clone()),
        hint: wording::hint_for_check(error),
    }
}

/// The diagnostic for a predicate of `conserves` that can't be planned. The caller adds its place.
pub(super) fn element_filter(entity: &str, error: &DataFusionError) -> Diagnostic {
    Diagnostic {
        message: format!("`where` of `{entity}` can't be planned: {}", wording::words(error)),
        location: None,
        // The caller knows better what it may name.
        hint: wording::hint(error).filter(|hint| hint.starts_with("did you mean")),
    }
}

/// Reads the position from a message of the SQL parser: `... at Line: 3, Column: 7`.
fn parser_position(message: &str) -> Option<Span> {
    let (_, at) = message.rsplit_once("Line: ")?;
    let (line, rest) = at.split_once(", Column: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Span {
        line: line.parse().ok()?,
        column: digits.parse().ok()?,
        end_line: 0,
        end_column: 0,
    })
}

/// Reads the first position from a dump of the SQL parser's structures: `Span(Location(2,10)..Location(2,12))`.
fn dumped_position(message: &str) -> Option<Span> {
    let mut rest = message;
    while let Some((_, after)) = rest.split_once("Location(") {
        let (place, after) = after.split_once(')')?;
        let (line, column) = place.split_once(',')?;
        let (line, column) = (line.parse().ok()?, column.parse().ok()?);
        if line > 0 {
            return Some(Span {
                line,
                column,
                end_line: 0,
                end_column: 0,
            });
        }
        rest = after;
    }
    None
}

/// The error of a transform that failed at run time.
pub(super) fn running(path: &Path, places: &Places, error: DataFusionError) -> Error {
    let error = match unwrap(error) {
        Ok(own) => return own,
        Err(error) => error,
    };
    let file = path.display();
    match error.find_root() {
        DataFusionError::External(inner) if inner.is::<Beyond>() => {
            let beyond = inner.downcast_ref();
            beyond.map_or_else(Error::internal, |beyond: &Beyond| beyond.error(path, places))
        }
        DataFusionError::External(inner) if inner.is::<TooLarge>() => {
            let function = inner.downcast_ref::<TooLarge>().map(|large| large.function.as_str());
            let places = places.say(
                path,
                |part| matches!(part, Part::Function(name) if Some(name.as_str()) == function),
            );
            Error::batch(format!("{file} needs more memory than it may use"))
                .code(Code::OutOfMemory)
                .cause(format!("{inner}{places}"))
                .hint("make shorter texts or lists of fewer elements")
        }
        DataFusionError::ResourcesExhausted(_) => Error::batch(format!("{file} needs more memory than it may use"))
            .code(Code::OutOfMemory)
            .cause("a sort, join or aggregate could not be spilled further")
            .hint("raise --memory, or let the transform carry fewer columns through its joins and aggregates"),
        DataFusionError::IoError(e) => Error::batch(format!("{file} could not spill to disk"))
            .cause(e.kind().to_string())
            .hint("free space where the project's .pipeline/spill lies"),
        DataFusionError::ArrowError(e, _) => {
            let (reason, parts) = arrow_reason(e);
            data_error(path, &places.say(path, |part| parts.contains(part)), reason)
        }
        DataFusionError::Execution(_) => {
            let functions = places.say(path, |part| matches!(part, Part::Function(_)));
            data_error(path, &functions, "a function can't take a value")
        }
        DataFusionError::NotImplemented(_) => data_error(path, "", "an expression met a type that it does not support"),
        _ => data_error(path, "", "the engine could not evaluate it"),
    }
}

fn data_error(path: &Path, places: &str, reason: &str) -> Error {
    Error::batch(format!("{} failed while it ran", path.display()))
        .code(Code::TransformFailed)
        .cause(format!("{reason}{places} (the value is not shown: it is data)"))
        .hint(MERGED)
}

/// An aggregate whose result is beyond the range of its type.
#[derive(Debug)]
pub(super) struct Beyond {
    pub function: String,
    pub to: DataType,
}

impl Beyond {
    fn error(&self, path: &Path, places: &Places) -> Error {
        let function = &self.function;
        let places = places.say(path, |part| matches!(part, Part::Function(name) if name == function));
        Error::batch(format!("{} failed while it ran", path.display()))
            .code(Code::TransformFailed)
            .cause(format!("{self}{places}"))
            .hint(match self.to {
                DataType::Int64 | DataType::UInt64 => {
                    format!("compute in a type with more digits, such as {function}(cast(x as decimal(38, 0)))")
                }
                _ => "choose the rows with WHERE, or compute in another type".to_owned(),
            })
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = &self.function;
        match &self.to {
            DataType::Int64 => write!(f, "`{function}` leaves the range of BIGINT"),
            DataType::UInt64 => write!(f, "`{function}` leaves the range of BIGINT UNSIGNED"),
            DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) => {
                write!(f, "`{function}` leaves the range of DECIMAL({digits},{scale})")
            }
            DataType::Float32 | DataType::Float64 => write!(f, "`{function}` gives Infinity or NaN"),
            _ => write!(f, "`{function}` leaves the range of its type"),
        }
    }
}

impl std::error::Error for Beyond {}

/// The rows that are computed at once would become too large.
#[derive(Debug)]
pub(super) struct TooLarge {
    pub function: String,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` makes more than 1 GiB of the rows that are computed at once",
            self.function
        )
    }
}

impl std::error::Error for TooLarge {}

/// The hint where a value fails in a part of the plan in which no row can be refused by itself.
pub(super) const MERGED: &str = "a row that is joined, aggregated, sorted or cut off with others can't be refused by itself: use \
                                 try_cast, try_parse_date or a CASE there";

/// The reason, and the parts of an expression that give it.
fn arrow_reason(error: &ArrowError) -> (&'static str, &'static [Part]) {
    match error {
        ArrowError::CastError(_) => ("a value can't be cast to the type asked for", &[Part::Cast]),
        ArrowError::ParseError(_) => ("a text can't be parsed as the type asked for", &[Part::Cast]),
        ArrowError::DivideByZero => ("a division by zero", &[Part::Division]),
        ArrowError::ArithmeticOverflow(_) => ("a number beyond the range of its type", &[Part::Arithmetic]),
        _ => ("a value does not fit an expression", &[]),
    }
}

/// Returns this crate's own error where DataFusion only passed it on.
fn unwrap(error: DataFusionError) -> std::result::Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => Ok(*own),
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(nested) => unwrap(*nested),
                Err(inner) => Err(DataFusionError::External(inner)),
            },
        },
        DataFusionError::ArrowError(inner, trace) => match *inner {
            ArrowError::ExternalError(source) => match source.downcast::<DataFusionError>() {
                Ok(nested) => unwrap(*nested),
                Err(source) => unwrap(DataFusionError::External(source)),
            },
            other => Err(DataFusionError::ArrowError(Box::new(other), trace)),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => unwrap(*inner),
        other => Err(other),
    }
}
