select
    id as document_id, subject['id'] as patient_id, context['encounter'][1]['id'] as encounter_id, status,
    array_filter(type['coding'], c -> c['system'] = 'http://loinc.org')[1]['code'] as loinc,
    type['coding'][1]['display'] as display, date as created, content[1]['attachment']['contentType'] as content_type
from document_reference
