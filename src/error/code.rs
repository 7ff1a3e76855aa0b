//! Stable codes for the kinds of errors, for programs that read the JSON output. docs/reference/exit-codes.md lists
//! them.

/// The kind of an error. A code never changes its meaning. New codes may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Code {
    /// A batch failed for a reason that has no code of its own.
    BatchFailed,
    ProjectInvalid,
    Unreachable,
    Interrupted,
    Internal,
    InputMissing,
    InputEmpty,
    InputChanged,
    InputUnreadable,
    InputIncomplete,
    RecordRefused,
    TooManyRefused,
    CheckFailed,
    TooFewPersons,
    RowsLost,
    TransformFailed,
    OutOfMemory,
    BatchLocked,
    SwapBlocked,
    RunSuperseded,
    OutcomeUnknown,
    MigrationsPending,
    TablesDiffer,
    DatabaseRefused,
    SuppressionKey,
    SuppressionDomain,
    RolesInvalid,
    RolesMissing,
    SuperuserRefused,
    CodeOfOthers,
    ReadersSeeTooMuch,
}

impl Code {
    pub const ALL: [Self; 31] = [
        Self::BatchFailed,
        Self::ProjectInvalid,
        Self::Unreachable,
        Self::Interrupted,
        Self::Internal,
        Self::InputMissing,
        Self::InputEmpty,
        Self::InputChanged,
        Self::InputUnreadable,
        Self::InputIncomplete,
        Self::RecordRefused,
        Self::TooManyRefused,
        Self::CheckFailed,
        Self::TooFewPersons,
        Self::RowsLost,
        Self::TransformFailed,
        Self::OutOfMemory,
        Self::BatchLocked,
        Self::SwapBlocked,
        Self::RunSuperseded,
        Self::OutcomeUnknown,
        Self::MigrationsPending,
        Self::TablesDiffer,
        Self::DatabaseRefused,
        Self::SuppressionKey,
        Self::SuppressionDomain,
        Self::RolesInvalid,
        Self::RolesMissing,
        Self::SuperuserRefused,
        Self::CodeOfOthers,
        Self::ReadersSeeTooMuch,
    ];

    /// The code's name in JSON output.
    pub fn name(self) -> &'static str {
        match self {
            Self::BatchFailed => "batch_failed",
            Self::ProjectInvalid => "project_invalid",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
            Self::InputMissing => "input_missing",
            Self::InputEmpty => "input_empty",
            Self::InputChanged => "input_changed",
            Self::InputUnreadable => "input_unreadable",
            Self::InputIncomplete => "input_incomplete",
            Self::RecordRefused => "record_refused",
            Self::TooManyRefused => "too_many_refused",
            Self::CheckFailed => "check_failed",
            Self::TooFewPersons => "too_few_persons",
            Self::RowsLost => "rows_lost",
            Self::TransformFailed => "transform_failed",
            Self::OutOfMemory => "out_of_memory",
            Self::BatchLocked => "batch_locked",
            Self::SwapBlocked => "swap_blocked",
            Self::RunSuperseded => "run_superseded",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::MigrationsPending => "migrations_pending",
            Self::TablesDiffer => "tables_differ",
            Self::DatabaseRefused => "database_refused",
            Self::SuppressionKey => "suppression_key",
            Self::SuppressionDomain => "suppression_domain",
            Self::RolesInvalid => "roles_invalid",
            Self::RolesMissing => "roles_missing",
            Self::SuperuserRefused => "superuser_refused",
            Self::CodeOfOthers => "code_of_others",
            Self::ReadersSeeTooMuch => "readers_see_too_much",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Code;

    #[test]
    fn each_code_has_a_name_of_its_own_in_the_documentation() {
        let page = include_str!("../../docs/reference/exit-codes.md");
        let names: HashSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
