-- Each encounter with each of its diagnoses; one without a diagnosis has a row as well.
select
    e.source, e.encounter_id, e.patient_id, e.class, e.started, e.ended, c.condition_id, c.snomed, c.icd10, c.display,
    c.clinical_status, c.verification_status
from encounters_latest e
left join conditions_latest c on c.source = e.source and c.encounter_id = e.encounter_id
