with component as (select id, unnest(with_ordinality(component)) as c from observation),
part as (
    select id, c['ordinality'] as position, c['item'] as item, c['item']['valueRange'] as range,
        c['item']['valueRatio'] as ratio, c['item']['valueSampledData'] as sampled
    from component
)
select
    id as observation_id, position,
    array_filter(item['code']['coding'], c -> c['system'] = 'http://loinc.org')[1]['code'] as loinc,
    item['code']['coding'][1]['display'] as display, coalesce(
        item['valueQuantity']['value'], item['valueInteger'], range['low']['value'], ratio['numerator']['value']
    ) as value, range['high']['value'] as value_high, ratio['denominator']['value'] as denominator,
    coalesce(item['valueQuantity']['comparator'], ratio['numerator']['comparator']) as comparator, coalesce(
        item['valueQuantity']['unit'], range['low']['unit'], range['high']['unit'], sampled['origin']['unit'],
        nullif(concat_ws('/', ratio['numerator']['unit'], ratio['denominator']['unit']), '')
    ) as unit, item['valueCodeableConcept']['coding'][1]['code'] as value_code, item['valueBoolean'] as value_bool,
    coalesce(item['valueString'], item['valueTime']) as value_text,
    coalesce(item['valueDateTime']['value'], item['valuePeriod']['start']['value']) as value_time,
    item['valuePeriod']['end']['value'] as value_end, sampled['data'] as samples,
    sampled['origin']['value'] as sample_origin, sampled['factor'] as sample_factor, sampled['period'] as sample_period,
    item['dataAbsentReason']['coding'][1]['code'] as absent_reason
from part
