//! SQL that no transform may contain (classes 30 to 37). It is refused before any input is read.
use super::Caught::{self, Planned};
use super::{Guarded, case};

#[test]
fn what_no_transform_may_do() {
    const DIFFERS: Caught = Planned("differs from run to run");
    const HONEST: &str = "select * from visits";
    Guarded::all_hold(&[
        case(
            30,
            "patients",
            "select patient_id, cast(uuid() as varchar) as name from patients",
            DIFFERS,
            "select patient_id, md5(patient_id) as name from patients",
        ),
        case(30, "visits", "select * from visits where random() < 2", DIFFERS, HONEST),
        case(
            30,
            "visits",
            "select * replace (cast(now() as date) as visit_date) from visits",
            DIFFERS,
            "select * replace ($date as visit_date) from visits",
        ),
        case(
            30,
            "visits",
            "select * from visits where visit_date <= (select current_date)",
            DIFFERS,
            "select * from visits where visit_date <= (select $date)",
        ),
        case(
            31,
            "visits",
            "select *, date '2020-01-01' as batch_date from visits",
            Planned("column `batch_date` is not one of visits"),
            HONEST,
        ),
        case(
            31,
            "visits",
            "select *, 'source_b' as source from visits",
            Planned("column `source` is not one of visits"),
            "select * from visits where $source = 'source_a'",
        ),
        case(
            32,
            "patients",
            "select * from 'examples/data/source_a/20230501/visit_events.json'",
            Planned("table"),
            "select * from patients as \"examples/data.json\"",
        ),
        case(
            32,
            "patients",
            "select * from read_parquet('x.parquet')",
            Planned("read_parquet"),
            "select * from patients",
        ),
        case(
            32,
            "patients",
            "select table_name as patient_id, table_name as name from information_schema.tables",
            Planned("information_schema"),
            "select * from patients",
        ),
        case(
            32,
            "patients",
            "select patient_id, provider_notes_text as name from public.visits",
            Planned("public.visits"),
            "select patient_id, null as name from source",
        ),
    ]);
}

#[test]
fn one_select_and_nothing_else() {
    const ONE_SELECT: Caught = Planned("a transform is one SELECT");
    const HONEST: &str = "select * from visits";
    Guarded::all_hold(&[
        case(33, "visits", "copy source to 'out.json'", ONE_SELECT, HONEST),
        case(
            33,
            "visits",
            "create external table x stored as csv location 'x.csv'",
            ONE_SELECT,
            HONEST,
        ),
        case(33, "visits", "create table x as select 1", ONE_SELECT, HONEST),
        case(
            33,
            "visits",
            "insert into source select * from source",
            ONE_SELECT,
            HONEST,
        ),
        case(33, "visits", "delete from source", ONE_SELECT, HONEST),
        case(
            33,
            "visits",
            "set datafusion.catalog.information_schema = true",
            ONE_SELECT,
            HONEST,
        ),
        case(33, "visits", "explain select 1", ONE_SELECT, HONEST),
        case(33, "visits", "show all", ONE_SELECT, HONEST),
        case(
            34,
            "visits",
            "select * from visits; select * from visits",
            Planned("statement"),
            "select * from visits;",
        ),
        case(
            35,
            "visits",
            "select *, patient_id as visit_id from visits",
            Planned("visit_id"),
            HONEST,
        ),
        case(
            35,
            "visits",
            "select * exclude (visit_date) from visits",
            Planned("column `visit_date` (date) of visits is missing"),
            HONEST,
        ),
        case(
            36,
            "visits",
            "select * replace (cast(visit_date as timestamp) as visit_date) from visits",
            Planned("column `visit_date` of visits is date but the transform returns"),
            HONEST,
        ),
        case(
            37,
            "patients",
            "select patient_id, social_security_number as name from source",
            Planned("social_security_number"),
            "select patient_id, name from source",
        ),
    ]);
}
