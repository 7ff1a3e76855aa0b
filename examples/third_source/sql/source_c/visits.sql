with stay as (
    select number, unnest(stays) as item
    from source
)
select
    number as patient_id,
    item['stayNo'] as visit_id,
    item['day'] as visit_date,
    item['remark'] as provider_notes_text,
    null as provider_notes_author
from stay
