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
),
drug_order as (
    select
        visit_id,
        visit_date,
        item['system'] || ':' || item['code'] as diagnosis_code,
        unnest(item['orders']) as item
    from finding
)
select
    visit_id,
    visit_date,
    diagnosis_code,
    item['medication'] as treatments_drug,
    item['strength'] as treatments_dose
from drug_order
