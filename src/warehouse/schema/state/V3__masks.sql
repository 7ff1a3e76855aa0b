-- Tells keys apart without revealing them; null where no mask of the source needs a key.
alter table pipeline.runs add column mask_key_id text;
