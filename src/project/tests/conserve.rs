//! Tests of `conserves:` of a source.

use insta::assert_snapshot;

use super::Files;
use crate::model::{RecordPath, RecordStep};

const SCHEMA: &str = "  patient_id: {type: string, required: true}
  visits:";

fn with(lines: &str) -> Files {
    let more = "  odd: {struct: {\"a b\": {list: string}}}\n";
    Files::good()
        .source("aliases: [c]", &format!("aliases: [c]\nconserves:\n{lines}"))
        .also(SCHEMA, &format!("{more}{SCHEMA}"))
}

impl Files {
    /// The source with one more part of its text replaced.
    fn also(self, from: &str, to: &str) -> Self {
        let path = "pipelines/clinic.yaml";
        let text = self.text(path).replacen(from, to, 1);
        self.with(path, text)
    }
}

#[test]
fn every_spelling_is_read() {
    let project = with(
        "  patients: $
  visits:
    path: visits[]
    where: visit_id is not null
",
    )
    .load()
    .expect("a good project");
    let conserves = &project.sources[0].conserves;
    assert_eq!(conserves[0].path, RecordPath::default());
    assert_eq!(
        (conserves[0].entity.as_str(), conserves[0].shown.as_str()),
        ("patients", "$")
    );
    assert!(conserves[0].filter.is_none());
    let visits = RecordPath(vec![RecordStep::Key("visits".into()), RecordStep::Each]);
    assert_eq!((&conserves[1].path, conserves[1].shown.as_str()), (&visits, "visits[]"));
    let filter = conserves[1].filter.as_ref().expect("given");
    assert_eq!((filter.sql.as_str(), filter.location.line), ("visit_id is not null", 7));
    for (path, shown) in [
        ("$.visits[*]", "visits[]"),
        ("visits[*]", "visits[]"),
        ("\"['visits'][]\"", "visits[]"),
        ("odd['a b'][*]", "odd['a b'][]"),
        ("$", "$"),
    ] {
        let project = with(&format!("  visits: {path}\n")).load().expect("a good project");
        assert_eq!(project.sources[0].conserves[0].shown, shown, "{path}");
    }
}

#[test]
fn what_leads_to_no_list_is_refused() {
    let said = |path: &str| {
        let problems = with(&format!("  visits: {path}\n")).problems();
        problems.replace("pipelines/clinic.yaml:", "")
    };
    let paths = [
        "visit[]",
        "visits",
        "visits.date[]",
        "visits[].dat[]",
        "visits[].date[]",
        "visits[].date",
        "visits[][]",
        "odd[]",
        "odd.zzz[]",
        "patient_id.x[]",
        "$[]",
        "records",
        "visits[",
        "visits[0]",
        "''",
        "[visits]",
        "{where: a}",
        "{path: visits, were: a}",
    ];
    assert_snapshot!(paths.map(said).concat(), @r"
    4:11+7: the schema has no field `visit`
        did you mean `visits`?
    4:11+6: `visits` is a list, not the elements of one
        write `visits[]`
    4:11+13: `visits` is a list, not the elements of one
        write `visits[]`
    4:11+14: `visits[]` has no field `dat`
        did you mean `date`?
    4:11+15: `visits[].date` is no list
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:11+13: `visits[].date` is no list
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:11+10: `visits[]` is no list
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:11+5: `odd` is no list
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:11+9: `odd` has no field `zzz`
        its fields are a b
    4:11+14: `patient_id` is no struct, so it has no fields
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:11+3: `$` is no list
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:11+7: the schema has no field `records`
        its fields are odd, patient_id and visits
    4:11+7: `visits[` is no path to a list: in brackets stands `*` or a name in quotes
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:11+9: `visits[0]` is no path to a list: a position in a list is not known: use `[*]`
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:11+2: `` is no path to a list: a name is missing after `.`
        write it like visits[].diagnoses[]; `$` stands for the records themselves
    4:3+6: `visits` must be text, not a list
        write one text
    4:3+6: `visits` has no `path`
        add `path: visits[].diagnoses[]`
    4:18+6: `visits` is a list, not the elements of one
        write `visits[]`
    4:26+4: unknown key `were`
        did you mean `where`?
    ");
}

#[test]
fn entities_that_the_source_does_not_serve_are_refused() {
    let files = with("  patient: $\n  visits: visits[]\n").without("sql/clinic/visits.sql");
    assert_snapshot!(files.problems(), @r"
    pipelines/clinic.yaml:4:3+7: `patient` is no entity
        did you mean `patients`?
    pipelines/clinic.yaml:5:3+6: `clinic` brings no rows to `visits`
        take it out, or write the transform
    ");
    let files = Files::good().source("aliases: [c]", "conserves: visits[]");
    assert_snapshot!(files.problems(), @r"
    pipelines/clinic.yaml:2:1+9: `conserves` must be a mapping, not text
        write one `key: value` in a line
    ");
    let files = Files::good().source("aliases: [c]", "conserves:\n  visits: visits[]\n  visits: $");
    assert_snapshot!(files.problems(), @r"
    pipelines/clinic.yaml:4:3+6: the key `visits` is given twice
        it stands in line 3 already: keep one of them
    ");
}
