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

#[test]
fn a_code_that_somebody_made_up_is_not_shown() {
    for code in ["42703", "P0001", "22P02", "XX000", "57014"] {
        assert_eq!(bracketed(&SqlState::from_code(code)), format!(" ({code})"));
    }
    for code in ["SMITH", "1A2B3", ""] {
        assert_eq!(bracketed(&SqlState::from_code(code)), "");
    }
}

#[test]
fn over_rows_only_the_statements_own_text_is_at_fault() {
    // `to_tsquery(note)`, `current_setting(note)`, `pg_read_file(note)`, `set_config('role', note)`
    for code in ["42601", "42704", "58P01", "42501"] {
        assert!(speaks(code, false, Over::Definitions));
        assert!(!speaks(code, false, Over::Rows) && !speaks(code, false, Over::Script));
        assert!(speaks(code, true, Over::Rows) && speaks(code, true, Over::Script));
        assert_ne!(condition(code), "database error");
    }
    assert!(speaks("42P07", false, Over::Script) && !speaks("42P07", false, Over::Rows));
    assert!(!speaks("22P02", true, Over::Rows) && !speaks("P0001", true, Over::Definitions));
}

/// A server that gives these answers, one after each message. Returns what connecting gives.
async fn connected(
    config: &str,
    answers: &'static [&'static [u8]],
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (near, mut far) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let mut message = [0; 4096];
        for answer in answers {
            if far.read(&mut message).await.unwrap_or(0) == 0 || far.write_all(answer).await.is_err() {
                return;
            }
        }
    });
    let config: tokio_postgres::Config = config.parse()?;
    let (client, connection) = config.connect_raw(near, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn kinds_are_told_by_the_texts_that_tokio_postgres_has() {
    const READY: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    // A statement without parameters and with one int4 column, `a`; one row of it; no row.
    const PREPARED: &[u8] = b"1\0\0\0\x04t\0\0\0\x06\0\0\
        T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0Z\0\0\0\x05I";
    const ROW: &[u8] = b"2\0\0\0\x04D\0\0\0\x0e\0\x01\0\0\0\x04\0\0\0\x07C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    const NONE: &[u8] = b"2\0\0\0\x04C\0\0\0\x0dSELECT 0\0Z\0\0\0\x05I";
    // The answer to a request for TLS: no. A login by SASL with an unknown mechanism, and by a password.
    const SASL: &[u8] = b"R\0\0\0\x0b\0\0\0\x0aX\0\0";
    const PASSWORD: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    let refused: [(&str, &'static [&'static [u8]], ClientFailure); 5] = [
        ("port=x", &[], ClientFailure::ConnectionString),
        ("user=a sslmode=require", &[b"N"], ClientFailure::Tls),
        ("user=a password=b sslmode=disable", &[SASL], ClientFailure::Login),
        ("user=a sslmode=disable", &[PASSWORD], ClientFailure::Login),
        ("user=a sslmode=disable", &[], ClientFailure::Transport),
    ];
    for (config, answers, expected) in refused {
        let error = connected(config, answers).await.err().unwrap();
        assert_eq!(client_failure(&error), expected, "{config}: {error}");
    }
    let client = connected("user=a sslmode=disable", &[READY, PREPARED, ROW, NONE])
        .await
        .unwrap();
    let statement = client.prepare("select a").await.unwrap();
    let row = client.query_one(&statement, &[]).await.unwrap();
    let values = [
        client.query(&statement, &[&1_i32]).await.err(),
        client.query_one(&statement, &[]).await.err(),
        row.try_get::<_, &str>("a").err(),
        row.try_get::<_, i32>("b").err(),
    ];
    for error in values.map(Option::unwrap) {
        assert_eq!(client_failure(&error), ClientFailure::Values, "{error}");
        assert!(!is_unreachable(&error));
    }
    // The server is gone.
    let error = client.query(&statement, &[]).await.err().unwrap();
    assert_eq!(client_failure(&error), ClientFailure::Transport, "{error}");
}

/// An answer of the server: an error whose every field quotes a value.
fn quoting(code: &str, routine: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (field, value) in [
        (b'S', "ERROR"),
        (b'V', "ERROR"),
        (b'C', code),
        (b'M', "Zq84 \"hunter2canary\""),
        (b'D', "hunter2canary"),
        (b'H', "hunter2canary"),
        (b'p', "1"),
        (b'q', "hunter2canary"),
        (b'W', "hunter2canary"),
        (b's', "hunter2canary"),
        (b't', "hunter2canary"),
        (b'c', "hunter2canary"),
        (b'd', "hunter2canary"),
        (b'n', "hunter2canary"),
        (b'F', "hunter2canary"),
        (b'L', "1"),
        (b'R', routine),
    ] {
        fields.push(field);
        fields.extend(value.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let mut answer = vec![b'E'];
    answer.extend(u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
    answer.extend(fields);
    answer.extend(b"Z\0\0\0\x05I");
    answer
}

async fn said(code: &str, routine: &str) -> tokio_postgres::Error {
    const READY: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let answer: &'static [u8] = Box::leak(quoting(code, routine).into_boxed_slice());
    let answers: &'static [&'static [u8]] = Box::leak(Box::new([READY, answer]));
    let client = connected("user=a sslmode=disable", answers).await.unwrap();
    client.batch_execute("select 1").await.unwrap_err()
}

#[tokio::test]
async fn no_words_of_an_error_that_reads_rows_are_repeated() {
    for code in [
        "42703", "42P01", "22P02", "58P01", "XX000", "P0001", "08006", "54000", "ZQ841",
    ] {
        for over in [Over::Definitions, Over::Script, Over::Rows] {
            // A function of the user's raises it: nothing of it is its own.
            let raised = said(code, "exec_stmt_raise").await;
            let shown = format!("{} {:?}", describe_over(&raised, over), worded("x", &raised, over));
            for value in ["hunter2canary", "ZQ841", "Zq84"] {
                assert!(!shown.contains(value), "{code} {over:?}: {shown}");
            }
            let file = std::path::Path::new("m.sql");
            let found = super::super::position::diagnostic(file, "select \"hunter2canary\"", 0, &raised, over);
            assert_eq!(
                (found.hint, found.location.map(|at| at.column)),
                (None, Some(1)),
                "{code}"
            );
        }
        // PostgreSQL's own: its names of tables and columns are objects' names, and no more is repeated.
        let shown = describe_over(&said(code, "errorMissingColumn").await, Over::Rows);
        let condition = shown.split(", table").next().unwrap();
        assert!(
            !condition.contains("canary") && !shown.contains("Zq84"),
            "{code}: {shown}"
        );
    }
    // It does speak where no row is read, so the test shows something.
    let spoken = describe_over(&said("42703", "errorMissingColumn").await, Over::Definitions);
    assert!(spoken.contains("Zq84"), "{spoken}");
}

/// What the crate itself says may have a source that quotes a parameter or a part of the connection string.
#[tokio::test]
async fn no_parameter_and_no_connection_string_is_repeated() {
    use std::error::Error as _;

    #[derive(Debug)]
    struct Quoting;
    impl tokio_postgres::types::ToSql for Quoting {
        fn to_sql(
            &self,
            _: &tokio_postgres::types::Type,
            _: &mut bytes::BytesMut,
        ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
            Err("hunter2canary".into())
        }
        fn accepts(_: &tokio_postgres::types::Type) -> bool {
            true
        }
        tokio_postgres::types::to_sql_checked!();
    }
    const READY: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let client = connected("user=a sslmode=disable", &[READY]).await.unwrap();
    let typed = client
        .query_typed("select $1", &[(&Quoting, tokio_postgres::types::Type::TEXT)])
        .await
        .unwrap_err();
    let string = "user=a hunter2canary".parse::<tokio_postgres::Config>().unwrap_err();
    let option = "user=a hunter2canary=b".parse::<tokio_postgres::Config>().unwrap_err();
    let mut quoted = 0;
    for error in [typed, string, option] {
        let raw = error.source().map(ToString::to_string).unwrap_or_default();
        quoted += u32::from(raw.contains("hunter2canary"));
        let shown = format!("{} {:?}", describe(&error), db_error("x", &error));
        assert!(!shown.contains("hunter2canary"), "{shown}");
    }
    assert_eq!(quoted, 2, "the sources quote");
}
