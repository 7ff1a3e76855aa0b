//! What an executor sends back of a batch. It holds no value of the data.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::run::fill::{Filled, Unfilled};
use crate::warehouse::Handed;

/// What an executor answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    Filled(Filled<Handed>),
    Unfilled(Unfilled),
}

impl Report {
    pub fn to_bytes(&self) -> Vec<u8> {
        // The types have no map with other keys than texts, so this can't fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| Error::internal().cause(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::model::Refusal;

    #[test]
    fn a_report_arrives_as_it_was_sent() {
        let refusal = Refusal {
            entity: Some("visits".into()),
            check: "not_null".into(),
            record: Some(3),
            reason: "visit_date is null".into(),
            ..Refusal::default()
        };
        let sent = Report::Unfilled(Unfilled {
            error: Error::batch("it failed").code(Code::InputMissing).hint("a remedy"),
            refusals: vec![refusal.clone()],
        });
        let Report::Unfilled(arrived) = Report::from_bytes(&sent.to_bytes()).unwrap() else {
            panic!("it was no success");
        };
        assert_eq!(arrived.refusals, [refusal]);
        assert_eq!(arrived.error.code, Code::InputMissing);
        assert!(Report::from_bytes(b"").is_err());
    }
}
