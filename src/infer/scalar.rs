//! A scalar field as it will be declared, and what SQL sees of it.

use super::classify::Suggested;
use super::shape::Shown;

#[derive(Debug)]
pub(super) struct Scalar {
    pub field_type: String,
    pub from: Option<&'static str>,
    pub formats: Vec<&'static str>,
    /// A date or time that may lack some of its parts.
    pub partial: bool,
    /// Of references, the types that were met, for the comment.
    pub to: Vec<&'static str>,
    pub empty_as_null: bool,
    pub suggested: Option<Suggested>,
    /// No two values of the sample are the same.
    pub unique: bool,
    /// A few values, where the user asks for them.
    pub shown: Shown,
}

impl Scalar {
    pub fn of(field_type: impl Into<String>) -> Self {
        Self {
            field_type: field_type.into(),
            from: None,
            formats: Vec::new(),
            partial: false,
            to: Vec::new(),
            empty_as_null: false,
            suggested: None,
            unique: false,
            shown: Shown::default(),
        }
    }

    /// The type that SQL sees, after the mask.
    pub fn sql_type(&self) -> &str {
        match self.suggested.as_ref().map(|suggested| suggested.mask) {
            Some("hash") if self.is_reference() => &self.field_type,
            Some("hash" | "redact" | "pseudonym" | "zip3") => "string",
            Some("year") => "int",
            _ => &self.field_type,
        }
    }

    pub fn is_reference(&self) -> bool {
        self.field_type == "reference"
    }

    /// The parts of the struct that SQL sees of a partial date or a reference. Empty: it is no struct.
    pub fn parts(&self) -> &'static [Part] {
        match () {
            () if self.sql_type() != self.field_type => &[],
            () if self.partial => &PARTS_OF_DATE,
            () if self.is_reference() => &PARTS_OF_REFERENCE,
            () => &[],
        }
    }

    pub fn is_identifier(&self) -> bool {
        self.suggested
            .as_ref()
            .is_some_and(|suggested| suggested.class == "identifier" && suggested.mask == "hash")
    }
}

/// A part of the struct that SQL sees of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub name: &'static str,
    /// What its column's name ends in.
    pub suffix: &'static str,
    /// What it is, for the comment in the SQL.
    pub note: &'static str,
    /// Whether it is a text, whatever the value's type is.
    pub is_text: bool,
}

const PARTS_OF_DATE: [Part; 2] = [
    Part {
        name: "value",
        suffix: "",
        note: "its first day or moment",
        is_text: false,
    },
    Part {
        name: "precision",
        suffix: "_precision",
        note: "how much of it is known",
        is_text: true,
    },
];
const PARTS_OF_REFERENCE: [Part; 2] = [
    Part {
        name: "id",
        suffix: "_id",
        note: "the id that it refers to, masked as that of the resource",
        is_text: true,
    },
    Part {
        name: "type",
        suffix: "_type",
        note: "the type of the resource",
        is_text: true,
    },
];
