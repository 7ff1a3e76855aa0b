-- What was refused, and the accounts of runs. Places and reasons; no value of any record or row.
create table pipeline.quarantine (
    run_id bigint not null,
    source text not null,
    batch_date date not null,
    -- null: a record of the source
    entity text,
    check_name text not null,
    file text,
    -- within its file, from 1
    record bigint,
    -- of the record's start, in the decompressed file
    byte_offset bigint,
    -- declared JSON path, or column
    path text,
    reason text not null
);
create index on pipeline.quarantine (source, batch_date, run_id);
create index on pipeline.quarantine (run_id);

-- {"records": {"read", "accepted", "quarantined"}, "entities": {name: {"produced", "loaded", "quarantined"}}}
alter table pipeline.runs add column account jsonb;
