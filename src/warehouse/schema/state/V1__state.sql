-- The engine's own state: what ran, and what it loaded. No value of any row is kept here.
create schema if not exists pipeline;
create schema if not exists pipeline_leaves;

create table pipeline.runs (
    -- part of the names of the run's leaves
    run_id bigint generated always as identity primary key,
    -- one process
    invocation uuid not null,
    source text not null,
    batch_date date not null,
    -- n-th run of this batch
    epoch int not null,
    action text not null check (action in ('load', 'drop')),
    status text not null check (status in ('running', 'committed', 'failed', 'interrupted', 'lost', 'skipped')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    -- stage -> milliseconds
    timings jsonb,
    -- [{path, size, etag}]
    files jsonb,
    -- of YAML, SQL and input
    fingerprint text,
    records bigint,
    -- entity -> {rows, bytes}
    counts jsonb,
    -- no values
    error text,
    program_version text not null
);
create index on pipeline.runs (source, batch_date, run_id);
create index on pipeline.runs (started_at);

-- What `pipeline views` made: only these are ever replaced or dropped by it.
create table pipeline.views (
    -- function, view or materialized
    kind text not null check (kind in ('function', 'view', 'materialized')),
    name text not null,
    -- what DROP names: public.name, a function with its argument types
    object text not null,
    -- of the file's text
    fingerprint text not null,
    applied_at timestamptz not null default clock_timestamp(),
    primary key (kind, name)
);
