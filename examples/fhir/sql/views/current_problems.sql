-- What a patient has now: conditions that are active and neither refuted nor entered in error.
select
    c.source, c.patient_id, p.gender, p.birth_date, c.condition_id, c.clinical_status, c.snomed, c.icd10, c.display,
    c.onset, c.onset_precision, c.recorded
from conditions_latest c
join patients_latest p on p.source = c.source and p.patient_id = c.patient_id
where c.clinical_status in ('active', 'recurrence', 'relapse')
    and coalesce(c.verification_status, '') not in ('refuted', 'entered-in-error')
