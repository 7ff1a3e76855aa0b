-- The medication is a concept, or a resource within this one.
with request as (
    select *, array_filter(contained, c -> c['id'] = "medicationReference"['contained'])[1]['code'] as inner_code
    from medication_request
)
select
    id as request_id, subject['id'] as patient_id, encounter['id'] as encounter_id, status, intent,
    array_filter(
        coalesce("medicationCodeableConcept"['coding'], inner_code['coding']),
        c -> c['system'] = 'http://www.nlm.nih.gov/research/umls/rxnorm'
    )[1]['code'] as rxnorm,
    coalesce("medicationCodeableConcept"['coding'], inner_code['coding'])[1]['display'] as display,
    "dosageInstruction"[1]['doseAndRate'][1]['doseQuantity']['value'] as dose,
    "dosageInstruction"[1]['doseAndRate'][1]['doseQuantity']['unit'] as dose_unit,
    "authoredOn"['value'] as authored, "authoredOn"['precision'] as authored_precision,
    "reasonReference"[1]['id'] as reason_id, "reasonReference"[1]['type'] as reason_type
from request
