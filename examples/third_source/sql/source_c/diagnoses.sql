with stay as (
    select unnest(stays) as item
    from source
),
finding as (
    select
        item['stayNo'] as visit_id,
        item['day'] as visit_date,
        unnest(item['findings']) as item
    from stay
)
select
    visit_id,
    visit_date,
    item['system'] || ':' || item['code'] as diagnosis_code,
    item['label'] as diagnosis_description
from finding
