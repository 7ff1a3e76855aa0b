//! Puts DataFusion's errors of planning into plain words, with a remedy. They quote SQL, never data. Other code must not
//! show DataFusion's own text: it holds dumps of its structures, and sends users to its issue tracker.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use super::struct_fields::{NoField, Value};
use super::uncomputable::Uncomputable;
use crate::model::did_you_mean;
use crate::model::wording::all_of;

const OF_A_LIST: &str = "take one element, list[1]['field'], or all of them with unnest(list)";

/// The most names that a message lists.
const LISTED: usize = 20;

/// Forms that DataFusion does not plan, by a part of its text, and what to say of them.
const FORMS: &[(&str, &str)] = &[
    (
        "logical expression WindowFunction",
        "a window function can't be used here",
    ),
    (
        "logical expression AggregateFunction",
        "an aggregate can't be used here",
    ),
    (
        "Cannot access field at argument 1: type List(",
        "a list has no fields of its own",
    ),
    (
        "OuterReferenceColumn",
        "DataFusion can't use a column of the outer query here",
    ),
    ("ScalarSubquery(", "DataFusion can't run a subquery here"),
    (
        "Unnest should be rewritten",
        "`unnest` can only be used in the SELECT list",
    ),
    (
        "only supports a single SQL statement",
        "the file holds more than one statement",
    ),
    ("No SQL statements were provided", "there is no statement"),
];

/// What an error of planning says.
pub(crate) fn words(error: &DataFusionError) -> String {
    if let Some(diagnostic) = error.diagnostic() {
        return diagnostic.message.clone();
    }
    let root = error.find_root();
    let text = root.strip_backtrace();
    if let Some((_, words)) = FORMS.iter().find(|(form, _)| text.contains(form)) {
        return (*words).to_owned();
    }
    match root {
        DataFusionError::Plan(text) | DataFusionError::Execution(text) | DataFusionError::Configuration(text) => {
            plain(text)
        }
        DataFusionError::NotImplemented(text) => format!("DataFusion can't do this: {}", plain(text)),
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => match &field.relation {
                Some(table) => format!("column '{}' not found in '{table}'", field.name),
                None => format!("column '{}' not found", field.name),
            },
            SchemaError::AmbiguousReference { field } => format!("column '{}' is ambiguous", field.name),
            other => plain(&other.to_string()),
        },
        DataFusionError::SQL(..) => without_position(&text),
        // While SQL is planned, only its own constants are evaluated.
        DataFusionError::ArrowError(error, _) => plain(&error.to_string()),
        DataFusionError::ResourcesExhausted(_) => "planning this SQL takes more memory than it may use".to_owned(),
        DataFusionError::External(own) => own.to_string(),
        _ => "DataFusion fails on this SQL, by a fault of its own".to_owned(),
    }
}

/// The remedy for an error of planning, where one is known.
pub(super) fn hint(error: &DataFusionError) -> Option<String> {
    if let Some(missing) = no_field(error) {
        return Some(match &missing.of {
            Value::Struct(fields) => among(missing.name(), fields.iter().map(String::as_str), "its fields are"),
            Value::List => OF_A_LIST.to_owned(),
            Value::Scalar(_) => "take it as it is, without a field".to_owned(),
        });
    }
    if let Some(help) = error.diagnostic().and_then(|diagnostic| diagnostic.helps.first()) {
        return Some(help.message.clone());
    }
    if let Some(aggregate) = Uncomputable::of(error) {
        return Some(aggregate.hint().to_owned());
    }
    let root = error.find_root();
    if root.strip_backtrace().contains("No SQL statements were provided") {
        return Some("write one SELECT that returns the entity's columns".to_owned());
    }
    if let DataFusionError::SchemaError(schema, _) = root
        && let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref()
    {
        let of_table = |table: &datafusion::common::TableReference| {
            let own = valid_fields
                .iter()
                .filter(move |valid| valid.relation.as_ref() == Some(table));
            own.map(|valid| valid.name.as_str()).collect::<Vec<_>>()
        };
        let names = match &field.relation {
            Some(table) if of_table(table).is_empty() => {
                let mut tables: Vec<String> = valid_fields
                    .iter()
                    .filter_map(|valid| Some(valid.relation.as_ref()?.to_string()))
                    .collect();
                tables.dedup();
                let found = among(table.table(), tables.iter().map(String::as_str), "the tables here are");
                return (!tables.is_empty()).then_some(found);
            }
            Some(table) => of_table(table),
            None => valid_fields.iter().map(|valid| valid.name.as_str()).collect(),
        };
        return (!names.is_empty()).then(|| among(&field.name, names, "the columns here are"));
    }
    let text = root.strip_backtrace();
    by_text(root, &text)
}

/// The same for a check, which sees the columns of its row only.
pub(super) fn hint_for_check(error: &DataFusionError) -> Option<String> {
    let text = error.find_root().strip_backtrace();
    let more_than_a_row = missing_table(&text).is_some() || FORMS.iter().any(|(form, _)| text.contains(form));
    if more_than_a_row {
        return Some("a check may use the columns of its row, and no subquery, window, aggregate or unnest".to_owned());
    }
    hint(error)
}

fn by_text(root: &DataFusionError, text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("Invalid function '") {
        let (name, rest) = rest.split_once('\'')?;
        let near = rest.split('\'').nth(1)?;
        let listed = "docs/reference/sql-functions.md names the program's own functions; the others are DataFusion's";
        return Some(did_you_mean(name, [near]).unwrap_or_else(|| listed.to_owned()));
    }
    if text.contains("type List(") && text.contains("Cannot access field") {
        return Some(OF_A_LIST.to_owned());
    }
    if text.contains("placeholder with name") {
        return Some("the parameters are $date and $source".to_owned());
    }
    if text.contains("only supports a single SQL statement") {
        return Some("a transform is one SELECT: take out the others".to_owned());
    }
    if text.contains("FETCH clause") {
        return Some("use LIMIT; to keep ties, number the rows with rank() in a CTE, and choose with WHERE".to_owned());
    }
    if text.contains("ScalarSubquery(") || text.contains("OuterReferenceColumn") {
        return Some("use a join, or a CTE: WITH ... AS (SELECT ...)".to_owned());
    }
    if text.contains("Unnest should be rewritten") {
        return Some(
            "unnest in a CTE, and use its rows: WITH v AS (SELECT unnest(list) AS item FROM source)".to_owned(),
        );
    }
    matches!(root, DataFusionError::Internal(_))
        .then(|| "write this part of the SQL another way; please report it, with the SQL, as a defect".to_owned())
}

/// The remedy where a transform reads a table that is none of these.
pub(super) fn hint_for_table(error: &DataFusionError, tables: &[&str]) -> Option<String> {
    let text = error.find_root().strip_backtrace();
    let name = missing_table(&text)?;
    let noun = if tables.len() == 1 { "table" } else { "tables" };
    let quoted: Vec<String> = tables.iter().map(|table| format!("`{table}`")).collect();
    let known = all_of(&quoted.iter().map(String::as_str).collect::<Vec<_>>());
    let known = format!("a transform reads the {noun} {known}, and what it names itself with WITH");
    Some(did_you_mean(name, tables.iter().copied()).unwrap_or(known))
}

/// The table of `table 'x' not found` and the like, without its catalog and schema.
fn missing_table(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("table '")?;
    let (name, rest) = rest.split_once('\'')?;
    rest.starts_with(" not found")
        .then(|| name.rsplit('.').next().unwrap_or(name))
}

/// The field that there is not, where that is the error.
pub(super) fn no_field(error: &DataFusionError) -> Option<&NoField> {
    match error.find_root() {
        DataFusionError::External(own) => own.downcast_ref(),
        _ => None,
    }
}

/// Whether a column or a field is named that there is not.
pub(super) fn is_unknown_name(error: &DataFusionError) -> bool {
    let unknown = |schema: &SchemaError| matches!(schema, SchemaError::FieldNotFound { .. });
    let is_column = matches!(error.find_root(), DataFusionError::SchemaError(schema, _) if unknown(schema));
    is_column || no_field(error).is_some()
}

/// The names that an error is about, the likeliest first, to find its place in the SQL.
pub(super) fn names(error: &DataFusionError) -> Vec<String> {
    let root = error.find_root();
    if let DataFusionError::SchemaError(schema, _) = root
        && let SchemaError::FieldNotFound { field, .. } = schema.as_ref()
    {
        return vec![field.name.clone()];
    }
    let text = root.strip_backtrace();
    let after = |words: &str| {
        let (_, rest) = text.split_once(words)?;
        let name = rest
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | '('))
            .next()?;
        Some(name.trim_matches(|c| matches!(c, '"' | '\'' | '`')).to_owned())
    };
    let named = ["placeholder with name ", "Invalid qualifier ", "Field "]
        .into_iter()
        .filter_map(after);
    let quoted = ['\'', '`', '"']
        .into_iter()
        .flat_map(|quote| text.split(quote).skip(1).step_by(2));
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    named.chain(quoted.map(last)).filter(|name| !name.is_empty()).collect()
}

/// A similar name, or all of them.
fn among<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, are: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for known in known {
        // The engine's own columns are hidden.
        if !known.starts_with('_') && !names.contains(&known) {
            names.push(known);
        }
    }
    if let Some(near) = did_you_mean(name, names.iter().copied()) {
        return near;
    }
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    match more {
        0 => format!("{are} {}", all_of(&names)),
        more => format!("{are} {} and {more} more", names.join(", ")),
    }
}

/// A text without the names of DataFusion's kinds of errors and without dumps of its structures.
fn plain(text: &str) -> String {
    const KINDS: [&str; 6] = [
        "Cast error: ",
        "Parser error: ",
        "Error during planning: ",
        "Execution error: ",
        "Schema error: ",
        "This feature is not implemented: ",
    ];
    let mut text = text.trim();
    while let Some(rest) = KINDS.iter().find_map(|kind| text.strip_prefix(kind)) {
        text = rest;
    }
    if let Some(said) = no_form(text) {
        return said;
    }
    if let Some((_, field)) = text.split_once("Field ")
        && let Some((name, _)) = field.split_once(" not found in struct")
    {
        return format!("there is no field `{name}`");
    }
    let line = text.lines().next().unwrap_or_default();
    match dump(line) {
        Some(at) => line[..at].trim_end_matches([' ', ',', ':', '(']).to_owned(),
        None => line.to_owned(),
    }
}

/// Of a function whose arguments fit none of its forms, what the forms are.
fn no_form(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("No function matches the given name and argument types '")?;
    let (call, rest) = rest.split_once('\'')?;
    let forms = rest.split_once("Candidate functions:").map_or("", |(_, forms)| forms);
    let mut forms: Vec<&str> = forms.lines().map(str::trim).filter(|form| !form.is_empty()).collect();
    forms.dedup();
    Some(match &forms[..] {
        [] => format!("no form of the function takes {call}"),
        forms => format!("no form of the function takes {call}: it is {}", forms.join(" or ")),
    })
}

/// Where a dump of a structure starts: behind the name in `Name {`, `Name([` or `Name(Field {`.
fn dump(line: &str) -> Option<usize> {
    let opening = [" {", "([", "(Field", "[Field"];
    opening.iter().filter_map(|open| line.find(open)).min()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_sends_to_datafusions_issue_tracker_or_dumps_a_structure() {
        let errors = [
            DataFusionError::Internal("a column went missing".into()),
            DataFusionError::NotImplemented("Unsupported ast node Pivot { table: Table { name: 1 } }".into()),
            DataFusionError::Plan("it got OuterReferenceColumn(Field { name: \"n\" })".into()),
            DataFusionError::ResourcesExhausted("Failed to allocate".into()),
            DataFusionError::Execution("Field x not found in struct".into()),
            DataFusionError::Plan("expected a string, got Struct([Field { name: \"a\" }])".into()),
        ];
        let said: Vec<String> = errors.iter().map(words).collect();
        assert_eq!(
            said,
            [
                "DataFusion fails on this SQL, by a fault of its own",
                "DataFusion can't do this: Unsupported ast node Pivot",
                "DataFusion can't use a column of the outer query here",
                "planning this SQL takes more memory than it may use",
                "there is no field `x`",
                "expected a string, got Struct",
            ]
        );
    }
}
