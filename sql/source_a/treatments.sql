with visit as (
    select unnest(visits) as item
    from source
),
diagnosis as (
    select
        item['visit_id'] as visit_id,
        item['date'] as visit_date,
        unnest(item['diagnoses']) as item
    from visit
),
treatment as (
    select
        visit_id,
        visit_date,
        item['code'] as diagnosis_code,
        unnest(item['treatments']) as item
    from diagnosis
)
select
    visit_id,
    visit_date,
    diagnosis_code,
    item['drug'] as treatments_drug,
    item['dose'] as treatments_dose
from treatment
