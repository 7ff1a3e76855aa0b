use super::*;

const TEXT: &str = "name: x # a source\nschema:\n  # whose\n  id: string # kept\n  visits:\n    list:\n      n: {type: int,  required: true}\n      'odd one': {struct: {a: string, b: \"decimal(5,2)\"}}\n\n    # of the list\n  last:\n    type: date\n    required: true\nother: 1\n";

fn set(path: &[&str], options: &[(&str, &str)]) -> String {
    let mut edits = Edits::new(TEXT);
    let mut value = edits.top("schema").unwrap();
    let mut found = None;
    for name in path {
        let entry = edits
            .entry(&value, name)
            .unwrap_or_else(|| panic!("{name} in {value:?}"));
        value = entry.value.clone();
        found = Some(entry);
    }
    let options: Vec<_> = options.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    assert!(edits.set(&found.unwrap(), &options));
    apply(TEXT, &edits.made())
}

#[test]
fn an_option_is_changed_or_added_and_nothing_else() {
    let with = |old: &str, new: &str| TEXT.replace(old, new);
    assert_eq!(
        set(&["id"], &[("from", "number")]),
        with("id: string # kept", "id: {type: string, from: number} # kept")
    );
    assert_eq!(
        set(&["id"], &[("type", "json")]),
        with("id: string # kept", "id: json # kept")
    );
    assert_eq!(
        set(
            &["visits", "list", "n"],
            &[("type", "bigint"), ("from", "string"), ("required", "false")]
        ),
        with(
            "{type: int,  required: true}",
            "{type: bigint, from: string,  required: false}"
        )
    );
    assert_eq!(
        set(&["visits", "list", "odd one", "struct", "b"], &[("type", "double")]),
        with("\"decimal(5,2)\"", "double")
    );
    assert_eq!(
        set(&["last"], &[("required", "false"), ("precision", "partial")]),
        with(
            "type: date\n    required: true",
            "type: date\n    precision: partial\n    required: false"
        )
    );
}

#[test]
fn an_alias_is_left_alone() {
    let text = "schema:\n  a: &x {type: int}\n  b: *x\n  c: {<<: *x, required: true}\n";
    let mut edits = Edits::new(text);
    let schema = edits.top("schema").unwrap();
    for name in ["a", "b"] {
        let entry = edits.entry(&schema, name).unwrap();
        assert!(!edits.set(&entry, &[("type", "bigint".to_owned())]), "{name}");
    }
}

#[test]
fn a_file_keeps_its_line_ends() {
    let text = TEXT.replace('\n', "\r\n");
    let mut edits = Edits::new(&text);
    let schema = edits.top("schema").unwrap();
    let last = edits.entry(&schema, "last").unwrap();
    assert!(edits.set(
        &last,
        &[("from", "string".to_owned()), ("required", "false".to_owned())]
    ));
    let new = TEXT.replace(
        "type: date\n    required: true",
        "type: date\n    from: string\n    required: false",
    );
    assert_eq!(apply(&text, &edits.made()), new.replace('\n', "\r\n"));
}
