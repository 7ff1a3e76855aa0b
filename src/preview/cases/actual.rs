//! What came out of a case, before it is compared with anything.

use crate::error::Error;
use crate::model::Refusal;
use crate::warehouse::query::QueryResult;

/// What came out of a case's records.
#[derive(Debug, Default)]
pub struct Actual {
    /// The rows of each entity, in the contract's order.
    pub tables: Vec<(String, QueryResult)>,
    pub refusals: Vec<Refusal>,
    /// Why the batch failed.
    pub error: Option<Error>,
}
