//! What may be said of an error that PostgreSQL or the way to it gave. DETAIL and CONTEXT are never repeated, HINT only
//! for an unknown name in the statement's own text ([`super::position`]), nor the message of a class that can quote data (data exceptions, constraint violations, raised ones).
//!
//! While SQL of the user's reads rows, any message can hold a value: `to_tsquery(note)` fails with a syntax error that
//! quotes the note, `current_setting(note)` with an undefined object, `pg_read_file(note)` with an undefined file. Then
//! only the SQLSTATE, its condition's name and the place are said ([`rows_error`]).

use std::error::Error as _;

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use crate::error::{Error, Kind};

/// What the server was doing, as far as its message could hold a value by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Statements of ours, or definitions that read no row.
    Definitions,
    /// A script of the user's that defines things and may read rows.
    Script,
    /// SQL that reads rows.
    Rows,
}

/// SQLSTATE classes whose messages name objects, settings and SQL of the user's own, never a value of a row
/// (PostgreSQL manual, appendix A).
const SPEAKING_CLASSES: &[&str] = &[
    "08", "0A", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58",
];

/// Conditions that only a definition meets: its name is taken, or it can't be so.
const OF_DEFINITIONS: &[&str] = &[
    "42701", "42710", "42712", "42723", "42P04", "42P05", "42P06", "42P07", "42P16", "42P17",
];

/// Condition names of the frequent members (PostgreSQL manual, appendix A).
const CONDITIONS: &[(&str, &str)] = &[
    ("0A000", "feature not supported"),
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
    ("40001", "serialization failure"),
    ("40P01", "deadlock detected"),
    ("42501", "insufficient privilege"),
    ("42601", "syntax error"),
    ("42602", "invalid name"),
    ("42622", "name too long"),
    ("42703", "undefined column"),
    ("42704", "undefined object"),
    ("42804", "datatype mismatch"),
    ("42809", "wrong object type"),
    ("42846", "cannot coerce"),
    ("42883", "undefined function"),
    ("42939", "reserved name"),
    ("42P01", "undefined table"),
    ("42P02", "undefined parameter"),
    ("42P18", "indeterminate datatype"),
    ("53100", "disk full"),
    ("53200", "out of memory"),
    ("54000", "program limit exceeded"),
    ("54001", "statement too complex"),
    ("55P03", "lock not available"),
    ("57014", "query canceled"),
    ("58030", "I/O error"),
    ("58P01", "undefined file"),
    ("58P02", "duplicate file"),
    ("P0001", "raised exception"),
    ("P0002", "no data found"),
    ("P0003", "too many rows"),
    ("P0004", "assertion failure"),
];

/// Names of the classes, used where the condition itself is not listed.
const CLASSES: &[(&str, &str)] = &[
    ("08", "connection exception"),
    ("0A", "feature not supported"),
    ("21", "cardinality violation"),
    ("22", "data exception"),
    ("23", "integrity constraint violation"),
    ("24", "invalid cursor state"),
    ("25", "invalid transaction state"),
    ("26", "invalid SQL statement name"),
    ("28", "invalid authorization specification"),
    ("2B", "dependent privilege descriptors still exist"),
    ("3D", "invalid catalog name"),
    ("3F", "invalid schema name"),
    ("38", "external routine exception"),
    ("39", "external routine invocation exception"),
    ("40", "transaction rollback"),
    ("42", "syntax error or access rule violation"),
    ("44", "WITH CHECK OPTION violation"),
    ("53", "insufficient resources"),
    ("54", "program limit exceeded"),
    ("55", "object not in prerequisite state"),
    ("57", "operator intervention"),
    ("58", "system error"),
    ("F0", "configuration file error"),
    ("HV", "foreign data wrapper error"),
    ("P0", "PL/pgSQL error"),
    ("XX", "internal error"),
];

/// One line about an error: condition and SQLSTATE, table, column and constraint, and the server's message where its
/// class can't hold a value. Not for SQL that reads rows: see [`describe_over`].
pub fn describe(error: &tokio_postgres::Error) -> String {
    describe_over(error, Over::Definitions)
}

/// The same, as far as it holds no value where the server was at this.
pub fn describe_over(error: &tokio_postgres::Error, over: Over) -> String {
    match error.as_db_error() {
        Some(db) => describe_db(db, over),
        None => describe_client(error),
    }
}

/// An [`Error`] that says `context` failed. Its kind is [`Kind::Unreachable`] where the connection is at fault.
pub fn db_error(context: impl Into<String>, error: &tokio_postgres::Error) -> Error {
    worded(context, error, Over::Definitions)
}

/// The same while rows are read: without the server's words.
pub fn rows_error(context: impl Into<String>, error: &tokio_postgres::Error) -> Error {
    worded(context, error, Over::Rows)
}

fn worded(context: impl Into<String>, error: &tokio_postgres::Error, over: Over) -> Error {
    let kind = if is_unreachable(error) {
        Kind::Unreachable
    } else {
        Kind::Batch
    };
    let built = Error::new(kind, context).cause(describe_over(error, over));
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

/// Tells the kinds apart by tokio-postgres's fixed message texts, since its own kinds are private (0.7.18,
/// `src/error/mod.rs`, `impl Display`). A test compares them with errors that the crate makes.
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

fn describe_db(db: &DbError, over: Over) -> String {
    let code = db.code().code();
    let raised = is_raised(db);
    let mut text = if !raised && speaks(code, has_place(db), over) {
        db.message().replace('\n', " ")
    } else {
        condition(code).to_owned()
    };
    text.push_str(&bracketed(db.code()));
    if raised {
        return text;
    }
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

/// Whether the error points at a place in the statement that was sent. Then the statement's own text is at fault: an
/// error that a value causes comes when the statement runs, and has no place in it.
fn has_place(db: &DbError) -> bool {
    // Before it is parsed at all, it can only have two statements where one is meant.
    matches!(db.position(), Some(ErrorPosition::Original(_))) || db.routine() == Some("exec_parse_message")
}

/// Whether the server's message may be repeated.
fn speaks(code: &str, has_place: bool, over: Over) -> bool {
    let speaking = SPEAKING_CLASSES.iter().any(|class| code.starts_with(class));
    speaking
        && match over {
            Over::Definitions => true,
            Over::Script => has_place || OF_DEFINITIONS.contains(&code),
            Over::Rows => has_place,
        }
}

/// Whether a function of the user's raises it, which may give it any message, any hint, any code and any names.
pub(super) fn is_raised(db: &DbError) -> bool {
    db.routine() == Some("exec_stmt_raise")
}

/// The code in brackets, after a space. Nothing where PostgreSQL has no such code: five letters may be a value's.
fn bracketed(code: &SqlState) -> String {
    if is_known(code) {
        format!(" ({})", code.code())
    } else {
        String::new()
    }
}

/// Whether the code is one of PostgreSQL's. The crate has a list of them, which shows by this alone.
fn is_known(code: &SqlState) -> bool {
    !format!("{code:?}").starts_with("SqlState(Other(")
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
mod tests;
