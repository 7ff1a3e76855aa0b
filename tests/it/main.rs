//! Tests of what this program guarantees, with one module per guarantee. They run the binary on the embedded database
//! and on a private PostgreSQL server with a database per test. `harness` holds the common code. `wrong_project` tests
//! many messages, so it mostly calls the library in this process.
#![allow(clippy::needless_pass_by_value, reason = "a test hands over what it made")]

mod harness;

mod architecture;
mod bad_input;
mod bulk_exports;
mod canary;
mod check;
mod cli;
mod cluster;
#[cfg(feature = "cluster")]
mod cluster_cuts;
#[cfg(feature = "cluster")]
mod cluster_divided;
#[cfg(feature = "cluster")]
mod cluster_formats;
#[cfg(feature = "cluster")]
mod cluster_operations;
mod cluster_parts;
#[cfg(feature = "cluster")]
mod cluster_processes;
mod concurrency;
mod conserves;
mod dates;
mod deletions;
mod deltas;
mod dependencies;
mod deployments;
mod docs;
mod doctor;
mod encodings;
mod examples;
mod fhir_feeds;
mod fhir_idioms;
mod field_checks;
mod fifth_entity;
mod files;
mod first_run;
mod formats;
mod from_nothing;
mod init;
mod keys;
mod kill;
mod kinds;
mod large_records;
mod left_tables;
mod links;
mod lost_kinds;
mod lsp;
mod masks;
mod merged_rows;
mod migrate;
mod mutants;
mod names;
mod no_records;
mod original_data;
mod outputs;
mod parquet_files;
mod person;
mod person_kinds;
mod preview;
mod privacy_gate;
mod privacy_of_errors;
mod progress;
mod quality;
mod quarantine;
mod readers;
mod reading;
mod references;
mod refused_rows;
mod replace;
mod roles;
mod s3;
mod safe_harbor;
mod schemas;
mod source_add;
mod source_kinds;
mod source_samples;
mod source_update;
mod sql;
mod sql_faults;
mod stale_dates;
mod stale_masks;
mod stale_names;
mod test_cases;
mod third_source;
mod types;
mod unfit_values;
mod untrusted;
mod views;
mod wrong_input;
mod wrong_project;
