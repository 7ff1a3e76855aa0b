-- The reason is a condition or an observation.
select
    id as procedure_id, subject['id'] as patient_id, encounter['id'] as encounter_id, status,
    array_filter(code['coding'], c -> c['system'] = 'http://snomed.info/sct')[1]['code'] as snomed,
    code['coding'][1]['display'] as display,
    coalesce("performedDateTime"['value'], "performedPeriod"['start']['value']) as started,
    coalesce("performedDateTime"['precision'], "performedPeriod"['start']['precision']) as started_precision,
    "performedPeriod"['end']['value'] as ended, "reasonReference"[1]['id'] as reason_id,
    "reasonReference"[1]['type'] as reason_type
from procedure
