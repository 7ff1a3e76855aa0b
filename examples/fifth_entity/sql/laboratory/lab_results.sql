-- The laboratory writes `<4.0` for a value below what it can measure.
select
    visit as visit_id,
    loinc as loinc_code,
    cast(ltrim(value, '<') as decimal(10,2)) as value,
    unit,
    starts_with(value, '<') as below_limit,
    measured as measured_at
from source
