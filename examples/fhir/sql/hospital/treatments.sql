-- A medication request names the condition that is its reason; visit date and diagnosis code come from there.
with visit as (
    select id, period['start'] as visit_date
    from source
    where "resourceType" = 'Encounter'
),
diagnosis as (
    select id, code['coding'][1] as coding
    from source
    where "resourceType" = 'Condition'
),
treatment as (
    select
        encounter['reference'] as visit_id,
        "reasonReference"[1]['reference'] as diagnosis_id,
        "medicationCodeableConcept"['text'] as drug,
        "dosageInstruction"[1]['text'] as dose
    from source
    where "resourceType" = 'MedicationRequest'
)
select
    t.visit_id,
    v.visit_date,
    case
        when d.coding['system'] like '%/icd-10%' then 'ICD-10:'
        when d.coding['system'] like '%/icd/release/11/%' then 'ICD-11:'
    end || d.coding['code'] as diagnosis_code,
    t.drug as treatments_drug,
    t.dose as treatments_dose
from treatment t
left join visit v on v.id = t.visit_id
left join diagnosis d on d.id = t.diagnosis_id
