//! The keys of a file of test cases.

use super::keys::{Group, Keys, NameOf, Shape, key, required};

/// What an editor knows of a file of test cases.
pub(super) static SHAPE: Shape = Shape::Options(&FILE);

pub(super) static FILE: Keys = Keys::of(&[required(
    "tests",
    Shape::List(0, &Shape::Options(&CASE)),
    "The test cases.",
)]);
/// Records, or for each kind of a path the records.
const RECORDS: Shape = Shape::List(0, &Shape::Any(&[Shape::Text, Shape::Mapping]));
pub(super) static CASE: Keys = Keys::of(&[
    required("name", Shape::Text, "What the case shows."),
    key("description", Shape::Text, "More words, for readers."),
    required("date", Shape::Date, "The batch's date, which is `$date` in SQL."),
    required(
        "records",
        Shape::Any(&[RECORDS, Shape::Named(NameOf::Other, 0, &RECORDS)]),
        "The records. A field that is not written is absent; a text stands for the bytes of a record.",
    ),
    key(
        "rows",
        Shape::Named(
            NameOf::Entity,
            0,
            &Shape::List(0, &Shape::Named(NameOf::Column, 0, &Shape::Free)),
        ),
        "Per entity, all rows that are expected, in any order. A row may name some columns or all.",
    ),
    key(
        "refused",
        Shape::List(0, &Shape::Options(&REFUSAL)),
        "All refusals that are expected. Without it, none is.",
    ),
    key(
        "fails",
        Shape::Text,
        "A part of the message with which the batch must fail, in place of `rows` and `refused`.",
    ),
])
.group(Group::Apart("fails", &["rows", "refused"]));
pub(super) static REFUSAL: Keys = Keys::of(&[
    key(
        "entity",
        Shape::Text,
        "The entity of the row, or `record` for a whole record.",
    ),
    key(
        "check",
        Shape::Text,
        "The check, such as `malformed`, `parent`, or the name of a check.",
    ),
    key(
        "record",
        Shape::Whole(0),
        "The number of the record in the case, from 1.",
    ),
    key("path", Shape::Text, "The field or the column."),
    key("reason", Shape::Text, "Why."),
]);
