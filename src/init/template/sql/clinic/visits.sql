-- unnest gives one row per element of the list.
with visit as (
    select id, unnest(visits) as item
    from source
)
select
    id as patient_id,
    item['number'] as visit_id,
    item['day'] as visit_date,
    item['reason'] as reason
from visit
