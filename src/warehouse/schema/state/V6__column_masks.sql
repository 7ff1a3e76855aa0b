-- Under which masks the live rows of each column were loaded. A swap replaces those of its batch in its own transaction.
-- No value is kept here: names of fields, classes, masks, domains and ids of keys.
create table pipeline.masks (
    run_id bigint not null,
    source text not null,
    batch_date date not null,
    entity text not null,
    column_name text not null,
    -- of what of `fields` is sensitive or masked
    fingerprint text not null,
    -- [{path, class, mask, options, domain, key}]: the fields that give the column its value
    fields jsonb not null,
    primary key (source, batch_date, entity, column_name, run_id)
);

-- Batches that readers do not see, since they were loaded under other masks than the project declares. The views of
-- pipeline_reading leave them out. A swap takes its batch away in its own transaction.
create table pipeline.hidden_batches (
    source text not null,
    batch_date date not null,
    primary key (source, batch_date)
);

-- A store makes an object's etag from its content, so that a guess of a small content could be tested with it, and with
-- the fingerprint. From now on a keyed hash is noted.
update pipeline.runs set fingerprint = null, files = (
    select jsonb_agg(case when f ->> 'path' like '%://%' then f || '{"etag": null}' else f end order by n)
    from jsonb_array_elements(files) with ordinality x (f, n))
where jsonb_typeof(files) = 'array' and files::text like '%://%';
