//! Runs batches. It resolves which batches an invocation means, checks the project against the database once, runs the
//! batches side by side, and refreshes the materialized views that read them. It knows the order of the stages, and
//! nothing of how any of them works.

mod account;
mod batch;
mod cascade;
mod check;
mod checks;
mod clock;
mod column_masks;
mod context;
mod drop;
mod fingerprint;
mod input;
mod kinds;
mod masking;
mod missing;
mod names;
mod observer;
mod outcome;
pub mod person;
mod prepare;
mod publish;
mod risk;
mod schedule;
mod selection;
mod serve;
mod shown;
mod staging;
mod stale_masks;
mod stop;
mod suppress;
mod suppression;

pub(crate) use account::{conservation, verdict};
pub(crate) use cascade::{below, judged, no_partners};
pub use check::{Checked, check, problems, together};
pub use drop::{Drop, drop_batch};
pub(crate) use input::{BatchInput, Most};
pub use kinds::KindsOutcome;
pub(crate) use kinds::verdict as verdict_of_kinds;
pub(crate) use masking::of_batch;
pub(crate) use missing::missing;
pub use names::name_files;
pub use observer::{Activity, Observer};
pub use outcome::{BatchOutcome, EntityOutcome, Outcome, Records, Status};
pub(crate) use prepare::{Plans, outlines, plans};
pub use publish::{access_anywhere, access_in, publish, restrict};
pub use risk::{Risk, risk};
pub use schedule::{Options, run};
pub use selection::{Selection, resolve};
pub use serve::serve;
pub(crate) use shown::{previewed_masks, shown};
pub(crate) use staging::{children, find_misfits};
pub use stale_masks::{Because, StaleBatch, StaleColumn, stale_batches, stale_masks};
pub use stop::end_on_signals;
pub use suppression::{Suppressed, Useless, suppressed};
