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
)
select
    visit_id,
    visit_date,
    item['code'] as diagnosis_code,
    item['description'] as diagnosis_description
from diagnosis
