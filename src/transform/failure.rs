//! Converts DataFusion's errors. A planning error gets its place in the SQL file. An error at run time loses its
//! text, because that may quote a value of the data.

use std::path::Path;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{SchemaError, Span as DfSpan};
use datafusion::error::DataFusionError;

use super::places::{Part, Places};
use crate::error::{Code, Diagnostic, Error, Location};
use crate::model::{Check, Transform};

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
    let line = span.map_or(first + 1, |s| usize::try_from(s.line).unwrap_or(1));
    let text = (*lines.get(line - 1).unwrap_or(&"")).to_owned();
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
    let (message, span) = if let Some(d) = error.diagnostic() {
        (readable(&d.message), d.span.map(Span::from))
    } else {
        let text = readable(&error.find_root().strip_backtrace());
        let span = parser_position(&text).or_else(|| field_position(&transform.sql, &text));
        (without_position(&text), span)
    };
    let hint = if message.contains("Cannot access field") && message.contains("type List(") {
        Some("it is a list: take one element, list[1]['field'], or all of them with unnest(list)".to_owned())
    } else if unnests_sideways {
        Some(CTE_FORM.to_owned())
    } else {
        plan_hint(error)
    };
    Diagnostic {
        message,
        location: Some(locate(transform, span)),
        hint,
    }
}

/// The diagnostic for a check that can't be planned, at its place in the YAML.
pub(super) fn check(check: Option<&Check>, entity: &str, error: &DataFusionError) -> Diagnostic {
    let text = match error.diagnostic() {
        Some(diagnostic) => readable(&diagnostic.message),
        None => without_position(&readable(&error.find_root().strip_backtrace())),
    };
    let text = text.trim_start_matches("Error during planning: ").to_owned();
    Diagnostic {
        message: match check {
            Some(check) => format!("the check `{}` of {entity} can't be planned: {text}", check.name),
            None => format!("the checks of {entity} can't be planned: {text}"),
        },
        location: check.map(|check| check.location.clone()),
        hint: plan_hint(error),
    }
}

/// The diagnostic for a predicate of `conserves` that can't be planned. The caller adds its place.
pub(super) fn element_filter(entity: &str, error: &DataFusionError) -> Diagnostic {
    let found = check(None, entity, error);
    let text = found
        .message
        .split_once(" can't be planned: ")
        .map_or("", |(_, text)| text);
    Diagnostic {
        message: format!("`where` of `{entity}` can't be planned: {text}"),
        ..found
    }
}

fn plan_hint(error: &DataFusionError) -> Option<String> {
    if let Some(help) = error.diagnostic().and_then(|d| d.helps.first()) {
        return Some(help.message.clone());
    }
    if let DataFusionError::SchemaError(schema, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
    {
        let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
        return crate::model::did_you_mean(&field.name, names.iter().copied());
    }
    None
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

/// Where the SQL names, in quotes, the field that `Field x not found in struct` is about.
fn field_position(sql: &str, message: &str) -> Option<Span> {
    let (_, rest) = message.split_once("Field ")?;
    let (name, _) = rest.split_once(" not found in struct")?;
    let quoted = format!("['{name}']");
    sql.lines().zip(1..).find_map(|(text, line)| {
        let column = text[..text.find(&quoted)?].chars().count() as u64 + 1;
        Some(Span {
            line,
            column,
            end_line: line,
            end_column: column + quoted.chars().count() as u64,
        })
    })
}

/// A message of the planner without what is meant for DataFusion's authors. Of a function whose arguments fit none of its
/// forms, it says what the forms are.
fn readable(message: &str) -> String {
    if let Some((_, rest)) = message.split_once("No function matches the given name and argument types '")
        && let Some((call, rest)) = rest.split_once('\'')
    {
        let forms = rest.split_once("Candidate functions:").map_or("", |(_, forms)| forms);
        let mut forms: Vec<&str> = forms.lines().map(str::trim).filter(|form| !form.is_empty()).collect();
        forms.dedup();
        return if forms.is_empty() {
            format!("no form of the function takes {call}")
        } else {
            format!("no form of the function takes {call}: it is {}", forms.join(" or "))
        };
    }
    let blame = message.find("\nThis issue was likely caused by a bug");
    let message = blame.map_or(message, |at| &message[..at]);
    message.replace("Internal error: ", "").trim_end().to_owned()
}

fn without_position(message: &str) -> String {
    let message = message.trim_start_matches("SQL error: ");
    let text = match message.find(" at Line: ") {
        Some(at) => &message[..at],
        None => message,
    };
    text.trim_start_matches("ParserError(\"")
        .trim_end_matches("\")")
        .to_owned()
}

/// The error of a transform that failed at run time.
pub(super) fn running(path: &Path, places: &Places, error: DataFusionError) -> Error {
    let error = match unwrap(error) {
        Ok(own) => return own,
        Err(error) => error,
    };
    let file = path.display();
    match error.find_root() {
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
