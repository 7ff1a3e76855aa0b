-- Written by `pipeline migration new` from pipeline.yaml. Read it before it runs.

CREATE TABLE public."patients" (
    "patient_id" text NOT NULL,
    "name" text,
    "birth_year" integer,
    "source" text NOT NULL,
    "batch_date" date NOT NULL,
    PRIMARY KEY ("patient_id", "source", "batch_date")
) PARTITION BY LIST ("source");
COMMENT ON TABLE public."patients" IS 'A patient';
COMMENT ON COLUMN public."patients"."patient_id" IS 'The patient''s id, masked';
COMMENT ON COLUMN public."patients"."name" IS 'An invented name in place of the real one';
COMMENT ON COLUMN public."patients"."birth_year" IS 'The year of birth';

CREATE TABLE public."visits" (
    "patient_id" text NOT NULL,
    "visit_id" text NOT NULL,
    "visit_date" date NOT NULL,
    "reason" text,
    "source" text NOT NULL,
    "batch_date" date NOT NULL,
    PRIMARY KEY ("visit_id", "source", "batch_date")
) PARTITION BY LIST ("source");
CREATE INDEX ON public."visits" ("visit_date");
COMMENT ON TABLE public."visits" IS 'A patient''s visit';
COMMENT ON COLUMN public."visits"."patient_id" IS 'Whose visit it was';
COMMENT ON COLUMN public."visits"."visit_id" IS 'The visit''s id at the clinic';
COMMENT ON COLUMN public."visits"."visit_date" IS 'The day of the visit';
COMMENT ON COLUMN public."visits"."reason" IS 'Why the patient came';

CREATE TABLE public."prescriptions" (
    "visit_id" text NOT NULL,
    "drug" text NOT NULL,
    "dose_mg" numeric(8,2),
    "source" text NOT NULL,
    "batch_date" date NOT NULL
) PARTITION BY LIST ("source");
CREATE INDEX ON public."prescriptions" ("drug");
COMMENT ON TABLE public."prescriptions" IS 'A drug that was prescribed in a visit';
COMMENT ON COLUMN public."prescriptions"."visit_id" IS 'The visit in which it was prescribed';
COMMENT ON COLUMN public."prescriptions"."drug" IS 'The drug''s name';
COMMENT ON COLUMN public."prescriptions"."dose_mg" IS 'The dose in milligrams';
