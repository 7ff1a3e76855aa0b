//! Faulty keys, orphans and lost values (classes 21 to 29, 39). The rows are refused.
use super::Caught::Refused;
use super::{Guarded, case};

#[test]
fn keys_orphans_and_values_that_are_gone() {
    Guarded::all_hold(&[
        case(
            21,
            "visits",
            "select * replace (nullif(visit_id, 'V-2') as visit_id) from visits",
            Refused(&["visits|not_null(visit_id)|1"]),
            "select * replace (coalesce(visit_id, 'none') as visit_id) from visits",
        ),
        case(
            22,
            "visits",
            "select * replace (replace(visit_id, '2', '1') as visit_id) from visits",
            Refused(&["visits|unique(visit_id)|1"]),
            "select * replace (replace(visit_id, '2', '7') as visit_id) from visits",
        ),
        case(
            23,
            "patients",
            "select * replace (replace(patient_id, '3', '1') as patient_id) from patients",
            Refused(&[
                "diagnoses|parent|1",
                "patients|unique(patient_id)|1",
                "treatments|parent|1",
                "visits|relationships(patients: patient_id)|1",
            ]),
            "select * replace (replace(patient_id, ' ', '') as patient_id) from patients",
        ),
        case(
            24,
            "visits",
            "select * replace (left(visit_id, 2) as visit_id) from visits",
            Refused(&[
                "diagnoses|relationships(visits: visit_id)|3",
                "treatments|parent|3",
                "visits|unique(visit_id)|2",
            ]),
            "select * replace (left(visit_id, 20) as visit_id) from visits",
        ),
        case(
            25,
            "visits",
            "select * replace (replace(patient_id, '3', '9') as patient_id) from visits",
            Refused(&[
                "diagnoses|parent|1",
                "treatments|parent|1",
                "visits|relationships(patients: patient_id)|1",
            ]),
            "select * replace (trim(patient_id) as patient_id) from visits",
        ),
    ]);
}

#[test]
fn parents_and_values_that_are_gone() {
    Guarded::all_hold(&[
        case(
            26,
            "visits",
            "select * replace (case visit_id when 'V-3' then null else visit_date end as visit_date) from visits",
            Refused(&[
                "diagnoses|parent|1",
                "treatments|parent|1",
                "visits|not_null(visit_date)|1",
            ]),
            "select * replace (case visit_id when 'V-3' then $date else visit_date end as visit_date) from visits",
        ),
        case(
            27,
            "visits",
            "select * replace (try_cast(provider_notes_text as date) as visit_date) from visits where true",
            Refused(&[
                "diagnoses|parent|3",
                "treatments|parent|3",
                "visits|not_null(visit_date)|3",
            ]),
            "select * replace (try_cast(cast(visit_date as varchar) as date) as visit_date) from visits",
        ),
        case(
            27,
            "visits",
            "select * replace (try_parse_date(cast(visit_date as varchar), '%d/%m/%Y') as visit_date) from visits",
            Refused(&[
                "diagnoses|parent|3",
                "treatments|parent|3",
                "visits|not_null(visit_date)|3",
            ]),
            "select * replace (try_parse_date(cast(visit_date as varchar), '%d/%m/%Y', '%Y-%m-%d') as visit_date) from visits",
        ),
        case(
            28,
            "treatments",
            "select * replace (nullif(treatments_dose, '2') as treatments_dose) from treatments",
            Refused(&["treatments|not_null(treatments_dose)|1"]),
            "select * replace (nullif(treatments_dose, '') as treatments_dose) from treatments",
        ),
        case(
            29,
            "visits",
            "select * replace (case visit_id when 'V-2' then date '0203-05-01' else visit_date end as visit_date) from visits",
            Refused(&["visits|range(visit_date)|1"]),
            "select * replace (case visit_id when 'V-2' then date '2003-05-01' else visit_date end as visit_date) from visits",
        ),
        case(
            39,
            "patients",
            "select patient_id, cast(cast(case patient_id when 'P-2' then 'x' else '1' end as int) as varchar) as name from patients",
            Refused(&["patients|cast(name)|1"]),
            "select patient_id, cast(try_cast(name as int) as varchar) as name from patients",
        ),
    ]);
}
