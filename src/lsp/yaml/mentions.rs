//! Finds where YAML speaks of a field or a column that is declared elsewhere: keys, indexes, checks, conditions, test cases.

use super::cursor::cursor_at;
use crate::model::Project;
use crate::project::YamlKind;

/// What is looked for in a file.
#[derive(Debug, Clone, Copy)]
pub(in crate::lsp) enum Wanted<'a> {
    Column {
        entity: &'a str,
        column: &'a str,
    },
    /// A field at a path such as `visits[].date`, of the kind with this name. `None`: the source declares no kinds.
    Field {
        path: &'a str,
        kind: Option<&'a str>,
    },
}

impl Wanted<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Column { column, .. } => column,
            Self::Field { path, .. } => path.rsplit('.').next().unwrap_or(path),
        }
    }
}

/// The bytes of all mentions in the text of a file of this kind.
pub(in crate::lsp) fn mentions(
    project: &Project,
    kind: YamlKind,
    text: &str,
    wanted: Wanted<'_>,
) -> Vec<(usize, usize)> {
    let name = wanted.name();
    let mut found = Vec::new();
    for (start, _) in text.match_indices(name).filter(|_| !name.is_empty()) {
        let end = start + name.len();
        let is_whole = !text[..start].ends_with(is_letter) && !text[end..].starts_with(is_letter);
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let before = text[line..start].trim_start();
        if !is_whole || before.starts_with('#') || before.contains(" #") {
            continue;
        }
        let cursor = cursor_at(text, end);
        let steps: Vec<&str> = cursor.path.iter().map(String::as_str).collect();
        let is_it = match wanted {
            Wanted::Column { entity, .. } => is_of_column(project, kind, &steps, cursor.is_value, entity),
            Wanted::Field { path, kind: of } => {
                is_of_field(kind, &steps, cursor.is_value, path, of) || is_path(kind, &steps, text, end, path, of)
            }
        };
        if is_it {
            found.push((start, end));
        }
    }
    found
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_of_column(project: &Project, kind: YamlKind, steps: &[&str], is_value: bool, entity: &str) -> bool {
    let written = is_value || steps.last() == Some(&"[]");
    match (kind, steps) {
        (YamlKind::Project, ["entities", of, "key" | "indexes" | "latest", ..]) => *of == entity && written,
        // The columns of a relation have the same names on both sides.
        (YamlKind::Project, ["entities", of, "parent", ..]) => {
            let parent = || {
                let own = project.entities.iter().find(|known| known.name == *of);
                own.and_then(|own| own.parent.as_ref())
                    .is_some_and(|parent| parent.entity == entity)
            };
            written && (*of == entity || parent()) && steps.contains(&"columns")
        }
        (YamlKind::Project, ["entities", of, "checks", "[]", ..])
        | (YamlKind::Source, ["checks", of, "[]", ..] | ["kinds", _, "checks", of, "[]", ..]) => {
            let speaks = ["not_null", "unique", "column", "columns", "expression"];
            *of == entity && written && steps.iter().any(|step| speaks.contains(step))
        }
        (YamlKind::Tests, ["tests", "[]", "rows", of, "[]"]) => *of == entity && !is_value,
        _ => false,
    }
}

/// Whether a key of a test case's record is the field at a path.
fn is_of_field(kind: YamlKind, steps: &[&str], is_value: bool, path: &str, of: Option<&str>) -> bool {
    let within = match (kind, steps) {
        (YamlKind::Tests, ["tests", "[]", "records", "[]", within @ ..]) => within,
        (YamlKind::Tests, ["tests", "[]", "records", name, "[]", within @ ..]) if Some(*name) == of => within,
        _ => return false,
    };
    let mut above = String::new();
    for step in within {
        if *step == "[]" {
            above.push_str("[]");
        } else {
            if !above.is_empty() {
                above.push('.');
            }
            above.push_str(step);
        }
    }
    let wanted = path.rsplit_once('.').map_or("", |(above, _)| above);
    // A field with `one_or_many` may stand without a list.
    !is_value && above.replace("[]", "") == wanted.replace("[]", "")
}

/// Whether a path that is written in a source, as far as the name that ends here, is that of the field.
fn is_path(kind: YamlKind, steps: &[&str], text: &str, end: usize, path: &str, of: Option<&str>) -> bool {
    let (key, named) = match steps {
        ["kinds", name, rest @ ..] => (rest, Some(*name)),
        rest => (rest, None),
    };
    let speaks = match key {
        ["subject"] | ["conserves" | "where", ..] => named == of,
        // These paths begin with the kind's name.
        ["allow_constant_masks", ..] => true,
        _ => false,
    };
    let written = |c: char| is_letter(c) || matches!(c, '.' | '[' | ']');
    let start = text[..end].rfind(|c| !written(c)).map_or(0, |at| at + 1);
    let own = text[start..end].trim_start_matches(['[', '.']);
    let whole = match (key, of) {
        (["allow_constant_masks", ..], Some(of)) => own.strip_prefix(of).and_then(|rest| rest.strip_prefix('.')),
        _ => Some(own),
    };
    kind == YamlKind::Source && speaks && whole == Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsp::tests::small;

    fn lines(kind: YamlKind, text: &str, wanted: Wanted<'_>) -> Vec<usize> {
        let found = mentions(small(), kind, text, wanted);
        let line = |(start, end): (usize, usize)| {
            assert_eq!(&text[start..end], wanted.name());
            text[..start].matches('\n').count() + 1
        };
        found.into_iter().map(line).collect()
    }

    #[test]
    fn a_column_is_found_where_the_contract_and_test_cases_speak_of_it() {
        let wanted = Wanted::Column {
            entity: "people",
            column: "person_id",
        };
        let contract = "entities:\n  people:\n    columns:\n      person_id: text # person_id\n    key: [person_id]\n    indexes:\n      \
                        - [born, person_id]\n    checks:\n      - not_null: person_id\n        name: person_id\n      - {expression: \
                        \"born > person_id\"}\n  visits:\n    key: [person_id]\n    parent: {entity: people, columns: [person_id]}\n    \
                        checks:\n      - not_null: person_id\n";
        assert_eq!(lines(YamlKind::Project, contract, wanted), [5, 7, 9, 11, 14]);
        let source =
            "name: clinic\nchecks:\n  people:\n    - unique: [person_id, born]\n  visits:\n    - not_null: person_id\n";
        assert_eq!(lines(YamlKind::Source, source, wanted), [4]);
        let cases = "tests:\n  - name: person_id\n    records:\n      - {person_id: a}\n    rows:\n      people:\n        - person_id: a\n        \
                     - {born: null, person_id: person_id}\n      visits:\n        - {person_id: a}\n";
        assert_eq!(lines(YamlKind::Tests, cases, wanted), [7, 8]);
    }

    #[test]
    fn a_field_is_found_by_its_whole_path() {
        let wanted = Wanted::Field {
            path: "visits[].date",
            kind: None,
        };
        let cases = "tests:\n  - name: a\n    records:\n      - date: x\n        visits:\n          - {no: 1, date: date}\n          - date: b\n\
                     \x20   rows:\n      visits:\n        - {date: a}\n";
        assert_eq!(lines(YamlKind::Tests, cases, wanted), [6, 7]);
        let list = Wanted::Field {
            path: "visits[].codes",
            kind: None,
        };
        let source = "subject: codes\nconserves:\n  a: visits[].codes[]\n  b: codes[]\n  c: {path: \"visits[].codes[]\"}\n\
                      allow_constant_masks: [visits[].codes]\nschema:\n  codes: string\n";
        assert_eq!(lines(YamlKind::Source, source, list), [3, 5, 6]);
        let of_kind = Wanted::Field {
            path: "meta.type",
            kind: Some("one"),
        };
        let kinds = "kinds:\n  one:\n    where: {meta.type: a}\n    subject: meta.type\n  two:\n    where: {meta.type: b}\n\
                     allow_constant_masks:\n  - one.meta.type\n  - two.meta.type\n";
        assert_eq!(lines(YamlKind::Source, kinds, of_kind), [3, 4, 8]);
    }
}
