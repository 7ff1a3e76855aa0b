-- Every patient that was known by the end of a day, as the latest batch until then has it.
create function patients_as_of(as_of date)
returns table (source text, patient_id text, name text, created_date date, updated_date date)
language sql stable parallel safe
as $$
    select distinct on (p.source, p.patient_id)
        p.source,
        p.patient_id,
        p.name,
        min(p.batch_date) over (partition by p.source, p.patient_id),
        p.batch_date
    from patients p
    where p.batch_date <= as_of
    order by p.source, p.patient_id, p.batch_date desc
$$
