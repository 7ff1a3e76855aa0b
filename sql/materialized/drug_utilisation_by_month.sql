-- unique: month, source, treatments_drug
-- index: treatments_drug
-- How often each drug was prescribed in a month, for how many visits and patients. A visit that came in several
-- batches counts once, as its latest batch has it.
select
    date_trunc('month', v.visit_date)::date as month,
    v.source,
    coalesce(t.treatments_drug, '(not named)') as treatments_drug,
    count(*) as prescriptions,
    count(distinct v.visit_id) as visits,
    count(distinct v.patient_id) as patients
from visits_current v
join treatments t
    on t.source = v.source
    and t.batch_date = v.batch_date
    and t.visit_id = v.visit_id
group by 1, 2, 3
