-- Names that an administrator knows: the n-th run of a batch is an attempt, and what a batch owns of a table is a
-- partition.
alter table pipeline.runs rename column epoch to attempt;

do $pipeline$
begin
    -- `pipeline roles` made the new one before the first migration; the old one has just been made, and is empty.
    if pg_catalog.to_regnamespace('pipeline_partitions') is not null then
        drop schema pipeline_leaves;
    else
        alter schema pipeline_leaves rename to pipeline_partitions;
    end if;
end $pipeline$;
