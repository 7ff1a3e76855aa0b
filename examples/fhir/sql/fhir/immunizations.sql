select
    id as immunization_id, patient['id'] as patient_id, encounter['id'] as encounter_id, status,
    array_filter("vaccineCode"['coding'], c -> c['system'] = 'http://hl7.org/fhir/sid/cvx')[1]['code'] as cvx,
    "vaccineCode"['coding'][1]['display'] as display, "occurrenceDateTime"['value'] as occurred,
    "occurrenceDateTime"['precision'] as occurred_precision, "primarySource" as primary_source
from immunization
