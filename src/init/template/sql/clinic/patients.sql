select
    id as patient_id,
    name,
    born as birth_year
from source
