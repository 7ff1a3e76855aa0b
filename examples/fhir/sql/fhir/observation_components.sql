with component as (
    select id, unnest(with_ordinality(component)) as c
    from observation
),
part as (
    select id, c['ordinality'] as position, c['item'] as item
    from component
)
select
    id as observation_id, position,
    array_filter(item['code']['coding'], c -> c['system'] = 'http://loinc.org')[1]['code'] as loinc,
    item['code']['coding'][1]['display'] as display,
    coalesce(item['valueQuantity']['value'], item['valueInteger'], item['valueRange']['low']['value']) as value,
    item['valueRange']['high']['value'] as value_high,
    coalesce(item['valueQuantity']['unit'], item['valueRange']['low']['unit']) as unit,
    item['valueCodeableConcept']['coding'][1]['code'] as value_code, item['valueBoolean'] as value_bool,
    coalesce(item['valueString'], item['valueTime']) as value_text,
    coalesce(item['valueDateTime']['value'], item['valuePeriod']['start']['value']) as value_time,
    item['dataAbsentReason']['coding'][1]['code'] as absent_reason
from part
