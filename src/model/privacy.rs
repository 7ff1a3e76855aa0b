//! How sensitive a field is, what replaces its value, and which privacy rules a project promises to keep.

/// The privacy rules that a project promises for the data that its reader role sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// HIPAA, 45 CFR 164.514(b)(2).
    SafeHarbor,
    /// GDPR, Art. 4(5).
    Pseudonymised,
    /// No rules beyond what the fields declare.
    #[default]
    Custom,
}

/// How sensitive a scalar field is, and what replaces its value before any SQL sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privacy {
    /// `None` means that the user gave no class. It counts as [`PhiClass::None`].
    pub phi: Option<PhiClass>,
    pub mask: Option<MaskKind>,
    /// The kind of value, such as a patient id. Equal values in the same domain get equal masks in every source (by
    /// `surrogate` within one load). `None` means that the field's own path in its source is the domain.
    pub domain: Option<String>,
    /// Why a sensitive field is kept unmasked.
    pub reason: Option<String>,
}

/// The kind of sensitive value that a scalar field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PhiClass {
    Identifier,
    Name,
    Date,
    Geo,
    Contact,
    FreeText,
    /// Identifies a person only together with other fields: age, occupation, ethnicity.
    Quasi,
    None,
}

impl PhiClass {
    pub const ALL: [Self; 8] = [
        Self::Identifier,
        Self::Name,
        Self::Date,
        Self::Geo,
        Self::Contact,
        Self::FreeText,
        Self::Quasi,
        Self::None,
    ];

    /// The class's name in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Name => "name",
            Self::Date => "date",
            Self::Geo => "geo",
            Self::Contact => "contact",
            Self::FreeText => "free_text",
            Self::Quasi => "quasi",
            Self::None => "none",
        }
    }
}

/// What replaces a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MaskKind {
    Keep,
    Redact,
    Null,
    Hash,
    Pseudonym,
    DateShift,
    Year,
    Zip3,
    AgeCap,
    Surrogate,
}

impl MaskKind {
    pub const ALL: [Self; 10] = [
        Self::Keep,
        Self::Redact,
        Self::Null,
        Self::Hash,
        Self::Pseudonym,
        Self::DateShift,
        Self::Year,
        Self::Zip3,
        Self::AgeCap,
        Self::Surrogate,
    ];

    /// Whether values of one domain get masks of their own, equal where the values are.
    pub fn has_domain(self) -> bool {
        matches!(self, Self::Hash | Self::Pseudonym | Self::Surrogate)
    }

    /// Whether what the mask gives depends on the project's key.
    pub fn is_keyed(self) -> bool {
        matches!(self, Self::Hash | Self::Pseudonym | Self::DateShift)
    }

    /// The mask's name in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Redact => "redact",
            Self::Null => "null",
            Self::Hash => "hash",
            Self::Pseudonym => "pseudonym",
            Self::DateShift => "date_shift",
            Self::Year => "year",
            Self::Zip3 => "zip3",
            Self::AgeCap => "age_cap",
            Self::Surrogate => "surrogate",
        }
    }
}

/// By which steps `date_shift` moves the dates of a subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShiftBy {
    #[default]
    Days,
    /// Days of the week stay what they are.
    Weeks,
}
