-- Extensions by their url, two levels deep; the identifier by its system.
select
    id as patient_id, gender, array_filter(identifier, i -> i['system'] = 'urn:example:mrn')[1]['value'] as mrn,
    name[1]['family'] as name, "birthDate"['value'] as birth_date, "birthDate"['precision'] as birth_precision,
    array_filter(extension, e -> e['url'] like '%/us-core-birthsex')[1]['valueCode'] as birth_sex,
    array_filter(
        array_filter(extension, e -> e['url'] like '%/us-core-race')[1]['extension'], e -> e['url'] = 'ombCategory'
    )[1]['valueCoding']['code'] as race,
    coalesce("deceasedBoolean", "deceasedDateTime"['value'] is not null) as deceased,
    "deceasedDateTime"['value'] as death_date, address[1]['postalCode'] as zip3
from patient
