-- Persons whose records later loads leave out. A person is named by a keyed hash of the subject, made for this list alone:
-- it is found in no other table, and without the key nothing tells whose it is.
create table pipeline.suppression_list (
    -- of the subject: sources that share it mean the same person by the same id
    domain text not null,
    -- tells keys apart without revealing them; under another key the hash finds nobody
    key_id text not null,
    hash text not null,
    added_at timestamptz not null default clock_timestamp(),
    primary key (domain, key_id, hash)
);

-- What was erased: receipts. They tell how much and where, and not of whom.
create table pipeline.erasures (
    erasure_id bigint generated always as identity primary key,
    erased_at timestamptz not null default clock_timestamp(),
    domains text[] not null,
    key_id text not null,
    -- [{source, date, tables: {name: rows}, quarantine}]
    batches jsonb not null,
    -- what could not be searched, and why
    unsearched jsonb not null,
    program_version text not null
);
