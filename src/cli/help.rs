//! The parts of `--help` that belong to no single argument: the groups of commands, and an example for each command.

use std::fmt::Write as _;

use clap::Subcommand;

/// The heading of the options that every command takes.
pub(super) const GLOBAL_OPTIONS: &str = "Global options";

/// The commands, grouped by what a user wants to do. Each command is in exactly one group.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Load data", &["run", "drop", "cluster"]),
    ("Look at it", &["query", "status", "quarantine", "serve-db"]),
    (
        "Develop a project",
        &[
            "init",
            "source",
            "check",
            "preview",
            "test",
            "lineage",
            "privacy",
            "migration",
            "lsp",
            "schema",
            "completions",
        ],
    ),
    ("Administer a database", &["doctor", "migrate", "views", "roles"]),
];

pub(super) const RUN: &str = "\
Examples:
  pipeline run --source source_b --date 20230502
  pipeline run --all-sources --start 20230501 --end 20230502 --threads 2
  pipeline run --stale-masks --source source_b
  pipeline run --cluster df://10.0.0.7:50050 --all-sources --start 20230501 --end 20230531

A batch that is loaded again replaces what was there.";

pub(super) const DROP: &str = "\
Example:
  pipeline drop --source source_b --date 20230502 --yes";

pub(super) const CLUSTER: &str = "\
Examples:
  pipeline cluster scheduler --bind 10.0.0.7:50050
  pipeline cluster executor --scheduler df://10.0.0.7:50050 --bind 10.0.0.8:50051
  pipeline run --cluster df://10.0.0.7:50050 --all-sources --start 20230501 --end 20230502

With --tls-cert, --tls-key and --tls-ca on all machines, connections are encrypted, and both ends prove who they are.
Without them, use a network that only these machines can reach.";

pub(super) const CLUSTER_SCHEDULER: &str = "\
Example:
  pipeline cluster scheduler --bind 10.0.0.7:50050

It holds no data and needs no database. If it is started anew, the batches under way fail and can be run again.";

pub(super) const CLUSTER_EXECUTOR: &str = "\
Example:
  pipeline cluster executor --scheduler df://10.0.0.7:50050 --bind 10.0.0.8:50051

Its environment names the database and the key of the masks, as that of the run does.";

pub(super) const MIGRATE: &str = "\
Example:
  pipeline migrate";

pub(super) const MIGRATION: &str = "\
Example:
  pipeline migration new add_lab_results";

pub(super) const VIEWS: &str = "\
Examples:
  pipeline views
  pipeline views --refresh";

pub(super) const ROLES: &str = "\
Examples:
  pipeline roles
  pipeline roles --print --reader dashboard";

pub(super) const DOCTOR: &str = "\
Examples:
  pipeline doctor
  pipeline doctor --output json

It changes nothing. It exits with 1 where a run would fail, and with 3 where something can't be reached.";

pub(super) const QUERY: &str = "\
Examples:
  pipeline query \"select * from patients limit 5\"
  pipeline query --output csv \"select * from diagnosis_prevalence\"";

pub(super) const SERVE_DB: &str = "\
Example:
  pipeline serve-db --port 5433";

pub(super) const STATUS: &str = "\
Example:
  pipeline status --source source_b --limit 5";

pub(super) const QUARANTINE: &str = "\
Examples:
  pipeline quarantine list
  pipeline quarantine show --source source_b --date 20230502";

pub(super) const QUARANTINE_LIST: &str = "\
Example:
  pipeline quarantine list --source source_b";

pub(super) const QUARANTINE_SHOW: &str = "\
Examples:
  pipeline quarantine show --source source_b --date 20230502
  pipeline quarantine show --check malformed --names";

pub(super) const INIT: &str = "\
Example:
  pipeline init my_clinic

It overwrites nothing.";

pub(super) const SOURCE: &str = "\
Examples:
  pipeline source add clinic_c --from examples/data/clinic_c/20230501/visits.json
  pipeline source add lab --from lab/ --entities new
  pipeline source add feed --from feed/ --entities new --kind-by event.type
  pipeline source add lab --from lab/2023-06-01.csv --update

No value of the sample is written; values are shown with --show-samples only. Names of FHIR resource types, which tell the
kinds of records in a bundle, and the values of a field that --kind-by names are the exception. Read what was proposed
before real data is loaded. --update changes nothing but the schema, and nothing without --yes.";

pub(super) const SCHEMA: &str = "\
Examples:
  pipeline schema source
  pipeline schema --into schemas

A YAML file names its schema in a comment: # yaml-language-server: $schema=../schemas/source.json";

pub(super) const CHECK: &str = "\
Examples:
  pipeline check
  pipeline check --watch

Nothing is loaded. --watch checks again whenever a file is saved, until Ctrl-C.";

pub(super) const PREVIEW: &str = "\
Examples:
  pipeline preview --source source_b --date 20230502 --entity visits
  pipeline preview --source source_b --date 20230502 --refused
  pipeline preview --source source_b --date 20230502 --entity visits --sql new.sql --explain

It reads no more records than it takes. Nothing is loaded, and no database is used.";

pub(super) const TEST: &str = "\
Examples:
  pipeline test
  pipeline test --source source_b --name visit --junit report.xml
  pipeline test --update
  pipeline test create --source source_b --date 20230502 --record 3

The cases are YAML files in the folder `tests` beside the SQL of a source: sql/source_b/tests/visits.yaml.";

pub(super) const TEST_CREATE: &str = "\
Example:
  pipeline test create --source source_b --date 20230502 --record 3 --name two_visits

No value of the record is written or printed.";

pub(super) const LINEAGE: &str = "\
Examples:
  pipeline lineage visits.visit_date
  pipeline lineage patient_treatment_summary --output json";

pub(super) const PRIVACY: &str = "\
Example:
  pipeline privacy report";

pub(super) const PRIVACY_RISK: &str = "\
Example:
  pipeline privacy risk --output json";

pub(super) const PRIVACY_TRACE: &str = "\
Examples:
  pipeline privacy trace
  pipeline privacy trace --no-input --output json

The id is read from standard input: printf %s \"$id\" | pipeline privacy trace. It is kept nowhere.";

pub(super) const PRIVACY_ERASE: &str = "\
Examples:
  pipeline privacy erase > erase.sql
  pipeline privacy erase --yes --wait --receipt receipt.json

The id is read from standard input. Without --yes, the SQL is printed and nothing is changed.";

pub(super) const PRIVACY_SUPPRESSION: &str = "\
Examples:
  pipeline privacy suppression
  pipeline privacy suppression --remove";

pub(super) const LSP: &str = "\
Example:
  pipeline lsp

An editor starts it, and speaks to it over standard input and output. It reads no data and changes no file.
The guide to editors shows the settings of VS Code, Helix and Neovim.";

pub(super) const COMPLETIONS: &str = "\
Example:
  pipeline completions bash > pipeline.bash";

/// The help text of the program itself. clap can't group commands, so the groups are written into its template.
pub(super) fn template<C: Subcommand>() -> String {
    let commands = C::augment_subcommands(clap::Command::new("pipeline"));
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (heading, names) in GROUPS {
        let _ = write!(text, "\n{heading}:\n");
        for name in names {
            let about = commands.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<12} {about}");
        }
    }
    let _ = write!(
        text,
        "\n{GLOBAL_OPTIONS}:\n{{options}}\n\n`pipeline COMMAND --help` shows a command's own options and examples."
    );
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory, Parser};

    use super::GROUPS;
    use crate::cli::Cli;

    #[test]
    fn every_command_is_in_one_group() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let distinct: BTreeSet<&str> = grouped.iter().copied().collect();
        assert_eq!(distinct.len(), grouped.len(), "a command stands in two groups");
        let cli = Cli::command();
        let commands: BTreeSet<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(distinct, commands);
    }

    /// The commands below `command` that can be run themselves, each with the words that call it.
    fn runnable(command: &clap::Command, words: &str) -> Vec<(String, clap::Command)> {
        if !command.has_subcommands() {
            return vec![(words.to_owned(), command.clone())];
        }
        let below = command.get_subcommands().filter(|sub| sub.get_name() != "help");
        below
            .flat_map(|sub| runnable(sub, &format!("{words} {}", sub.get_name())))
            .collect()
    }

    #[test]
    fn every_command_has_an_example_that_can_be_run() {
        let mut cli = Cli::command();
        cli.build();
        for (words, mut command) in runnable(&cli, "pipeline") {
            let help = command.render_long_help().to_string();
            let examples: Vec<&str> = help
                .lines()
                .filter_map(|line| line.strip_prefix("  "))
                .filter(|line| line.starts_with(&words))
                .collect();
            assert!(!examples.is_empty(), "no example in the help of `{words}`:\n{help}");
            for example in examples {
                let example = example.split(" > ").next().unwrap_or_default();
                // A quoted SQL statement is one argument. Nothing else in an example is quoted.
                let quoted: Vec<&str> = example.split('"').collect();
                let words = quoted.iter().enumerate().flat_map(|(nth, part)| match nth % 2 {
                    0 => part.split_whitespace().collect(),
                    _ => vec![*part],
                });
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }

    #[test]
    fn global_options_come_last_under_their_own_heading() {
        let mut cli = Cli::command();
        cli.build();
        for (words, mut command) in runnable(&cli, "pipeline") {
            let help = command.render_long_help().to_string();
            let (own, global) = help.split_once("\nGlobal options:\n").expect(&words);
            for option in [
                "--project",
                "--database-url",
                "--output",
                "--log-format",
                "--verbose",
                "--help",
            ] {
                assert!(global.contains(option), "{words}: {option} is not in\n{global}");
                let described = format!("{option} <");
                assert!(
                    !own.contains(&described),
                    "{words}: {option} stands among its own options"
                );
            }
        }
    }
}
