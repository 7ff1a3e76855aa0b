-- The tables of pipeline.yaml. The engine makes and swaps the partitions below them: per source, then per batch.

create table patients (
    patient_id text not null,
    name       text,
    source     text not null,
    batch_date date not null,
    primary key (patient_id, source, batch_date)
) partition by list (source);

create table visits (
    patient_id            text not null,
    visit_id              text not null,
    visit_date            date not null,
    provider_notes_text   text,
    provider_notes_author text,
    source                text not null,
    batch_date            date not null,
    primary key (visit_id, source, batch_date)
) partition by list (source);

create index on visits (patient_id);
create index on visits (visit_date);

create table diagnoses (
    visit_id              text not null,
    visit_date            date not null,
    diagnosis_code        text not null,
    diagnosis_description text,
    source                text not null,
    batch_date            date not null,
    primary key (visit_id, diagnosis_code, source, batch_date)
) partition by list (source);

create index on diagnoses (diagnosis_code, visit_id);

create table treatments (
    visit_id        text not null,
    visit_date      date not null,
    diagnosis_code  text not null,
    treatments_drug text,
    treatments_dose text,
    source          text not null,
    batch_date      date not null
) partition by list (source);

create index on treatments (treatments_drug, diagnosis_code);

comment on table patients is 'A patient as one batch of one source knew them';
comment on column patients.patient_id is 'The patient''s id in the source''s own system';
comment on column patients.name is 'Full name as the source wrote it';

comment on table visits is 'A patient''s visit to a provider';
comment on column visits.patient_id is 'Whose visit it was';
comment on column visits.visit_id is 'The visit''s id in the source''s own system; other sources may use the same';
comment on column visits.visit_date is 'The day of the visit; it may lie before the batch''s date';
comment on column visits.provider_notes_text is 'What the provider noted';
comment on column visits.provider_notes_author is 'Who wrote the note';

comment on table diagnoses is 'A diagnosis made in a visit';
comment on column diagnoses.visit_id is 'The visit in which it was made';
comment on column diagnoses.visit_date is 'The day of that visit';
comment on column diagnoses.diagnosis_code is 'Coding system and code, such as ICD-10:E11.9';
comment on column diagnoses.diagnosis_description is 'The diagnosis in the source''s words';

comment on table treatments is 'A treatment prescribed for a diagnosis; one diagnosis may have the same treatment twice';
comment on column treatments.visit_id is 'The visit in which it was prescribed';
comment on column treatments.visit_date is 'The day of that visit';
comment on column treatments.diagnosis_code is 'The diagnosis for which it was prescribed';
comment on column treatments.treatments_drug is 'The drug''s name as the source wrote it';
comment on column treatments.treatments_dose is 'The dose as the source wrote it, unit included';
