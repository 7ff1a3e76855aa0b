-- How far the executors of a cluster are with runs that go on. Executors write it every two seconds, and the process that
-- began the run shows it. No value from the data is kept here, and nothing of a run that is over.
create table pipeline.progress (
    run_id bigint not null,
    -- of a batch that several executors read: which part of it, from 1. 0: all of it, or what comes after reading
    part integer not null,
    -- of the input, as stored
    bytes bigint not null,
    records bigint not null,
    -- {name: {rows, bytes, phase}}
    entities jsonb not null,
    primary key (run_id, part)
);
