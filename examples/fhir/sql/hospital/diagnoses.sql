-- The join is an outer one: a condition whose encounter is not in the batch has no visit date, and the batch fails
-- rather than lose it.
with visit as (
    select id, period['start'] as visit_date
    from source
    where "resourceType" = 'Encounter'
),
diagnosis as (
    select
        encounter['reference'] as visit_id,
        code['coding'][1] as coding
    from source
    where "resourceType" = 'Condition'
)
select
    d.visit_id,
    v.visit_date,
    case
        when d.coding['system'] like '%/icd-10%' then 'ICD-10:'
        when d.coding['system'] like '%/icd/release/11/%' then 'ICD-11:'
    end || d.coding['code'] as diagnosis_code,
    d.coding['display'] as diagnosis_description
from diagnosis d
left join visit v on v.id = d.visit_id
