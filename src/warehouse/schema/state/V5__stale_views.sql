-- Materialized views whose rows are older than what they read. A swap adds to it in its own transaction; a refresh that
-- has worked takes away what it has seen.
create table pipeline.stale_views (
    -- of pipeline.views
    name text not null,
    -- what the run changed
    entity text not null,
    run_id bigint not null,
    primary key (name, entity, run_id)
);
