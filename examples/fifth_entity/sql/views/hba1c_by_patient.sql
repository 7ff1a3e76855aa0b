-- HbA1c values of clinic A's patients, from its own records and from its laboratory, which uses the clinic's visit ids.
select
    v.patient_id,
    v.visit_date,
    l.value as hba1c_percent,
    l.below_limit,
    l.source as measured_by
from lab_results l
join visits v
    on v.source = 'source_a'
    and v.batch_date = l.batch_date
    and v.visit_id = l.visit_id
where l.loinc_code = '4548-4'
