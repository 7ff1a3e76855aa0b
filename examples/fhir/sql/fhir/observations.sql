-- value[x] by whichever of its types came.
select
    id as observation_id, subject['id'] as patient_id, encounter['id'] as encounter_id,
    status, category[1]['coding'][1]['code'] as category, code['coding'][1]['display'] as display,
    array_filter(code['coding'], c -> c['system'] = 'http://loinc.org')[1]['code'] as loinc,
    coalesce("effectiveDateTime"['value'], "effectivePeriod"['start']['value'], "effectiveInstant") as effective,
    coalesce("effectiveDateTime"['precision'], "effectivePeriod"['start']['precision']) as effective_precision,
    issued, coalesce(
        "valueQuantity"['value'], "valueInteger", "valueRange"['low']['value'], "valueRatio"['numerator']['value']
    ) as value, "valueRange"['high']['value'] as value_high, "valueRatio"['denominator']['value'] as denominator,
    coalesce("valueQuantity"['comparator'], "valueRatio"['numerator']['comparator']) as comparator, coalesce(
        "valueQuantity"['unit'], "valueRange"['low']['unit'], "valueRange"['high']['unit'],
        "valueSampledData"['origin']['unit'],
        nullif(concat_ws('/', "valueRatio"['numerator']['unit'], "valueRatio"['denominator']['unit']), '')
    ) as unit, "valueCodeableConcept"['coding'][1]['code'] as value_code, "valueBoolean" as value_bool,
    coalesce("valueString", "valueTime") as value_text,
    coalesce("valueDateTime"['value'], "valuePeriod"['start']['value']) as value_time,
    "valuePeriod"['end']['value'] as value_end, "valueSampledData"['data'] as samples,
    "valueSampledData"['origin']['value'] as sample_origin, "valueSampledData"['factor'] as sample_factor,
    "valueSampledData"['period'] as sample_period, "dataAbsentReason"['coding'][1]['code'] as absent_reason,
    cast(coalesce(array_length(component), 0) as int) as components
from observation
