use super::*;

fn entries(text: &str) -> Vec<Entry> {
    match parse(text).map(|node| node.value) {
        Ok(Value::Map(entries)) => entries,
        other => panic!("{other:?}"),
    }
}

fn error(text: &str) -> (String, usize, usize) {
    let error = parse(text).expect_err("should be refused");
    (error.message, error.span.line, error.span.column)
}

#[test]
fn keys_keep_order_place_and_repetitions() {
    let entries = entries("b: 1\na: 'x'\n\"é\": yes\nb: ~\n");
    let keys: Vec<_> = entries
        .iter()
        .map(|e| (e.key.text.as_str(), e.key.span.line, e.value.value.kind()))
        .collect();
    assert_eq!(
        keys,
        [
            ("b", 1, "a number"),
            ("a", 2, "text"),
            ("é", 3, "text"),
            ("b", 4, "empty")
        ]
    );
    assert_eq!(
        entries[1].place(),
        Span {
            line: 2,
            column: 4,
            length: 3,
            file: 0
        }
    );
}

#[test]
fn merged_keys_point_at_their_definition_and_do_not_repeat_overridden_ones() {
    let entries = entries("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  x: t\n");
    let Value::Map(used) = &entries[1].value.value else {
        panic!("{entries:?}")
    };
    let keys: Vec<_> = used.iter().map(|e| (e.key.text.as_str(), e.key.span.line)).collect();
    assert_eq!(keys, [("x", 4), ("y", 1)]);
}

#[test]
fn an_empty_text_is_null() {
    assert!(matches!(parse("# nothing\n").map(|n| n.value), Ok(Value::Null)));
}

#[test]
fn errors_are_placed() {
    let no_yaml = |text: &str| format!("this is no YAML: {text}");
    assert_eq!(
        error("a: b: c\n"),
        (no_yaml("mapping values are not allowed in this context"), 1, 5)
    );
    assert_eq!(error("a: [1\n"), (no_yaml("unclosed bracket '['"), 1, 4));
    assert_eq!(
        error("a: *x\n"),
        ("the alias names no anchor of this file".into(), 1, 4)
    );
    assert_eq!(
        error("a: &a [*a]\n"),
        ("the alias stands inside its own anchor".into(), 1, 8)
    );
    assert_eq!(error("a: !x y\n").0, no_yaml("unsupported tag"));
    assert_eq!(
        error("[x]: y\n").0,
        no_yaml("invalid type: sequence, expected text as a key")
    );
    assert_eq!(
        error("a: 1\n---\nb: 2\n").0,
        "the file holds more than one YAML document"
    );
}

#[test]
fn errors_of_syntax_have_a_hint_by_their_type() {
    for text in ["a: b: c\n", "a: [1\n", "a: \"b\" c\n", "a:\n\tb: 1\n", "a: {date}/x\n"] {
        assert_eq!(parse(text).err().unwrap().hint, Some(QUOTES_HINT), "{text}");
    }
    assert_eq!(parse("[x]: y\n").err().unwrap().hint, None);
}

#[test]
fn hostile_documents_are_refused_in_bounded_time() {
    let levels = (1..12).map(|level| {
        format!(
            "a{level}: &a{level} [{}]",
            vec![format!("*a{}", level - 1); 9].join(",")
        )
    });
    let bomb = ["a0: &a0 [x,x,x,x,x,x,x,x,x]".to_owned()].into_iter().chain(levels);
    assert_eq!(
        error(&bomb.collect::<Vec<_>>().join("\n")).0,
        "the YAML is too large for a project file, its aliases expanded"
    );
    let deep = format!("a: {}{}\n", "[".repeat(100), "]".repeat(100));
    assert_eq!(error(&deep).0, "the YAML is nested too deeply (more than 64 levels)");
    let block = (0..5_000).map(|level| " ".repeat(level) + "a:\n").collect::<String>();
    assert_eq!(error(&block).0, "the YAML is nested too deeply (more than 64 levels)");
}

/// A message is shown beside the line at fault, and alone by an editor: it repeats no text of the file.
#[test]
fn no_message_of_the_reader_repeats_the_files_text() {
    const CANARY: &str = "hunter2canary";
    let mut refused = 0;
    for text in [
        "a: [C",
        "a: {C: 1",
        "a: \"C",
        "a: 'C",
        "a: \"\\C\"",
        "a: \"\\xC\"",
        "C: C: C",
        "a: C\n b: C",
        "\tC: 1",
        "a:\n\tC: 1",
        "a: *C",
        "a: &C [*C]",
        "&C a: &C\n",
        "%C\n---\na: 1",
        "%TAG !C! C\n---\na: !C!C x",
        "a: !C",
        "a: !<C C",
        "a: !!int C",
        "a: !!float C",
        "a: !!bool C",
        "a: !!null C",
        "a: !!binary C*",
        "a: !!timestamp C",
        "a: @C",
        "a: `C",
        "a: |C\n x",
        "a: >-C\n x",
        "? C\n: [",
        "[C]: 1",
        "{C: 1}: 1",
        "<<: C\n",
        "<<: [C]\n",
        "a: 1\n---\nC: 1",
        "- C\nC: 1",
        "a: C\n- C",
        "a: \u{7}C",
        "a: C #\u{0}",
    ] {
        let text = text.replace('C', CANARY);
        if let Err(error) = parse(&text) {
            refused += 1;
            assert!(!error.message.contains(CANARY), "{text}: {}", error.message);
            assert!(!error.hint.unwrap_or_default().contains(CANARY), "{text}");
        }
    }
    assert!(refused > 20, "{refused}");
}
