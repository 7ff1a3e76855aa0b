//! Finds the field that says which person a record is about.

use super::{Field, FieldType};

/// The subject of a source's records.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// The positions of the field and of the structs around it, from the outside in. Never empty.
    pub positions: Vec<usize>,
    pub field: &'a Field,
}

/// Why a path leads to no subject.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Astray {
    /// There is no such field.
    Nowhere,
    /// The field is inside of this list, of which a record may have several elements.
    InList(String),
}

/// Finds a field by its path through structs, such as `subject.reference`. A reference may be named by its id, as
/// `subject.reference.id`.
pub(crate) fn find<'a>(schema: &'a [Field], path: &str) -> Result<Subject<'a>, Astray> {
    let mut found = below(schema, path, "")?;
    found.positions.reverse();
    Ok(found)
}

/// The positions are from the inside out.
fn below<'a>(fields: &'a [Field], path: &str, around: &str) -> Result<Subject<'a>, Astray> {
    if let Some(position) = fields.iter().position(|field| field.name == path) {
        let field = &fields[position];
        return Ok(Subject {
            positions: vec![position],
            field,
        });
    }
    let mut astray = Astray::Nowhere;
    for (position, field) in fields.iter().enumerate() {
        let Some(rest) = path.strip_prefix(field.name.as_str()) else {
            continue;
        };
        let here = format!("{around}{}", field.name);
        match &field.field_type {
            // A reference is known by its id.
            FieldType::Reference(_) if rest == ".id" => {
                return Ok(Subject {
                    positions: vec![position],
                    field,
                });
            }
            FieldType::List(_) if rest.starts_with(['.', '[']) => astray = Astray::InList(here),
            FieldType::Struct(children) => {
                let Some(rest) = rest.strip_prefix('.') else { continue };
                match below(children, rest, &format!("{here}.")) {
                    Ok(mut found) => {
                        found.positions.push(position);
                        return Ok(found);
                    }
                    Err(Astray::Nowhere) => {}
                    Err(in_list) => astray = in_list,
                }
            }
            _ => {}
        }
    }
    Err(astray)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Privacy;
    use crate::model::testing::{field, list};

    #[test]
    fn a_path_goes_through_structs_and_not_through_lists() {
        let of = |name: &str, field_type| field(name, field_type, Privacy::default());
        let text = |name: &str| of(name, FieldType::String);
        let codings = list(FieldType::Struct(vec![text("code")]));
        let inner = FieldType::Struct(vec![of("codings", codings.clone()), text("reference"), text("a.b")]);
        let to = FieldType::Reference(crate::model::References::default());
        let outer = FieldType::Struct(vec![text("x"), of("inner", inner), of("to", to)]);
        let schema = [text("id"), of("names", list(FieldType::String)), of("subject", outer)];
        for (path, positions, name) in [
            ("id", vec![0], "id"),
            ("names", vec![1], "names"),
            ("subject", vec![2], "subject"),
            ("subject.x", vec![2, 0], "x"),
            ("subject.inner.reference", vec![2, 1, 1], "reference"),
            ("subject.inner.a.b", vec![2, 1, 2], "a.b"),
            ("subject.to", vec![2, 2], "to"),
            ("subject.to.id", vec![2, 2], "to"),
        ] {
            let found = find(&schema, path).unwrap();
            assert_eq!(
                (found.positions, found.field.name.as_str()),
                (positions, name),
                "{path}"
            );
        }
        for (path, astray) in [
            ("", Astray::Nowhere),
            ("ids", Astray::Nowhere),
            ("id.x", Astray::Nowhere),
            ("subject.reference", Astray::Nowhere),
            ("subjects.x", Astray::Nowhere),
            ("subject.to.type", Astray::Nowhere),
            ("names[]", Astray::InList("names".into())),
            (
                "subject.inner.codings.code",
                Astray::InList("subject.inner.codings".into()),
            ),
            (
                "subject.inner.codings[].code",
                Astray::InList("subject.inner.codings".into()),
            ),
        ] {
            assert_eq!(find(&schema, path).unwrap_err(), astray, "{path}");
        }
    }
}
