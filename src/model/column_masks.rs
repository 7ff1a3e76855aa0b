//! Under which masks the rows of a column are loaded. A run records it with its batch, so that later runs can tell
//! whether it is still what the project declares.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::MaskKind;

/// A field that gives a column its value, and how it is masked. It holds names only, no value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MaskedField {
    /// As `pipeline lineage` writes it, such as `visits[].date`.
    pub path: String,
    /// `None` where nothing sensitive is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    pub mask: String,
    /// What else decides what the mask gives, such as the version of its lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The id of the key, where the mask uses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl MaskedField {
    /// Whether the field is declared sensitive or is masked.
    pub fn is_protected(&self) -> bool {
        self.class.is_some() || self.mask != "keep"
    }
}

impl std::fmt::Display for MaskedField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}, {}",
            self.path,
            self.class.as_deref().unwrap_or("no class"),
            self.mask
        )?;
        if let Some(options) = &self.options {
            write!(f, " ({options})")?;
        }
        if let Some(domain) = &self.domain {
            write!(f, ", domain {domain}")?;
        }
        match &self.key {
            Some(key) => write!(f, ", key {key}"),
            None => Ok(()),
        }
    }
}

/// The masks of one column of an entity, as one source fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMasks {
    pub entity: String,
    pub column: String,
    /// The fields from which the value is computed, sorted.
    pub fields: Vec<MaskedField>,
    /// `None` where that is not known.
    pub batch_date: Option<TellsDate>,
}

/// Whether a column tells the date of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TellsDate {
    /// The value is computed from it.
    Value,
    /// The value, or which rows there are, may show it.
    Perhaps,
    No,
}

impl TellsDate {
    const ALL: [Self; 3] = [Self::Value, Self::Perhaps, Self::No];

    /// As the table `pipeline.masks` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Perhaps => "perhaps",
            Self::No => "no",
        }
    }

    /// `None` for what a newer version may have noted.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl ColumnMasks {
    /// Those of the fields that are declared sensitive or are masked.
    pub fn protected(&self) -> Vec<&MaskedField> {
        self.fields.iter().filter(|field| field.is_protected()).collect()
    }

    /// Whether a mask changes any value of the column.
    pub fn is_masked(&self) -> bool {
        self.fields.iter().any(|field| field.mask != "keep")
    }

    /// Whether a date is shifted in it.
    pub fn is_shifted(&self) -> bool {
        self.fields.iter().any(|field| field.mask == MaskKind::DateShift.name())
    }

    /// A hash of the masks, classes, options, domains and key ids: SHA-256, in hex.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for field in self.protected() {
            let text = field.to_string();
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text);
        }
        hex::encode(hash.finalize())
    }
}
