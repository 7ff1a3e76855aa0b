//! What an executor must have in common with the run: the key of the masks, the database and the files.

use std::path::Path;

use crate::error::{Code, Error, Kind, Result};
use crate::ingest::{self, InputFile, Listing};
use crate::mask::MaskKey;
use crate::model::{Batch, Source};
use crate::run::context::Context;
use crate::run::files::noted;

/// Says of a database that can't be reached that it is an executor which does not reach it.
pub(super) fn of_executor(error: Error) -> Error {
    match error.kind {
        Kind::Unreachable => Error {
            message: format!("an executor can't look for the run: {}", error.message),
            ..error
        },
        _ => error,
    }
}

/// Makes sure that the executor masks with the key of the run.
pub(super) fn same_key(of_run: Option<&str>) -> Result<()> {
    let own = MaskKey::at_hand(false, Path::new(".")).map(|key| key.key_id());
    if own.as_deref() == of_run {
        return Ok(());
    }
    let told = |id: Option<&str>| id.map_or_else(|| "none".to_owned(), |id| format!("the one with the id {id}"));
    Err(Error::project("an executor has another key for the masks than the run")
        .cause(format!(
            "the run has {}, the executor has {}",
            told(of_run),
            told(own.as_deref())
        ))
        .hint("set PIPELINE_MASK_KEY to the same key for the run and for all executors"))
}

/// The files of the batch, which must be those that the run has listed.
pub(super) async fn seen(context: &Context, source: &Source, batch: &Batch, listed: &[InputFile]) -> Result<Listing> {
    let unseen = |path: &str| {
        Error::batch(format!("an executor does not see {path}"))
            .code(Code::InputMissing)
            .hint(
                "mount the folder of the input at the same path on all machines, or keep the input in an object store",
            )
    };
    let first = listed.first().map_or("the input", |file| file.path.as_str());
    let listing = match ingest::list(&context.project.root, source, batch.date).await {
        Ok(Some(listing)) => listing,
        Ok(None) => return Err(unseen(first)),
        Err(error) if error.code == Code::InputMissing => return Err(unseen(first)),
        Err(error) => return Err(error),
    };
    let own = noted(context, listing.files());
    for file in listed {
        let Some(found) = own.iter().find(|one| one.path == file.path) else {
            return Err(unseen(&file.path));
        };
        if (found.size, &found.etag) != (file.size, &file.etag) {
            return Err(
                Error::batch(format!("an executor sees another version of {}", file.path))
                    .code(Code::InputChanged)
                    .hint("run again; if it is no change of the file, let all machines read from the same storage"),
            );
        }
    }
    Ok(listing)
}
