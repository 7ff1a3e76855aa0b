-- One row per treatment, as its batch had it. Visit ids repeat between sources and between batches, so the joins stay
-- within one of each; they are outer joins, so that no treatment is lost or doubled.
select
    t.treatments_drug,
    t.treatments_dose,
    t.visit_date as prescribed_date,
    p.name
from treatments t
left join visits v
    on v.source = t.source
    and v.batch_date = t.batch_date
    and v.visit_id = t.visit_id
left join patients p
    on p.source = v.source
    and p.batch_date = v.batch_date
    and p.patient_id = v.patient_id
