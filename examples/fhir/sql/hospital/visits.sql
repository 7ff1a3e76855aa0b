select
    subject['reference'] as patient_id,
    id as visit_id,
    period['start'] as visit_date,
    "reasonCode"[1]['text'] as provider_notes_text,
    participant[1]['individual']['display'] as provider_notes_author
from source
where "resourceType" = 'Encounter'
