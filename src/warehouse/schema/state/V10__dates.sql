-- Whether the column told the date of its batch when it was loaded: 'value' (computed from it), 'perhaps' (its values, or
-- which rows there are, may show it) or 'no'. Null: not known.
alter table pipeline.masks add column batch_date_in text;
-- A hash of the SQL by which the batch was loaded, and of what it says of subjects. Null: not known.
alter table pipeline.runs add column sql_fingerprint text;
