//! Contracts for tests.

use std::path::PathBuf;

use chrono::NaiveDate;

use crate::error::Location;
use crate::model::{Batch, Column, Entity, PgType};

pub(in crate::warehouse) fn location() -> Location {
    Location {
        file: PathBuf::new(),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
    }
}

pub(in crate::warehouse) fn entity(columns: &[(&str, PgType, bool)]) -> Entity {
    let columns = columns.iter().map(|(name, pg_type, nullable)| Column {
        name: (*name).to_owned(),
        pg_type: *pg_type,
        nullable: *nullable,
        description: None,
        location: location(),
    });
    Entity {
        name: "visits".to_owned(),
        description: None,
        columns: columns.collect(),
        key: Vec::new(),
        parent: None,
        deletes_from: None,
        deleted_flag: None,
        indexes: Vec::new(),
        checks: vec![],
        location: location(),
    }
}

pub(in crate::warehouse) fn may_second() -> Batch {
    Batch {
        source: "b".to_owned(),
        date: NaiveDate::from_ymd_opt(2023, 5, 2).unwrap(),
    }
}
