//! How sensitive a field is, what replaces its value, and what a project promises about that.

/// What a project promises about the data that its reader role sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// HIPAA, 45 CFR 164.514(b)(2).
    SafeHarbor,
    /// GDPR, Art. 4(5).
    Pseudonymised,
    /// Nothing beyond what the fields say.
    #[default]
    Custom,
}

/// How sensitive a leaf is and what replaces its value before any SQL sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privacy {
    /// `None`: not classed, which counts as [`PhiClass::None`].
    pub phi: Option<PhiClass>,
    pub mask: Option<MaskKind>,
    /// What kind of value it is: the same value of the same domain is masked alike in every source. `None`: the
    /// field's own path in its source.
    pub domain: Option<String>,
    /// Why a sensitive field is kept.
    pub reason: Option<String>,
}

/// What kind of sensitive value a leaf holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PhiClass {
    Identifier,
    Name,
    Date,
    Geo,
    Contact,
    FreeText,
    /// Identifies together with others: age, occupation, ethnicity.
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

    /// As YAML spells it.
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
}

impl MaskKind {
    pub const ALL: [Self; 9] = [
        Self::Keep,
        Self::Redact,
        Self::Null,
        Self::Hash,
        Self::Pseudonym,
        Self::DateShift,
        Self::Year,
        Self::Zip3,
        Self::AgeCap,
    ];

    /// As YAML spells it.
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
        }
    }
}
