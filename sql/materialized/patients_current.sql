-- unique: source, patient_id
-- index: name
-- Every patient that a source ever sent, as its latest batch has it.
select distinct on (source, patient_id)
    source,
    patient_id,
    name,
    min(batch_date) over (partition by source, patient_id) as created_date,
    batch_date as updated_date
from patients
order by source, patient_id, batch_date desc
