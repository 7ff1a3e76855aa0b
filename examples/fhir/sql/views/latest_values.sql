-- The latest value of each code for each patient, from observations and from their components.
with measured as (
    select
        source, patient_id, observation_id, effective, issued, loinc, display, value, value_high, denominator,
        comparator, unit, value_code, value_bool, value_text, value_time, value_end
    from observations_latest
    where status not in ('entered-in-error', 'cancelled') and components = 0 and absent_reason is null
    union all
    select
        o.source, o.patient_id, o.observation_id, o.effective, o.issued, c.loinc, c.display, c.value, c.value_high,
        c.denominator, c.comparator, c.unit, c.value_code, c.value_bool, c.value_text, c.value_time, c.value_end
    from observations_latest o
    -- A corrected observation may have fewer components than before.
    join observation_components_latest c
        on c.source = o.source and c.observation_id = o.observation_id and c.position <= o.components
    where o.status not in ('entered-in-error', 'cancelled') and c.absent_reason is null
)
select distinct on (source, patient_id, loinc) *
from measured
order by source, patient_id, loinc, effective desc nulls last, issued desc nulls last, observation_id
