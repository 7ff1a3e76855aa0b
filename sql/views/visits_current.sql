-- Each visit once: the row of the latest batch that holds it. Within a source, a visit id names one visit.
select distinct on (source, visit_id)
    source,
    visit_id,
    patient_id,
    visit_date,
    provider_notes_text,
    provider_notes_author,
    batch_date
from visits
order by source, visit_id, batch_date desc
