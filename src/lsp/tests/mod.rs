//! Tests of what is offered and shown at a place, over a small project. `|` marks the place in a text.

use std::path::Path;
use std::sync::LazyLock;

use super::protocol::Item;
use super::sql::{self, Sql, Target};
use super::yaml;
use crate::lineage;
use crate::model::Project;
use crate::transform::SqlFunction;
use crate::workspace::Files;

mod sql_files;
mod yaml_files;

const FILES: [(&str, &str); 6] = [
    (
        "pipeline.yaml",
        "name: small
entities:
  people:
    columns:
      person_id: {type: text, nullable: false, description: Who it is}
      born: date
    key: [person_id]
  visits:
    description: A visit
    columns:
      person_id: {type: text, nullable: false}
      visit_id: {type: text, nullable: false}
      day: date
      code: text
    key: [visit_id]
    parent: people
",
    ),
    (
        "pipelines/clinic.yaml",
        "name: clinic
description: Visits of the clinic
input: {path: \"in-{date}.json\"}
schema:
  id: {type: string, required: true, phi: identifier, mask: hash, domain: person, description: The card's number}
  born: {type: date, precision: partial}
  Address: {struct: {Zip: string, city: string}}
  visits:
    list:
      no: string
      date: {type: date, phi: date, mask: keep, reason: asked for}
      codes: {list: {code: string, system: string}}
      tags: {list: string}
",
    ),
    (
        "sql/clinic/people.sql",
        "select id as person_id, null as born from source\n",
    ),
    (
        "sql/clinic/visits.sql",
        "with visit as (
    select id, unnest(visits) as item from source
)
select
    id as person_id,
    item['no'] as visit_id,
    item['date'] as day,
    item['codes'][1]['code'] as code
from visit
",
    ),
    ("sql/views/days.sql", "select visit_id, day as on_day from visits\n"),
    ("sql/views/a_later.sql", "select * from days\n"),
];

struct Small {
    project: Project,
    functions: Vec<SqlFunction>,
}

static SMALL: LazyLock<Small> = LazyLock::new(|| {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Small {
        project: crate::project::load_files(&Files::saved(root.path())).unwrap(),
        functions: lineage::engine().unwrap().functions(),
    }
});

pub(super) fn small() -> &'static Project {
    &SMALL.project
}

fn marked(text: &str) -> (String, usize) {
    let offset = text.find('|').expect("a mark");
    (text.replacen('|', "", 1), offset)
}

/// The labels that are offered, the best ones first.
fn labels(mut items: Vec<Item>) -> Vec<String> {
    items.sort_by(|a, b| (a.rank, &a.label).cmp(&(b.rank, &b.label)));
    items.into_iter().map(|item| item.label).collect()
}
