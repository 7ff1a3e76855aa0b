with visit as (
    select patient_id, unnest(visits) as item
    from source
)
select
    patient_id,
    item['visit_id'] as visit_id,
    item['date'] as visit_date,
    item['provider_notes']['text'] as provider_notes_text,
    item['provider_notes']['author'] as provider_notes_author
from visit
