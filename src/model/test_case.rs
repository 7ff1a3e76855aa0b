//! A test case of a source's transforms: some records, and what is expected of them.

use std::path::PathBuf;

use chrono::NaiveDate;

use crate::error::Location;

/// A test case.
#[derive(Debug, Clone)]
pub struct TestCase {
    pub name: String,
    /// The name of the source.
    pub source: String,
    pub date: NaiveDate,
    pub records: Vec<CaseRecords>,
    /// The expected rows. The rows of an entity that is not named are not looked at.
    pub rows: Vec<ExpectedRows>,
    /// The expected refusals. There are no others.
    pub refused: Vec<ExpectedRefusal>,
    /// A part of the message with which the batch is expected to fail.
    pub fails: Option<String>,
    pub location: Location,
    /// The case's own place in its file.
    pub place: CasePlace,
}

impl TestCase {
    /// The file, relative to the project.
    pub fn file(&self) -> &PathBuf {
        &self.location.file
    }
}

/// Some records of a test case, as one file holds them.
#[derive(Debug, Clone)]
pub struct CaseRecords {
    /// The kind of all of them, where their file's path tells it.
    pub kind: Option<String>,
    /// As JSON, each on one line.
    pub records: Vec<String>,
}

/// All expected rows of one entity.
#[derive(Debug, Clone)]
pub struct ExpectedRows {
    pub entity: String,
    pub rows: Vec<ExpectedRow>,
    pub location: Location,
}

/// A row with some or all columns of its entity.
#[derive(Debug, Clone)]
pub struct ExpectedRow {
    pub cells: Vec<(String, ExpectedCell)>,
    pub location: Location,
}

/// A value as it is written in the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedCell {
    Null,
    /// A text, a number, a date, `true` or `false`.
    Text(String),
    /// The elements of a list of texts.
    List(Vec<Option<String>>),
    /// A value of a `jsonb` column, as JSON.
    Json(String),
}

/// A refusal. What is not given is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedRefusal {
    /// `record` stands for a whole record.
    pub entity: Option<String>,
    pub check: Option<String>,
    /// The number of the record, from 1.
    pub record: Option<u64>,
    pub path: Option<String>,
    pub reason: Option<String>,
    pub location: Location,
}

/// Where a case stands in its file. Lines count from 1.
#[derive(Debug, Clone, Default)]
pub struct CasePlace {
    /// The lines of `rows`, if it is given.
    pub rows: Option<Lines>,
    /// The lines of `refused`, if it is given.
    pub refused: Option<Lines>,
    /// The line after the case.
    pub end: usize,
    /// How many spaces stand before the case's keys.
    pub indent: usize,
}

/// Some lines of a file: the first, and the one after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    pub first: usize,
    pub end: usize,
}
