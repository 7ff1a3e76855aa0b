//! The keys of a field in a source's `schema`.

use super::keys::{Group, Keys, NameOf, Shape, key};
use super::types::FIELD_TYPE;
use super::value_rules;
use crate::model::{MaskKind, PhiClass};

/// The value of `schema`.
pub(super) const SHAPE: Shape = Shape::Sharing {
    each: &FIELD,
    over: &OVER,
};

/// The fields of a file that schemas `use`. They may leave out what each schema says itself, and may be laid over those
/// of another file.
pub(super) const SHARED: Shape = Shape::Over(&OVER);

static FIELD: Shape = Shape::Shared("field", || &FIELD_BODY);
static FIELD_BODY: Shape = Shape::Any(&[FIELD_TYPE, Shape::Options(&FIELD_KEYS)]);
static OVER: Shape = Shape::Shared("field_over", || &OVER_BODY);
static OVER_BODY: Shape = Shape::Any(&[FIELD_TYPE, Shape::Options(&OVER_KEYS)]);
/// A field that is laid over a shared one may leave out what it does not change. Inside of it stands what is laid over
/// the shared fields there.
static OVER_KEYS: Keys = Keys::like(
    &FIELD_KEYS,
    &[
        key("list", ELEMENT_OVER, "What is laid over the elements of the list."),
        key(
            "one_or_many",
            ELEMENT_OVER,
            "What is laid over the elements of the list.",
        ),
        key(
            "struct",
            Shape::Over(&OVER),
            "What is laid over the fields of the object.",
        ),
    ],
);
const ELEMENT_OVER: Shape = Shape::Any(&[FIELD_TYPE, Shape::Over(&OVER)]);
const ELEMENT: Shape = Shape::Any(&[FIELD_TYPE, SHAPE]);
pub(super) static FIELD_KEYS: Keys = Keys::of(&[
    key("type", FIELD_TYPE, "The type of a scalar field."),
    key(
        "list",
        ELEMENT,
        "A list: the type of its elements, or the fields of the objects in it.",
    ),
    key("one_or_many", ELEMENT, "A list that may also come as its only element."),
    key("struct", SHAPE, "An object: its fields."),
    key(
        "required",
        Shape::Flag(false),
        "Whether the field must be present and not null.",
    ),
    key(
        "from",
        Shape::Any(&[
            Shape::OneOf(|| FROMS.to_vec()),
            Shape::List(1, &Shape::OneOf(|| FROMS.to_vec())),
        ]),
        "How the value is sent: a number or bool as a `string`, a string as a `number`, or either.",
    ),
    key(
        "format",
        Shape::Any(&[Shape::Text, Shape::Texts(1)]),
        "How a date or time is written, such as %d.%m.%Y, or several formats in order. ISO 8601 is the default.",
    ),
    key(
        "precision",
        Shape::OneOf(|| vec!["partial"]),
        "A date or time that may lack day or month.",
    ),
    key(
        "zone",
        Shape::Text,
        "The time zone of times that are written without an offset, such as Europe/Berlin or +01:00.",
    ),
    key(
        "to",
        Shape::Any(&[Shape::Text, Shape::Texts(1)]),
        "The types of FHIR resources that a reference may name.",
    ),
    key(
        "base",
        Shape::Variables(&Shape::Any(&[Shape::Text, Shape::Texts(0)])),
        "The addresses of the FHIR servers whose URLs mean the same as a type and an id.",
    ),
    key(
        "domains",
        Shape::Named(NameOf::Other, 0, &Shape::Text),
        "The domain in which the ids of a type are masked, by type.",
    ),
    key("description", Shape::Text, "What the field holds, for people."),
    key(
        "phi",
        Shape::OneOf(|| PhiClass::ALL.map(PhiClass::name).to_vec()),
        "How sensitive the value is.",
    ),
    key(
        "mask",
        Shape::OneOf(|| MaskKind::ALL.map(MaskKind::name).to_vec()),
        "What replaces the value before any SQL sees it.",
    ),
    key(
        "domain",
        Shape::Text,
        "The kind of value, such as patient. Equal values of one domain get equal masks in every source.",
    ),
    key("reason", Shape::Text, "Why a sensitive field is kept unmasked."),
    key(
        "normalize",
        value_rules::NORMALIZE,
        "How a text is brought to one spelling, before it is read as its type.",
    ),
    key("nulls", Shape::Scalars(1), "Values that stand for null."),
    key(
        "matches",
        Shape::Text,
        "A regular expression that the whole text must match.",
    ),
    key("length", value_rules::LENGTH, "How many characters a text must have."),
    key("accepted_values", Shape::Scalars(1), "The values that are accepted."),
    key(
        "range",
        value_rules::RANGE,
        "The bounds of a number, date or time. Both belong to the range.",
    ),
])
.group(Group::One(&["type", "list", "one_or_many", "struct"]));
/// How a value may be sent.
pub(super) const FROMS: [&str; 2] = ["string", "number"];
