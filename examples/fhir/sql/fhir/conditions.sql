-- One column a code system; onset[x] by whichever of its types came.
select
    id as condition_id, subject['id'] as patient_id, encounter['id'] as encounter_id,
    "clinicalStatus"['coding'][1]['code'] as clinical_status,
    "verificationStatus"['coding'][1]['code'] as verification_status, category[1]['coding'][1]['code'] as category,
    array_filter(code['coding'], c -> c['system'] = 'http://snomed.info/sct')[1]['code'] as snomed,
    array_filter(code['coding'], c -> c['system'] = 'http://hl7.org/fhir/sid/icd-10-cm')[1]['code'] as icd10,
    code['coding'][1]['display'] as display,
    coalesce("onsetDateTime"['value'], "onsetPeriod"['start']['value']) as onset,
    coalesce("onsetDateTime"['precision'], "onsetPeriod"['start']['precision']) as onset_precision,
    coalesce("onsetAge"['value'], "onsetRange"['low']['value']) as onset_age,
    coalesce("onsetAge"['unit'], "onsetRange"['low']['unit']) as onset_age_unit,
    "abatementDateTime"['value'] as abated, "recordedDate"['value'] as recorded
from condition
