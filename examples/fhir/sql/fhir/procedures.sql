-- The reason is a condition or an observation. `urn:uuid:` does not tell which, but the field beside it may.
select
    id as procedure_id, subject['reference']['id'] as patient_id, encounter['reference']['id'] as encounter_id,
    status,
    array_filter(code['coding'], c -> c['system'] = 'http://snomed.info/sct')[1]['code'] as snomed,
    code['coding'][1]['display'] as display,
    coalesce("performedDateTime"['value'], "performedPeriod"['start']['value']) as started,
    coalesce("performedDateTime"['precision'], "performedPeriod"['start']['precision']) as started_precision,
    "performedPeriod"['end']['value'] as ended, "reasonReference"[1]['reference']['id'] as reason_id,
    coalesce("reasonReference"[1]['reference']['type'], "reasonReference"[1]['type']) as reason_type
from procedure
