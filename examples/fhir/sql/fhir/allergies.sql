select
    id as allergy_id, patient['id'] as patient_id, encounter['id'] as encounter_id,
    "clinicalStatus"['coding'][1]['code'] as clinical_status,
    "verificationStatus"['coding'][1]['code'] as verification_status, type, category as categories, criticality,
    array_filter(code['coding'], c -> c['system'] = 'http://snomed.info/sct')[1]['code'] as snomed,
    array_filter(code['coding'], c -> c['system'] = 'http://www.nlm.nih.gov/research/umls/rxnorm')[1]['code'] as rxnorm,
    code['coding'][1]['display'] as display,
    coalesce("onsetDateTime"['value'], "onsetPeriod"['start']['value']) as onset,
    coalesce("onsetDateTime"['precision'], "onsetPeriod"['start']['precision']) as onset_precision,
    coalesce("onsetAge"['value'], "onsetRange"['low']['value']) as onset_age,
    coalesce("onsetAge"['unit'], "onsetRange"['low']['unit']) as onset_age_unit, "recordedDate"['value'] as recorded,
    array_transform(reaction, r -> r['manifestation'][1]['coding'][1]['code']) as reactions
from allergy_intolerance
