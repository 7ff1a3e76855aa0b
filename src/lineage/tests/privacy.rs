//! Tests of the privacy report, on the shipped project with its classes and masks.

use super::*;
use crate::model::{Field, FieldType, MaskKind, PhiClass, Privacy, Profile, ViewKind};

fn class(fields: &mut [Field], path: &[&str], phi: PhiClass, mask: Option<MaskKind>, reason: Option<&str>) {
    let field = fields.iter_mut().find(|field| field.name == path[0]).unwrap();
    let privacy = Privacy {
        phi: Some(phi),
        mask,
        domain: None,
        reason: reason.map(str::to_owned),
    };
    match (&mut field.field_type, &path[1..]) {
        (_, []) => field.privacy = privacy,
        (FieldType::Struct(inner), rest) => class(inner, rest, phi, mask, reason),
        (FieldType::List(item), rest) => match &mut item.field_type {
            FieldType::Struct(inner) => class(inner, rest, phi, mask, reason),
            _ => unreachable!(),
        },
        _ => unreachable!(),
    }
}

fn masked() -> Project {
    let mut project = super::shipped::shipped();
    for source in &mut project.sources {
        source.kinds[0].subject = Some("patient_id".into());
        let fields = &mut source.kinds[0].schema;
        class(
            fields,
            &["patient_id"],
            PhiClass::Identifier,
            Some(MaskKind::Hash),
            None,
        );
        class(
            fields,
            &["visits", "date"],
            PhiClass::Date,
            Some(MaskKind::DateShift),
            None,
        );
        class(
            fields,
            &["visits", "provider_notes", "text"],
            PhiClass::FreeText,
            None,
            None,
        );
        class(fields, &["visits", "diagnoses", "code"], PhiClass::None, None, None);
    }
    class(
        &mut project.sources[0].kinds[0].schema,
        &["name"],
        PhiClass::Name,
        Some(MaskKind::Keep),
        Some("published anyway"),
    );
    project
}

fn found<'a>(list: &'a [Exposure], source: &str, path: &str) -> &'a Exposure {
    list.iter()
        .find(|e| e.field.source == source && e.field.path == path)
        .expect(path)
}

fn columns(reached: &[Reach], dependence: Dependence) -> Vec<&str> {
    reached
        .iter()
        .filter(|r| r.dependence == dependence)
        .map(|r| r.column.as_str())
        .collect()
}

#[tokio::test]
async fn what_of_which_class_ends_where() {
    let project = masked();
    let report = privacy_report(&lineage(&project).await, &project, false);

    let id = found(&report.classed, "source_b", "patient_id");
    assert_eq!(
        columns(&id.entities, Dependence::Direct),
        ["patients.patient_id", "visits.patient_id"]
    );
    assert!(columns(&id.views, Dependence::Direct).contains(&"readmissions_within_30_days.patient_id"));
    assert!(columns(&id.views, Dependence::Indirect).contains(&"patient_treatment_summary.name"));

    let text = found(&report.classed, "source_a", "visits[].provider_notes.text");
    assert_eq!(
        text.field.mask,
        Some(MaskKind::Null),
        "free text is nulled unless told otherwise"
    );
    assert_eq!(
        columns(&text.views, Dependence::Direct),
        ["visits_current.provider_notes_text"]
    );

    let kept: Vec<_> = report
        .kept()
        .map(|e| (e.field.path.as_str(), e.field.reason.as_deref()))
        .collect();
    assert_eq!(kept, [("name", Some("published anyway"))]);

    let unclassed: Vec<String> = report
        .unclassed
        .iter()
        .map(|e| format!("{}: {}", e.field.source, e.field.path))
        .collect();
    assert!(unclassed.contains(&"source_b: name".to_owned()), "{unclassed:?}");
    assert!(
        !unclassed.iter().any(|f| f.ends_with("code") || f == "source_a: name"),
        "{unclassed:?}"
    );
    assert_eq!(
        report.classes().into_iter().collect::<Vec<_>>(),
        [
            PhiClass::Identifier,
            PhiClass::Name,
            PhiClass::Date,
            PhiClass::FreeText,
            PhiClass::None
        ]
    );
}

#[tokio::test]
async fn the_batch_date_counts_as_a_date_where_dates_are_shifted() {
    let mut project = masked();
    let report = privacy_report(&lineage(&project).await, &project, false);
    let date = report.batch_date.as_ref().unwrap();
    assert_eq!(date.shifted, ["source_a: visits[].date", "source_b: visits[].date"]);
    let tables = [
        "diagnoses.batch_date",
        "patients.batch_date",
        "treatments.batch_date",
        "visits.batch_date",
    ];
    assert_eq!(columns(&date.entities, Dependence::Direct), tables);
    let shown = columns(&date.views, Dependence::Direct);
    for column in [
        "visits_current.batch_date",
        "patients_current.created_date",
        "patients_as_of.updated_date",
    ] {
        assert!(shown.contains(&column), "{column} of {shown:?}");
    }
    assert!(!shown.contains(&"patient_treatment_summary.name"));
    assert!(
        report.to_text().contains("a date that no mask covers"),
        "{}",
        report.to_text()
    );

    assert_eq!(date.withheld, ["patients_as_of", "patients_current", "visits_current"]);
    assert!(report.to_text().contains("and not patients_as_of, patients_current"));

    for source in &mut project.sources {
        class(
            &mut source.kinds[0].schema,
            &["visits", "date"],
            PhiClass::Date,
            Some(MaskKind::Year),
            None,
        );
    }
    assert!(
        privacy_report(&lineage(&project).await, &project, false)
            .batch_date
            .is_none()
    );
    project.profile = Profile::SafeHarbor;
    let report = privacy_report(&lineage(&project).await, &project, false);
    assert!(report.batch_date.as_ref().unwrap().shifted.is_empty());
    assert!(
        report
            .to_text()
            .contains("the batch's date: a date that no mask covers\n├─ tables"),
        "{}",
        report.to_text()
    );
}

#[tokio::test]
async fn a_reader_gets_what_does_not_show_the_batch_date() {
    let mut source = source(
        "s",
        "id, day:date, other",
        &[("t", "SELECT id, day, coalesce(day, $date) AS filled, other FROM source")],
    );
    source.kinds[0].subject = Some("id".to_owned());
    let views = vec![
        view(ViewKind::View, "own", "SELECT id, day FROM t"),
        view(
            ViewKind::View,
            "joined",
            "SELECT a.id FROM t a JOIN t b USING (batch_date)",
        ),
        view(
            ViewKind::View,
            "first",
            "SELECT id, min(batch_date) AS first_seen FROM t GROUP BY id",
        ),
        view(
            ViewKind::View,
            "late",
            "SELECT id, CASE WHEN batch_date > day THEN 1 END AS late FROM t",
        ),
        view(ViewKind::View, "by_way", "SELECT first_seen AS seen FROM first"),
        view(
            ViewKind::View,
            "guess",
            "SELECT id FROM t, LATERAL jsonb_each(t.other) x",
        ),
        view(ViewKind::Materialized, "filled_days", "SELECT filled FROM t"),
    ];
    let mut project = project(vec![entity("t", "id,day:date,filled:date,other")], vec![source], views);
    let open = reading(&lineage(&project).await, &project, false);
    assert!(!open.hides_batch_date && open.withheld.is_empty() && open.views.len() == 7);
    assert_eq!(
        open.tables[0].columns,
        ["id", "day", "filled", "other", "source", "batch_date"]
    );

    class(
        &mut project.sources[0].kinds[0].schema,
        &["day"],
        PhiClass::Date,
        Some(MaskKind::DateShift),
        None,
    );
    let hidden = reading(&lineage(&project).await, &project, false);
    assert!(hidden.hides_batch_date);
    assert_eq!(hidden.tables[0].columns, ["id", "day", "other", "source"]);
    assert_eq!(hidden.tables[0].hidden, ["filled", "batch_date"]);
    assert_eq!(hidden.views, ["own", "joined"]);
    let withheld: Vec<&str> = hidden.withheld.keys().map(String::as_str).collect();
    assert_eq!(withheld, ["by_way", "filled_days", "first", "guess", "late"]);
    assert_eq!(hidden.withheld["first"], ["first_seen"]);
}

/// Without an order, PostgreSQL reads one batch after the other, by their dates.
#[tokio::test]
async fn what_depends_on_the_order_in_which_batches_are_read_is_not_for_readers() {
    let mut source = source("s", "id, day:date", &[("t", "SELECT id, day FROM source")]);
    source.kinds[0].subject = Some("id".to_owned());
    class(
        &mut source.kinds[0].schema,
        &["day"],
        PhiClass::Date,
        Some(MaskKind::DateShift),
        None,
    );
    let shown = [
        "SELECT id, day FROM t LIMIT 6",
        "SELECT id, day FROM t OFFSET 6",
        "SELECT id, day FROM t ORDER BY 1 = 1 LIMIT 6",
        "SELECT id, row_number() OVER () AS n FROM t",
        "SELECT id, row_number() OVER (PARTITION BY id) AS n FROM t",
        "SELECT id, lag(day) OVER () AS before FROM t",
        "SELECT id, count(*) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS n FROM t",
        "SELECT array_agg(day) AS days FROM t",
        "SELECT string_agg(id, ',') AS ids FROM t",
        "SELECT (SELECT day FROM t LIMIT 1) AS first_one",
        "SELECT x.id FROM (SELECT a.id FROM t a JOIN t b ON a.id = b.id) x LIMIT 2",
    ];
    let open = [
        "SELECT id, day FROM t ORDER BY day DESC LIMIT 6",
        "SELECT id, row_number() OVER (ORDER BY day) AS n FROM t",
        "SELECT id, count(*) OVER () AS n FROM t",
        "SELECT id, max(day) OVER (PARTITION BY id) AS latest FROM t",
        "SELECT array_agg(day ORDER BY day) AS days FROM t",
        "SELECT id, count(*) AS n, max(day) AS latest FROM t GROUP BY id LIMIT 3",
        "SELECT DISTINCT id FROM t LIMIT 3",
    ];
    let name = |kind: &str, at: usize| format!("{kind}_{at}");
    let all = shown.iter().enumerate().map(|(at, sql)| (name("shown", at), *sql));
    let all = all.chain(open.iter().enumerate().map(|(at, sql)| (name("open", at), *sql)));
    let views = all.map(|(name, sql)| view(ViewKind::View, &name, sql)).collect();
    let project = project(vec![entity("t", "id,day:date")], vec![source], views);
    let reading = reading(&lineage(&project).await, &project, false);
    let (open, shown): (Vec<&str>, Vec<&str>) = (
        reading.views.iter().map(String::as_str).collect(),
        reading.withheld.keys().map(String::as_str).collect(),
    );
    assert!(open.iter().all(|name| name.starts_with("open")), "{open:?}");
    assert!(shown.iter().all(|name| name.starts_with("shown")), "{shown:?}");
}

#[tokio::test]
async fn a_comment_tells_sources_fields_classes_and_masks() {
    let project = masked();
    let lineage = lineage(&project).await;
    let comments = comments(&lineage, &project, false);
    let of = |table: &str, column: &str| {
        let found = comments
            .iter()
            .find(|c| c.table == table && c.column.as_deref() == Some(column));
        found.expect(column).lineage.as_deref().unwrap_or_default()
    };
    assert_eq!(
        of("visits", "visit_date"),
        "source_a, source_b: visits[].date (date, date_shift)"
    );
    assert_eq!(of("patients", "name"), "source_a: name (name, keep); source_b: name");
    assert_eq!(of("patients", "batch_date"), "the batch's date (date, not masked)");
    assert_eq!(
        of("readmissions_within_30_days", "days_between"),
        "visits.visit_date (date, date_shift)"
    );
    assert!(!comments.iter().any(|c| c.table == "patients_as_of"), "no function");
}

#[tokio::test]
async fn a_filter_on_a_sensitive_field_shows_and_an_unused_field_too() {
    let mut source = source(
        "s",
        "id, hiv, ssn, tags[:string]",
        &[("t", "SELECT id AS out FROM source WHERE hiv = 'pos'")],
    );
    class(
        &mut source.kinds[0].schema,
        &["hiv"],
        PhiClass::Quasi,
        Some(MaskKind::Redact),
        None,
    );
    class(
        &mut source.kinds[0].schema,
        &["ssn"],
        PhiClass::Identifier,
        Some(MaskKind::Hash),
        None,
    );
    class(
        &mut source.kinds[0].schema,
        &["tags"],
        PhiClass::Quasi,
        Some(MaskKind::Redact),
        None,
    );
    let project = project(vec![entity("t", "out")], vec![source], vec![]);
    let report = privacy_report(&lineage(&project).await, &project, false);
    assert_eq!(
        columns(&found(&report.classed, "s", "hiv").entities, Dependence::Indirect),
        ["t.out"]
    );
    assert!(!found(&report.classed, "s", "ssn").reaches());
    assert_eq!(found(&report.classed, "s", "tags[]").field.mask, Some(MaskKind::Redact));
    assert_eq!(
        report.to_text(),
        "privacy profile: custom\n\n\
         identifier\n\
         └─ s: ssn (mask hash)\n   \
            └─ reaches no table\n\n\
         quasi\n\
         ├─ s: hiv (mask redact)\n\
         │  └─ tables, indirect: t\n\
         └─ s: tags[] (mask redact)\n   \
            └─ reaches no table\n\n\
         without a class, and in a table\n\
         └─ s: id (no mask)\n   \
            └─ tables, direct: t.out"
    );
    let json = report.to_json();
    assert_eq!(json["classed"][1]["path"], "hiv");
    assert_eq!(json["classed"][1]["entities"][0]["dependence"], "indirect");
    assert_eq!(json["batch_date"], serde_json::Value::Null);
}
