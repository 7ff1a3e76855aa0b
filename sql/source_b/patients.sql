select patient_id, name
from source
