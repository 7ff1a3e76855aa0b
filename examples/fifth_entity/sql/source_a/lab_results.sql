with visit as (
    select unnest(visits) as item
    from source
),
lab as (
    select
        item['visit_id'] as visit_id,
        unnest(item['labs']) as item
    from visit
)
select
    visit_id,
    item['loinc'] as loinc_code,
    item['value'] as value,
    item['unit'] as unit,
    false as below_limit,
    null as measured_at
from lab
