-- unique: source, diagnosis_code
-- index: diagnosis_code
-- How many of a source's patients ever had a diagnosis, and what share of all its patients they are. A visit that came
-- in several batches counts once, as its latest batch has it.
with known as (
    select source, count(*) as patients
    from patients_current
    group by source
)
select
    v.source,
    d.diagnosis_code,
    min(d.diagnosis_description) as diagnosis_description,
    count(distinct v.patient_id) as patients,
    count(distinct v.visit_id) as visits,
    round(100.0 * count(distinct v.patient_id) / known.patients, 2) as percent_of_patients,
    min(v.visit_date) as first_visit_date,
    max(v.visit_date) as last_visit_date
from visits_current v
join diagnoses d
    on d.source = v.source
    and d.batch_date = v.batch_date
    and d.visit_id = v.visit_id
join known on known.source = v.source
group by v.source, d.diagnosis_code, known.patients
