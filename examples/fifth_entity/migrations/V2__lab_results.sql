-- The fifth entity.

create table lab_results (
    visit_id    text not null,
    loinc_code  text not null,
    value       numeric(10,2),
    unit        text,
    below_limit boolean not null,
    measured_at timestamp,
    source      text not null,
    batch_date  date not null,
    primary key (visit_id, loinc_code, source, batch_date)
) partition by list (source);

create index on lab_results (loinc_code, value);

comment on table lab_results is 'A laboratory value measured for a visit';
comment on column lab_results.visit_id is 'The visit for which it was measured';
comment on column lab_results.loinc_code is 'What was measured, as a LOINC code';
comment on column lab_results.value is 'The value, or the limit that it lies below';
comment on column lab_results.unit is 'The unit as the source wrote it';
comment on column lab_results.below_limit is 'True where the value lies below what can be measured';
comment on column lab_results.measured_at is 'When, in the laboratory''s local time';
