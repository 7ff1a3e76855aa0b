//! Empties the quasi-identifiers of rows whose combination too few persons would share, before anybody can see them.
//!
//! The staging table is filled again from another parse of the input. To change its rows instead would be wrong: they are
//! frozen, so a reader with an older snapshot would see them as they were.

use super::cascade::keys_of;
use super::staging::{StagedEntity, Staging};
use crate::error::{Error, Result};
use crate::model::OnRare;
use crate::quality::Suppress;
use crate::warehouse::combinations;

impl Staging<'_> {
    /// Stages the entity of the privacy gate again where a person would stand too alone in it, if that is how the project
    /// wants it.
    pub(super) async fn suppress_rare(&self, mut staged: Vec<StagedEntity>) -> Result<Vec<StagedEntity>> {
        let gate = self.context.project.gate.as_ref();
        let Some(gate) = gate.filter(|gate| gate.severity == OnRare::Suppress) else {
            return Ok(staged);
        };
        let Some(at) = staged.iter().position(|one| one.staged.entity() == gate.over) else {
            return Ok(staged);
        };
        let entity = self.context.project.entity(&gate.over)?;
        let connection = self.connection().await?;
        let rows = combinations::rare_rows(&connection, entity, gate, &staged[at].staged, self.batch).await?;
        drop(connection);
        let Some(keys) = keys_of(&entity.key, &rows) else {
            return Ok(staged);
        };
        let mut first = staged.remove(at);
        let (deny, warnings) = (
            std::mem::take(&mut first.report.denied),
            std::mem::take(&mut first.report.warnings),
        );
        let suppress = Suppress {
            keys,
            columns: gate.quasi.clone(),
        };
        let mut again = self.stage_again(first, deny, Some(suppress)).await?;
        if again.report.suppressed != rows.len() as u64 {
            return Err(Error::batch(format!(
                "rows of {} that stand too alone can't be told apart",
                entity.name
            )));
        }
        // Warnings of `relationships` checks are found after staging.
        again.report.warnings = warnings;
        staged.insert(at, again);
        Ok(staged)
    }
}
