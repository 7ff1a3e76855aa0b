select
    id as report_id, subject['id'] as patient_id, encounter['id'] as encounter_id,
    status, category[1]['coding'][1]['code'] as category,
    array_filter(code['coding'], c -> c['system'] = 'http://loinc.org')[1]['code'] as loinc,
    code['coding'][1]['display'] as display,
    coalesce("effectiveDateTime"['value'], "effectivePeriod"['start']['value']) as effective,
    coalesce("effectiveDateTime"['precision'], "effectivePeriod"['start']['precision']) as effective_precision,
    issued, array_transform(result, r -> r['id']) as observation_ids,
    json_get_str(concat('[', array_filter(contained, c -> c['id'] = performer[1]['contained'])[1]['name'], ']'), 0)
        as laboratory
from diagnostic_report
