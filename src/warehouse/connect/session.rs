//! The settings of every session, as SQL. A server may refuse some of them. So the first session of a process tries
//! each one and notes which were allowed. Later sessions set only those: trying costs a subtransaction for each setting,
//! and a run opens a session for each of its connections.

use std::fmt::Write as _;

use tokio_postgres::SimpleQueryMessage;

use crate::warehouse::sql::{PATH, ident};

/// Settings of every session beside the names that it resolves, so that results and locks do not depend on how a role or a server is configured.
const SETTINGS: &[(&str, &str)] = &[
    ("client_min_messages", "warning"),
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    // A COPY or an index build may take long, and the connection that holds the batch locks is idle most of the time.
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    // A session that waits for a lock makes others wait behind it.
    ("lock_timeout", "30s"),
];

/// Settings that are made where the role may make them. They keep row values out of the server's log, and they free
/// the locks of a killed process before its statement ends.
const WISHES: &[(&str, &str)] = &[
    // Errors of the SQL of views and checks quote rows. The session's own messages say what the error was.
    ("log_min_messages", "fatal"),
    ("log_error_verbosity", "terse"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
    ("client_connection_check_interval", "2s"),
    // A machine that is cut off says nothing. After two minutes of silence it is gone, instead of after two hours.
    ("tcp_keepalives_idle", "60"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "6"),
];

/// The name of a setting in which a session notes which of [`WISHES`] were allowed.
const GRANTED: &str = "pipeline.granted";

/// Switches to the role that owns the schema `pipeline`, if that role can't log in (`pipeline roles` makes it so) and
/// the user is a member of it. The owner role then owns whatever its members make. Other users keep their own role.
const ASSUME_OWNER: &str = "PERFORM pg_catalog.set_config('role', r.rolname, false) \
    FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner \
    WHERE n.nspname = 'pipeline' AND NOT r.rolcanlogin AND pg_catalog.pg_has_role(r.oid, 'MEMBER')";

/// The statements for all settings, except those that the user's PGOPTIONS name. The names that statements of this
/// program resolve are not theirs to choose. With `wishes`, the last statement
/// reports which wishes were allowed.
pub(super) fn setup(options: Option<&str>, wishes: bool) -> String {
    let ours = |name: &str| !options.is_some_and(|options| options.to_ascii_lowercase().contains(name));
    let mut sql = format!("SET {PATH}; ");
    for (name, value) in SETTINGS.iter().filter(|(name, _)| ours(name)) {
        let _ = write!(sql, "{}; ", set(name, value));
    }
    if wishes {
        // A setting that already has the wished value is left alone, since the role may not be allowed to set it.
        sql.push_str("DO $pipeline$ DECLARE granted text := ''; BEGIN ");
        for (name, value) in WISHES {
            let _ = write!(
                sql,
                "BEGIN {}; granted := granted || ' {name}'; EXCEPTION WHEN OTHERS THEN NULL; END; ",
                set(name, value)
            );
        }
        let _ = write!(
            sql,
            "BEGIN PERFORM pg_catalog.set_config('{GRANTED}', granted, false); EXCEPTION WHEN OTHERS THEN NULL; END; "
        );
        // The role is switched last: the rights to make the wishes are those of the user who has logged in.
        if ours("role") {
            let _ = write!(sql, "BEGIN {ASSUME_OWNER}; EXCEPTION WHEN OTHERS THEN NULL; END; ");
        }
        let role = if ours("role") {
            "pg_catalog.current_setting('role', true)"
        } else {
            "'none'"
        };
        let _ = write!(
            sql,
            "END $pipeline$; SELECT pg_catalog.current_setting('{GRANTED}', true), {role}"
        );
    }
    sql
}

/// The wishes that were allowed, as statements in the order of [`setup`].
pub(super) fn granted(said: &[SimpleQueryMessage]) -> String {
    let mut sql = String::new();
    let row = said.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let Some(row) = row else { return sql };
    let names: Vec<&str> = row.get(0).unwrap_or_default().split_whitespace().collect();
    for (name, value) in WISHES.iter().filter(|(name, _)| names.contains(name)) {
        let _ = write!(sql, "{}; ", set(name, value));
    }
    if let Some(role) = row.get(1).filter(|role| *role != "none") {
        let _ = write!(sql, "SET ROLE {}", ident(role));
    }
    sql
}

fn set(name: &str, value: &str) -> String {
    format!("SET {name} = '{value}'")
}
