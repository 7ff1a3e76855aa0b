//! Turns the shape of the records into the fields of a schema.

use super::classify::{self, Seen};
use super::scalar::Scalar;
use super::shape::{KINDS, Member, Objects, Shape};
use super::words::words;
use crate::model::References;

/// From this many objects on, a field that stood in all of them is declared as required.
const SURE: u64 = 10;

/// A field as it will be declared.
#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub required: bool,
    /// Whether it stood in every object of the sample, and was never null.
    pub always: bool,
    pub kind: Kind,
    /// A list that the sample has without its only element's brackets, too.
    pub one_or_many: bool,
    /// What the sample has shown beyond the declaration. It names no value.
    pub comment: Option<String>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    Scalars(Scalar),
    Struct(Vec<Field>),
    Objects(Vec<Field>),
}

/// How the fields of a sample are declared.
pub(super) struct Declaring {
    /// Cells and their types come as text: CSV.
    pub flat: bool,
    pub subject: bool,
    /// The type of FHIR resource that the records are, if they are of one.
    pub resource: Option<&'static str>,
}

/// The fields of an object.
pub(super) fn fields<'a>(how: &Declaring, objects: &'a Objects, path: &mut Vec<&'a str>) -> Vec<Field> {
    let coded = objects.fields.iter().any(|(name, _)| words(name) == ["code"]);
    let mut declared = Vec::with_capacity(objects.fields.len());
    for (name, member) in &objects.fields {
        path.push(name);
        declared.push(field(how, name, member, objects.count, coded, path));
        path.pop();
    }
    declared
}

/// A field that a newer sample has. Older files lack it, so it is not required.
pub(super) fn added<'a>(
    how: &Declaring,
    name: &str,
    member: &'a Member,
    objects: &'a Objects,
    path: &mut Vec<&'a str>,
) -> Field {
    let coded = objects.fields.iter().any(|(name, _)| words(name) == ["code"]);
    Field {
        required: false,
        ..field(how, name, member, objects.count, coded, path)
    }
}

fn field<'a>(
    how: &Declaring,
    name: &str,
    member: &'a Member,
    objects: u64,
    coded: bool,
    path: &mut Vec<&'a str>,
) -> Field {
    let shape = &member.shape;
    let always = objects > 0 && member.present == objects && shape.nulls == 0;
    let (kind, comment) = kind(how, shape, coded, path);
    let is_id = matches!(&kind, Kind::Scalar(scalar) if scalar.is_identifier() && scalar.unique);
    Field {
        name: name.to_owned(),
        required: always && (objects >= SURE || is_id),
        always,
        kind,
        one_or_many: shape.lists.bare > 0,
        comment,
    }
}

fn kind<'a>(how: &Declaring, shape: &'a Shape, coded: bool, path: &mut Vec<&'a str>) -> (Kind, Option<String>) {
    let json = |comment: String| {
        (
            Kind::Scalar(masked(how, Scalar::of("json"), shape, coded, path)),
            Some(comment),
        )
    };
    match shape.kinds() {
        0 if how.flat => {
            return (
                Kind::Scalar(masked(how, Scalar::of("string"), shape, coded, path)),
                None,
            );
        }
        0 => return json("null or absent in the whole sample, so its type is not known".to_owned()),
        1 => {}
        _ if shape.is_number_or_text() => {
            return (
                Kind::Scalar(masked(how, either(shape), shape, coded, path)),
                Some(format!("read as either, since it is {}", met(shape))),
            );
        }
        _ => return json(format!("of more than one kind: {}", met(shape))),
    }
    if shape.objects.count > 0 {
        return match &shape.objects {
            objects if objects.fields.is_empty() => json("an object without fields in the whole sample".to_owned()),
            objects if keys_are_data(objects) => json(format!(
                "an object whose keys look like data: {} different ones in {} objects",
                objects.fields.len(),
                objects.count
            )),
            objects => (Kind::Struct(fields(how, objects, path)), None),
        };
    }
    if shape.lists.count > 0 {
        let Some(item) = shape.lists.item.as_deref() else {
            return json("a list that is empty in the whole sample".to_owned());
        };
        if item.is_object() && item.objects.fields.is_empty() {
            return json("a list of objects without fields in the whole sample".to_owned());
        }
        let bare = (shape.lists.bare > 0).then(|| {
            format!(
                "a list {}, and its only element without a list {}, first in record {}",
                times(shape.lists.count),
                times(shape.lists.bare),
                shape.lists.first_bare
            )
        });
        if item.is_object() && !keys_are_data(&item.objects) {
            return (Kind::Objects(fields(how, &item.objects, path)), bare);
        }
        if item.is_number_or_text() {
            let scalar = masked(how, either(item), item, coded, path);
            return (
                Kind::Scalars(scalar),
                Some(format!("read as either, since an element is {}", met(item))),
            );
        }
        if item.kinds() == 1 && item.objects.count == 0 && item.lists.count == 0 {
            let (scalar, comment) = scalar(how, item);
            return (Kind::Scalars(masked(how, scalar, item, coded, path)), comment.or(bare));
        }
        return json(match item.kinds() {
            0 => "a list of nulls in the whole sample".to_owned(),
            1 => "a list of lists, or of objects whose keys look like data".to_owned(),
            _ => format!("a list whose elements are of more than one kind: {}", met(item)),
        });
    }
    let (mut scalar, comment) = scalar(how, shape);
    refers(&mut scalar, shape, path);
    let scalar = masked(how, scalar, shape, coded, path);
    let numbers = !how.flat && scalar.field_type == "string" && scalar.suggested.is_none() && shape.declared.is_none();
    let comment = match shape.texts.numbers() {
        Some(number) if numbers && comment.is_none() => Some(format!(
            "whole numbers sent as strings: {{type: {number}, from: string}} reads them as numbers, if they are no codes"
        )),
        _ => comment,
    };
    (Kind::Scalar(scalar), comment)
}

/// Declares a text as a reference where all texts of the sample are such.
fn refers(scalar: &mut Scalar, shape: &Shape, path: &[&str]) {
    let (texts, own) = (&shape.texts, path.last().copied().unwrap_or_default());
    let full = texts.count - texts.empty;
    if scalar.field_type == "string" && shape.declared.is_none() && texts.fhir.are_references(full, own) {
        "reference".clone_into(&mut scalar.field_type);
        scalar.empty_as_null = texts.empty > 0;
        scalar.to = texts.fhir.to.iter().copied().collect();
    }
}

fn times(count: u64) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

/// What kinds of values were met, how many of each, and where first.
pub(super) fn met(shape: &Shape) -> String {
    let met = KINDS.iter().zip(shape.counts()).zip(shape.first);
    let met = met.filter(|((_, count), _)| *count > 0);
    met.map(|((kind, count), first)| format!("{kind} {} (first in record {first})", times(count)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A number here, a string there: a number where all the strings are numbers, else a string.
pub(super) fn either(shape: &Shape) -> Scalar {
    let (numbers, texts) = (&shape.numbers, &shape.texts);
    let field_type = match texts.numbers() {
        None => "string".to_owned(),
        Some(text) => match (number(shape).as_str(), text) {
            ("double", _) => "double".to_owned(),
            (one, "decimal") if !one.ends_with(",0)") => decimal(
                "decimal",
                numbers.int_digits.max(texts.int_digits),
                numbers.scale.max(texts.scale),
            ),
            (one, _) if one.starts_with("decimal") && !one.ends_with(",0)") => {
                decimal("decimal", numbers.int_digits.max(texts.int_digits), numbers.scale)
            }
            (one, _) if one.starts_with("decimal") => one.to_owned(),
            ("int", "int") => "int".to_owned(),
            _ => "bigint".to_owned(),
        },
    };
    Scalar {
        from: Some("[string, number]"),
        empty_as_null: texts.empty > 0 && field_type != "string",
        ..Scalar::of(field_type)
    }
}

/// Whether an object is a map whose keys are data, such as ids or dates. Many different keys stand in few objects each,
/// or most of them hold digits.
pub(super) fn keys_are_data(objects: &Objects) -> bool {
    let fields = objects.fields.len() as u64;
    let present: u64 = objects.fields.iter().map(|(_, member)| member.present).sum();
    let digits = objects
        .fields
        .iter()
        .filter(|(name, _)| name.bytes().any(|byte| byte.is_ascii_digit()));
    let digits = digits.count() as u64;
    let values = objects.fields.iter().all(|(_, member)| member.shape.objects.count > 0);
    objects.overflown
        || fields >= 30 && present * 10 < fields * objects.count
        || fields >= 3 && digits * 10 >= fields * 8 && (values || present * 2 < fields * objects.count)
}

fn scalar(how: &Declaring, shape: &Shape) -> (Scalar, Option<String>) {
    let mut declared = match &shape.declared {
        Some(declared) => Scalar::of(declared.clone()),
        None if shape.bools > 0 => Scalar::of("bool"),
        None if shape.numbers.count > 0 => Scalar::of(number(shape)),
        None => Scalar::of("string"),
    };
    declared.unique = shape.distinct.is_unique();
    let mut comment = None;
    if declared.field_type == "string" {
        let texts = &shape.texts;
        let styles = texts.styles();
        if let Some(style) = styles.first().filter(|_| shape.declared.is_none()) {
            style.field_type.clone_into(&mut declared.field_type);
            declared.formats = match styles.as_slice() {
                [one] => one.format.into_iter().collect(),
                many => many.iter().map(|style| style.listed()).collect(),
            };
            comment = texts
                .ambiguous()
                .then(|| "day and month can't be told apart in the sample: check the format".to_owned());
        } else if let Some(moment) = texts.partial().filter(|_| shape.declared.is_none()) {
            moment.clone_into(&mut declared.field_type);
            declared.partial = true;
        } else if !how.flat && shape.declared.is_none() && texts.numbers() == Some("decimal") {
            declared.field_type = decimal("decimal", texts.int_digits, texts.scale);
            declared.from = Some("string");
        } else if how.flat
            && let Some(number) = texts.numbers()
        {
            declared.field_type = decimal(number, texts.int_digits, texts.scale);
        } else if how.flat && texts.all_bools() {
            "bool".clone_into(&mut declared.field_type);
        }
        declared.empty_as_null = !how.flat && texts.empty > 0 && declared.field_type != "string";
    }
    (declared, comment)
}

pub(super) fn number(shape: &Shape) -> String {
    let numbers = &shape.numbers;
    if numbers.wide > 0 {
        return if numbers.fractions == 0 && numbers.int_digits <= 38 {
            "decimal(38,0)".to_owned()
        } else {
            "double".to_owned()
        };
    }
    if numbers.fractions > 0 {
        return decimal("decimal", numbers.int_digits, numbers.scale);
    }
    let int = i32::try_from(numbers.least).is_ok() && i32::try_from(numbers.most).is_ok();
    if int { "int".to_owned() } else { "bigint".to_owned() }
}

/// A decimal with room for values that the sample does not have: six more digits before the point, two after it.
fn decimal(number: &str, int_digits: usize, scale: usize) -> String {
    match number {
        "decimal" if scale > 8 || int_digits > 20 => "double".to_owned(),
        "decimal" => format!("decimal({},{})", int_digits + scale + 8, scale + 2),
        whole => whole.to_owned(),
    }
}

fn masked(how: &Declaring, mut scalar: Scalar, shape: &Shape, coded: bool, path: &[&str]) -> Scalar {
    scalar.suggested = classify::suggest(&Seen {
        path,
        shape,
        field_type: &scalar.field_type,
        coded,
        subject: how.subject,
    });
    if scalar.is_reference() {
        scalar.suggested = Some(classify::reference(&scalar.to));
    }
    if let (Some(resource), ["id"], Some(suggested)) = (how.resource, path, &mut scalar.suggested)
        && suggested.mask == "hash"
    {
        // As references to it are masked.
        suggested.domain = Some(References::default().domain(None, resource));
    }
    // Only what SQL may see as a number is worth reading as one.
    if scalar.from == Some("string") && scalar.suggested.is_some() {
        "string".clone_into(&mut scalar.field_type);
        scalar.from = None;
        scalar.empty_as_null = false;
        scalar.suggested = classify::suggest(&Seen {
            path,
            shape,
            field_type: "string",
            coded,
            subject: how.subject,
        });
    }
    scalar.shown = shape.shown.clone();
    scalar
}
