-- The latest value of each code for each patient, from observations and from their components. One may have both.
with measured as (
    select source, patient_id, observation_id, effective, issued, loinc, display, value, value_high, unit,
        denominator, comparator, value_code, value_bool, value_text, value_time, value_end, samples
    from observations_latest
    where status not in ('entered-in-error', 'cancelled') and absent_reason is null
    union all
    select o.source, patient_id, o.observation_id, effective, issued, c.loinc, c.display, c.value, c.value_high, c.unit,
        c.denominator, c.comparator, c.value_code, c.value_bool, c.value_text, c.value_time, c.value_end, c.samples
    from observations_latest o
    -- A corrected observation may have fewer components than before.
    join observation_components_latest c
        on c.source = o.source and c.observation_id = o.observation_id and c.position <= o.components
    where o.status not in ('entered-in-error', 'cancelled') and c.absent_reason is null
)
select distinct on (source, patient_id, coalesce(loinc, display)) *
from measured
where coalesce(value, value_high) is not null or coalesce(value_code, value_text, samples) is not null
    or value_bool is not null or coalesce(value_time, value_end) is not null
order by source, patient_id, coalesce(loinc, display), effective desc nulls last, issued desc nulls last, observation_id
