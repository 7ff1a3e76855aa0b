-- Visits that followed another visit of the same patient to the same source within 30 days. Visits of one day count
-- in the order of their ids.
with visit as (
    select
        source,
        patient_id,
        visit_id,
        visit_date,
        lag(visit_id) over patient as previous_visit_id,
        lag(visit_date) over patient as previous_visit_date
    from visits_current
    window patient as (partition by source, patient_id order by visit_date, visit_id)
)
select
    source,
    patient_id,
    previous_visit_id,
    previous_visit_date,
    visit_id,
    visit_date,
    visit_date - previous_visit_date as days_between
from visit
where visit_date - previous_visit_date <= 30
