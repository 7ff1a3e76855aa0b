with visit as (
    select unnest(visits) as item
    from source
),
prescribed as (
    select item['number'] as visit_id, unnest(item['drugs']) as drug
    from visit
)
select
    visit_id,
    drug['name'] as drug,
    drug['dose_mg'] as dose_mg
from prescribed
