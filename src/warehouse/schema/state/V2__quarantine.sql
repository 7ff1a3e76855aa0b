-- What a run did not load, and why. No value of any record or row is kept here.
create table pipeline.quarantine (
    run_id bigint not null references pipeline.runs,
    source text not null,
    batch_date date not null,
    -- null: a record, refused before any transform saw it
    entity text,
    check_name text not null,
    file text,
    -- within its file, from 1; null where the transform does not keep it
    record bigint,
    -- where the record starts in the decompressed file
    byte_offset bigint,
    -- the declared JSON path, or the column
    path text,
    reason text not null
);
create index on pipeline.quarantine (run_id);
create index on pipeline.quarantine (source, batch_date);

-- {records: {read, accepted, quarantined}, entities: {name: {produced, loaded, quarantined}}}
alter table pipeline.runs add column account jsonb;
