select
    id as encounter_id, subject['id'] as patient_id, status, class['code'] as class,
    array_filter(type[1]['coding'], c -> c['system'] = 'http://snomed.info/sct')[1]['code'] as type_snomed,
    array_filter("reasonCode"[1]['coding'], c -> c['system'] = 'http://snomed.info/sct')[1]['code'] as reason_snomed,
    period['start']['value'] as started, period['end']['value'] as ended,
    array_transform(diagnosis, d -> d['condition']['id']) as diagnosis_ids,
    array_transform(diagnosis, d -> d['use']['coding'][1]['code']) as diagnosis_roles
from encounter
