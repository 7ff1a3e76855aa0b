select
    date_trunc('month', v.visit_date)::date as month,
    p.drug,
    count(*) as prescriptions
from prescriptions p
join visits v using (source, batch_date, visit_id)
group by 1, 2
