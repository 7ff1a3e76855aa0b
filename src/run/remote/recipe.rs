//! What an executor is told of a batch. It holds neither a key nor a password: the executor has its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ingest::{InputFile, Part};
use crate::model::Batch;

/// The version of the program, and of what it sends. Both ends must have the same.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "/3");

/// One batch of a run, as an executor gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recipe {
    pub version: String,
    /// The project's folder where the run was begun: the paths of the input are relative to it.
    pub root: PathBuf,
    /// The texts of the project's files, by their paths in the project.
    pub texts: BTreeMap<PathBuf, String>,
    pub source: String,
    pub date: NaiveDate,
    pub run_id: i64,
    /// The id of the key of the masks. `None`: no key is at hand.
    pub key_id: Option<String>,
    /// Of the project, the input and the key, as in the history.
    pub fingerprint: String,
    /// The files as the run has listed them, with the etags that the history may hold. Of a part, those of the part.
    pub files: Vec<InputFile>,
    /// The day on which the batch is loaded.
    pub today: NaiveDate,
    /// What to do.
    pub work: Work,
}

/// What an executor does of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    /// It reads the files and fills the tables.
    Fill,
    /// It fills the tables with what others have read.
    FillFrom(Vec<Part>),
    /// It reads a part.
    Read {
        part: Part,
        /// That of the part, from 1.
        number: i32,
        /// Those of the part, as stored.
        bytes: u64,
    },
}

impl Recipe {
    pub fn batch(&self) -> Batch {
        Batch {
            source: self.source.clone(),
            date: self.date,
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        // The types have no map with other keys than texts, so this can't fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a recipe.
    ///
    /// # Errors
    /// It is of another version of the program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Of {
            version: String,
        }
        let other = |version: &str| {
            Error::project("an executor has another version of the program than the run")
                .cause(format!("the run has {version}, the executor has {VERSION}"))
                .hint("install one version on all machines of the cluster")
        };
        match serde_json::from_slice(bytes) {
            Ok(Of { version }) if version == VERSION => {
                serde_json::from_slice(bytes).map_err(|error| Error::internal().cause(error))
            }
            Ok(Of { version }) => Err(other(&version)),
            Err(_) => Err(other("one that can't be told")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            version: VERSION.to_owned(),
            root: "/srv/clinic".into(),
            texts: [("sql/a/visits.sql".into(), "select 'ä' as a\r\n".into())].into(),
            source: "a".into(),
            date: NaiveDate::from_ymd_opt(2023, 5, 1).unwrap(),
            run_id: 17,
            key_id: Some("k1".into()),
            fingerprint: "f".into(),
            files: vec![InputFile {
                path: "in/*.json#1".into(),
                size: 3,
                etag: Some("e".into()),
                changed: None,
            }],
            today: NaiveDate::from_ymd_opt(2023, 5, 2).unwrap(),
            work: Work::Fill,
        }
    }

    #[test]
    fn a_recipe_arrives_as_it_was_sent() {
        assert_eq!(Recipe::from_bytes(&recipe().to_bytes()).unwrap(), recipe());
    }

    #[test]
    fn a_recipe_of_another_version_is_refused_whatever_else_it_holds() {
        let mut later = recipe();
        later.version = "9.9.9/7".into();
        let error = Recipe::from_bytes(&later.to_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "an executor has another version of the program than the run: the run has 9.9.9/7, the executor has {VERSION}"
            )
        );
        let error = Recipe::from_bytes(br#"{"version": "9.9.9/7", "of": "another form"}"#).unwrap_err();
        assert!(error.to_string().contains("9.9.9/7"), "{error}");
        assert!(Recipe::from_bytes(b"\x00").is_err());
    }
}
