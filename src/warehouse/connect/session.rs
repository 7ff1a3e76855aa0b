//! The settings that every session of ours has, as SQL. Some may be refused, so the first session of a process asks for
//! each in turn and notes what it was granted. Later sessions set just that, for a tenth of the server's work. Only small
//! batches gain from it: with three other steps it brought one of two patients from 130 to 100 ms (docs,
//! "performance").

use std::fmt::Write as _;

use tokio_postgres::SimpleQueryMessage;

use crate::warehouse::sql::ident;

/// What every session of ours has, so that results and locks do not depend on how a role or a server is set up.
const SETTINGS: &[(&str, &str)] = &[
    ("client_min_messages", "warning"),
    ("search_path", "public"),
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    // A long COPY or index build is no runaway, and a connection that holds batch locks idles by design.
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    // Whoever waits for a lock makes others wait behind it.
    ("lock_timeout", "30s"),
];

/// What is set where the role may: the server's log should hold no value of a row, and a process that was killed
/// should not hold its locks until its statement ends.
const WISHES: &[(&str, &str)] = &[
    ("log_error_verbosity", "terse"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
    ("client_connection_check_interval", "2s"),
];

/// A setting of our own, in which a session tells which wishes came true.
const GRANTED: &str = "pipeline.granted";

/// Assumes the role that owns the schema `pipeline`, where that can't log in (`pipeline roles` makes it) and the user is
/// a member of it. It then owns what any of its members makes. Other users keep their own role.
const ASSUME_OWNER: &str = "PERFORM pg_catalog.set_config('role', r.rolname, false) \
    FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner \
    WHERE n.nspname = 'pipeline' AND NOT r.rolcanlogin AND pg_catalog.pg_has_role(r.oid, 'MEMBER')";

/// The statements for all settings; what the user's PGOPTIONS name stays theirs. With wishes, the last one tells which of
/// them came true.
pub(super) fn setup(options: Option<&str>, wishes: bool) -> String {
    let ours = |name: &str| !options.is_some_and(|options| options.to_ascii_lowercase().contains(name));
    let mut sql = String::new();
    for (name, value) in SETTINGS.iter().filter(|(name, _)| ours(name)) {
        let _ = write!(sql, "{}; ", set(name, value));
    }
    if wishes {
        // A setting that has the wished value already need not be one that may be set.
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
        // Last: the wishes are for whoever has logged in.
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

/// The wishes that came true, as statements in the order of [`setup`].
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
