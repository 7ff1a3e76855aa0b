-- Each encounter with each of its diagnoses, whichever names the other; one without a diagnosis has a row as well.
with named as (
    select source, encounter_id, condition_id, cast(null as text) as role from conditions_latest
    union all select source, encounter_id, unnest(diagnosis_ids), unnest(diagnosis_roles) from encounters_latest
), diagnosis as (select source, encounter_id, condition_id, max(role) as role from named group by 1, 2, 3)
select
    e.source, e.encounter_id, e.patient_id, e.class, e.started, e.ended, c.condition_id, c.snomed, c.icd10, c.display,
    c.clinical_status, c.verification_status, d.role
from encounters_latest e
left join (diagnosis d join conditions_latest c on c.source = d.source and c.condition_id = d.condition_id)
    on d.source = e.source and d.encounter_id = e.encounter_id
