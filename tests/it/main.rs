//! The promises of this program, each tested through the binary: against a private PostgreSQL server with a database
//! per test, and the embedded one. A module per promise; `harness` is what they stand on. The messages of
//! `wrong_project` are many, so that most of them are asked of the library in this process.
#![allow(clippy::needless_pass_by_value, reason = "a test hands over what it made")]

mod harness;

mod architecture;
mod canary;
mod cli;
mod concurrency;
mod conserves;
mod dates;
mod dependencies;
mod docs;
mod examples;
mod field_checks;
mod fifth_entity;
mod first_run;
mod formats;
mod kill;
mod masks;
mod migrate;
mod mutants;
mod original_data;
mod privacy_of_errors;
mod quality;
mod quarantine;
mod readers;
mod reading;
mod replace;
mod roles;
mod s3;
mod sql;
mod sql_faults;
mod third_source;
mod types;
mod views;
mod wrong_input;
mod wrong_project;
