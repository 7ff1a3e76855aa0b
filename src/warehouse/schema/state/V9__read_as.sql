-- How the subjects of the domain were read when the person was put on the list: fingerprints of their types, `normalize`
-- and `nulls`. A subject that is read otherwise by now may spell the same id otherwise. Null: an older version added it.
alter table pipeline.suppression_list add column read_as text[];

-- Rows of others that name the person and were left: [{source, date, table, columns, rows}]
alter table pipeline.erasures add column named jsonb not null default '[]';
