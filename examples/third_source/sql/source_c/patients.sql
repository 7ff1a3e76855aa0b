select
    number as patient_id,
    "fullName" as name
from source
