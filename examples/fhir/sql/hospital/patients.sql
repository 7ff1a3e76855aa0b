select
    id as patient_id,
    nullif(concat_ws(' ', nullif(array_to_string(name[1]['given'], ' '), ''), name[1]['family']), '') as name
from source
where "resourceType" = 'Patient'
