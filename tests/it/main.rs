//! Tests of what this program guarantees, with one module per guarantee. They run the binary on the embedded database
//! and on a private PostgreSQL server with a database per test. `harness` holds the common code. `wrong_project` tests
//! many messages, so it mostly calls the library in this process.
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
mod files;
mod first_run;
mod formats;
mod kill;
mod large_records;
mod links;
mod masks;
mod migrate;
mod mutants;
mod no_records;
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
mod unfit_values;
mod views;
mod wrong_input;
mod wrong_project;
