//! Describes errors of PostgreSQL and of the connection without quoting data. DETAIL, HINT and CONTEXT are never
//! repeated. Nor is the message of an error class that can quote data: data exceptions, constraint violations, raised
//! errors.

use std::error::Error as _;

use tokio_postgres::error::DbError;

use crate::error::{Error, Kind};

/// SQLSTATE classes whose messages are repeated. They name objects, settings and the user's own SQL, never a value of
/// a row (PostgreSQL manual, appendix A).
const SPEAKING_CLASSES: &[&str] = &[
    "08", "0A", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58",
];

/// Names of the frequent conditions in the other classes (PostgreSQL manual, appendix A).
const CONDITIONS: &[(&str, &str)] = &[
    ("21000", "cardinality violation"),
    ("22001", "string data right truncation"),
    ("22003", "numeric value out of range"),
    ("22004", "null value not allowed"),
    ("22007", "invalid datetime format"),
    ("22008", "datetime field overflow"),
    ("22012", "division by zero"),
    ("2201B", "invalid regular expression"),
    ("22021", "character not in repertoire"),
    ("22023", "invalid parameter value"),
    ("22025", "invalid escape sequence"),
    ("22P01", "floating point exception"),
    ("22P02", "invalid text representation"),
    ("22P03", "invalid binary representation"),
    ("22P04", "bad copy file format"),
    ("22P05", "untranslatable character"),
    ("23001", "restrict violation"),
    ("23502", "not null violation"),
    ("23503", "foreign key violation"),
    ("23505", "unique violation"),
    ("23514", "check violation"),
    ("23P01", "exclusion violation"),
    ("P0001", "raised exception"),
    ("P0002", "no data found"),
    ("P0003", "too many rows"),
    ("P0004", "assertion failure"),
];

/// Names of the classes, used where the condition itself is not listed.
const CLASSES: &[(&str, &str)] = &[
    ("21", "cardinality violation"),
    ("22", "data exception"),
    ("23", "integrity constraint violation"),
    ("24", "invalid cursor state"),
    ("26", "invalid SQL statement name"),
    ("38", "external routine exception"),
    ("39", "external routine invocation exception"),
    ("44", "WITH CHECK OPTION violation"),
    ("F0", "configuration file error"),
    ("HV", "foreign data wrapper error"),
    ("P0", "PL/pgSQL error"),
    ("XX", "internal error"),
];

/// Describes an error in one line: condition and SQLSTATE, table, column and constraint. The server's message is
/// added where its class can't hold a value.
pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => describe_db(db),
        None => describe_client(error),
    }
}

/// An [`Error`] that says `context` failed. Its kind is [`Kind::Unreachable`] where the connection is at fault.
pub fn db_error(context: impl Into<String>, error: &tokio_postgres::Error) -> Error {
    let kind = if is_unreachable(error) {
        Kind::Unreachable
    } else {
        Kind::Batch
    };
    let built = Error::new(kind, context).cause(describe(error));
    match hint(error) {
        Some(hint) => built.hint(hint),
        None => built,
    }
}

/// Whether the connection or the server is at fault, rather than the statement.
pub fn is_unreachable(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(db) => {
            let code = db.code().code();
            matches!(code.get(..2), Some("08" | "28" | "3D"))
                || matches!(code, "53300" | "57P01" | "57P02" | "57P03" | "57P05")
        }
        None => client_failure(error) != ClientFailure::Values,
    }
}

/// The SQLSTATE, where the error comes from the server.
pub fn sqlstate(error: &tokio_postgres::Error) -> Option<&str> {
    error.as_db_error().map(|db| db.code().code())
}

/// The kind of an error that does not come from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFailure {
    /// No encrypted connection could be made.
    Tls,
    /// The server asks for a login method that fails or is not supported.
    Login,
    /// The connection string is wrong. The source may quote it.
    ConnectionString,
    /// Parameters or columns could not be converted. The source may quote a value.
    Values,
    /// Connecting, negotiating or communicating failed. The source says why and holds no value.
    Transport,
}

/// Tells the kinds apart by tokio-postgres's fixed message texts, since its own kinds are private (its source,
/// `src/error/mod.rs`, `impl Display`). No other code may decide by an error's text.
pub fn client_failure(error: &tokio_postgres::Error) -> ClientFailure {
    const VALUES: &[&str] = &[
        "error serializing",
        "error deserializing",
        "invalid column",
        "query returned",
        "expected ",
    ];
    let text = error.to_string();
    match text.as_str() {
        "error performing TLS handshake" => ClientFailure::Tls,
        "authentication error" | "invalid configuration" => ClientFailure::Login,
        "invalid connection string" => ClientFailure::ConnectionString,
        text if VALUES.iter().any(|start| text.starts_with(start)) => ClientFailure::Values,
        _ => ClientFailure::Transport,
    }
}

fn describe_db(db: &DbError) -> String {
    let code = db.code().code();
    let speaks = SPEAKING_CLASSES.iter().any(|class| code.starts_with(class));
    let mut text = if speaks {
        db.message().replace('\n', " ")
    } else {
        condition(code).to_owned()
    };
    text.push_str(" (");
    text.push_str(code);
    text.push(')');
    for (what, name) in [
        ("table", db.table()),
        ("column", db.column()),
        ("type", db.datatype()),
        ("constraint", db.constraint()),
    ] {
        if let Some(name) = name {
            text.push_str(", ");
            text.push_str(what);
            text.push(' ');
            text.push_str(name);
        }
    }
    text
}

fn condition(code: &str) -> &'static str {
    let named = |table: &[(&str, &'static str)], key: &str| table.iter().find(|(c, _)| *c == key).map(|(_, n)| *n);
    named(CONDITIONS, code)
        .or_else(|| named(CLASSES, code.get(..2).unwrap_or_default()))
        .unwrap_or("database error")
}

fn describe_client(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    if matches!(
        client_failure(error),
        ClientFailure::Values | ClientFailure::ConnectionString
    ) {
        return text;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn hint(error: &tokio_postgres::Error) -> Option<&'static str> {
    Some(match sqlstate(error)? {
        "42501" => "grant the role what it lacks, or connect as the owner of the tables",
        "53300" => "use fewer --connections, or raise max_connections on the server",
        "53200" => "raise max_locks_per_transaction on the server, or run fewer batches at once (--threads)",
        "53100" => "free disk space on the database server",
        "55P03" => "another session holds a lock; try again when it has ended",
        "25006" => "the server is read-only (a standby, or default_transaction_read_only); connect to the primary",
        "57014" => "the statement was cancelled, or ran into statement_timeout",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_condition_is_named_and_never_quoted() {
        assert_eq!(condition("23505"), "unique violation");
        assert_eq!(condition("22999"), "data exception");
        assert_eq!(condition("ZZ999"), "database error");
        assert_eq!(condition(""), "database error");
        assert!(
            !SPEAKING_CLASSES
                .iter()
                .any(|class| matches!(*class, "22" | "23" | "P0" | "XX"))
        );
    }
}
