-- Written by `pipeline migration new` from pipeline.yaml. Read it before it runs.

CREATE TABLE public."patients" ("patient_id" text NOT NULL, "mrn" text, "name" text, "birth_date" date,
    "birth_precision" text, "gender" text, "birth_sex" text, "race" text, "deceased" boolean,
    "death_date" timestamp with time zone, "zip3" text, "source" text NOT NULL, "batch_date" date NOT NULL,
    PRIMARY KEY ("patient_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON COLUMN public."patients"."mrn" IS 'The patient''s number in the hospital, hashed';
COMMENT ON COLUMN public."patients"."name" IS 'A pseudonym of the family name';
COMMENT ON COLUMN public."patients"."birth_precision" IS 'How much of the date is known: year, month or day';
COMMENT ON COLUMN public."patients"."race" IS 'The OMB code of the extension us-core-race';

CREATE TABLE public."patients_deleted" ("patient_id" text NOT NULL, "source" text NOT NULL, "batch_date" date NOT NULL,
    PRIMARY KEY ("patient_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."patients_deleted" IS 'The keys of patients that a batch says are deleted.';

CREATE TABLE public."encounters" ("encounter_id" text NOT NULL, "patient_id" text NOT NULL, "status" text, "class" text,
    "type_snomed" text, "reason_snomed" text, "started" timestamp with time zone, "ended" timestamp with time zone,
    "diagnosis_ids" text[], "diagnosis_roles" text[], "source" text NOT NULL, "batch_date" date NOT NULL,
    PRIMARY KEY ("encounter_id", "source", "batch_date")) PARTITION BY LIST ("source");

CREATE TABLE public."encounters_deleted" ("encounter_id" text NOT NULL, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("encounter_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."encounters_deleted" IS 'The keys of encounters that a batch says are deleted.';

CREATE TABLE public."conditions" ("condition_id" text NOT NULL, "patient_id" text NOT NULL, "encounter_id" text,
    "clinical_status" text, "verification_status" text, "category" text, "snomed" text, "icd10" text, "display" text,
    "onset" timestamp with time zone, "onset_precision" text, "onset_age" double precision, "onset_age_unit" text,
    "abated" timestamp with time zone, "recorded" timestamp with time zone, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("condition_id", "source", "batch_date")) PARTITION BY LIST ("source");

CREATE TABLE public."conditions_deleted" ("condition_id" text NOT NULL, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("condition_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."conditions_deleted" IS 'The keys of conditions that a batch says are deleted.';

CREATE TABLE public."procedures" ("procedure_id" text NOT NULL, "patient_id" text NOT NULL, "encounter_id" text,
    "status" text, "snomed" text, "display" text, "started" timestamp with time zone, "started_precision" text,
    "ended" timestamp with time zone, "reason_id" text, "reason_type" text, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("procedure_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON COLUMN public."procedures"."reason_id" IS 'A condition or an observation';

CREATE TABLE public."procedures_deleted" ("procedure_id" text NOT NULL, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("procedure_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."procedures_deleted" IS 'The keys of procedures that a batch says are deleted.';

CREATE TABLE public."medication_requests" ("request_id" text NOT NULL, "patient_id" text NOT NULL, "encounter_id" text,
    "status" text, "intent" text, "rxnorm" text, "display" text, "dose" double precision, "dose_unit" text,
    "authored" timestamp with time zone, "authored_precision" text, "reason_id" text, "reason_type" text,
    "source" text NOT NULL, "batch_date" date NOT NULL, PRIMARY KEY ("request_id", "source", "batch_date"))
    PARTITION BY LIST ("source");
COMMENT ON COLUMN public."medication_requests"."reason_id" IS 'A condition or an observation';

CREATE TABLE public."medication_requests_deleted" ("request_id" text NOT NULL, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("request_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."medication_requests_deleted"
    IS 'The keys of medication_requests that a batch says are deleted.';

CREATE TABLE public."observations" ("observation_id" text NOT NULL, "patient_id" text NOT NULL, "encounter_id" text,
    "status" text, "category" text, "loinc" text, "display" text, "effective" timestamp with time zone,
    "effective_precision" text, "issued" timestamp with time zone, "value" double precision,
    "value_high" double precision, "denominator" double precision, "comparator" text, "unit" text, "value_code" text,
    "value_bool" boolean, "value_text" text, "value_time" timestamp with time zone,
    "value_end" timestamp with time zone, "samples" text, "sample_origin" double precision,
    "sample_factor" double precision, "sample_period" double precision, "absent_reason" text, "components" integer,
    "source" text NOT NULL, "batch_date" date NOT NULL, PRIMARY KEY ("observation_id", "source", "batch_date"))
    PARTITION BY LIST ("source");
COMMENT ON COLUMN public."observations"."value" IS 'A number; of a range the lower bound, of a ratio the numerator';
COMMENT ON COLUMN public."observations"."value_time" IS 'A date or time; of a period the start';
COMMENT ON COLUMN public."observations"."components" IS 'How many rows of observation_components belong to it';

CREATE TABLE public."observations_deleted" ("observation_id" text NOT NULL, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("observation_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."observations_deleted" IS 'The keys of observations that a batch says are deleted.';

CREATE TABLE public."observation_components" ("observation_id" text NOT NULL, "position" bigint NOT NULL, "loinc" text,
    "display" text, "value" double precision, "value_high" double precision, "denominator" double precision,
    "comparator" text, "unit" text, "value_code" text, "value_bool" boolean, "value_text" text,
    "value_time" timestamp with time zone, "value_end" timestamp with time zone, "samples" text,
    "sample_origin" double precision, "sample_factor" double precision, "sample_period" double precision,
    "absent_reason" text, "source" text NOT NULL, "batch_date" date NOT NULL,
    PRIMARY KEY ("observation_id", "position", "source", "batch_date")) PARTITION BY LIST ("source");

CREATE TABLE public."immunizations" ("immunization_id" text NOT NULL, "patient_id" text NOT NULL, "encounter_id" text,
    "status" text, "cvx" text, "display" text, "occurred" timestamp with time zone, "occurred_precision" text,
    "primary_source" boolean, "source" text NOT NULL, "batch_date" date NOT NULL,
    PRIMARY KEY ("immunization_id", "source", "batch_date")) PARTITION BY LIST ("source");

CREATE TABLE public."immunizations_deleted" ("immunization_id" text NOT NULL, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("immunization_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."immunizations_deleted" IS 'The keys of immunizations that a batch says are deleted.';

CREATE TABLE public."allergies" ("allergy_id" text NOT NULL, "patient_id" text NOT NULL, "encounter_id" text,
    "clinical_status" text, "verification_status" text, "type" text, "categories" text[], "criticality" text,
    "snomed" text, "rxnorm" text, "display" text, "onset" timestamp with time zone, "onset_precision" text,
    "onset_age" double precision, "onset_age_unit" text, "recorded" timestamp with time zone, "reactions" text[],
    "source" text NOT NULL, "batch_date" date NOT NULL, PRIMARY KEY ("allergy_id", "source", "batch_date"))
    PARTITION BY LIST ("source");
COMMENT ON COLUMN public."allergies"."reactions" IS 'The SNOMED codes of what showed';

CREATE TABLE public."allergies_deleted" ("allergy_id" text NOT NULL, "source" text NOT NULL, "batch_date" date NOT NULL,
    PRIMARY KEY ("allergy_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."allergies_deleted" IS 'The keys of allergies that a batch says are deleted.';

CREATE TABLE public."reports" ("report_id" text NOT NULL, "patient_id" text NOT NULL, "encounter_id" text,
    "status" text, "category" text, "loinc" text, "display" text, "effective" timestamp with time zone,
    "effective_precision" text, "issued" timestamp with time zone, "laboratory" text, "observation_ids" text[],
    "source" text NOT NULL, "batch_date" date NOT NULL, PRIMARY KEY ("report_id", "source", "batch_date"))
    PARTITION BY LIST ("source");
COMMENT ON COLUMN public."reports"."laboratory" IS 'The contained organization that performed it';

CREATE TABLE public."reports_deleted" ("report_id" text NOT NULL, "source" text NOT NULL, "batch_date" date NOT NULL,
    PRIMARY KEY ("report_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."reports_deleted" IS 'The keys of reports that a batch says are deleted.';

CREATE TABLE public."documents" ("document_id" text NOT NULL, "patient_id" text NOT NULL, "encounter_id" text,
    "status" text, "loinc" text, "display" text, "created" timestamp with time zone, "content_type" text,
    "source" text NOT NULL, "batch_date" date NOT NULL, PRIMARY KEY ("document_id", "source", "batch_date"))
    PARTITION BY LIST ("source");

CREATE TABLE public."documents_deleted" ("document_id" text NOT NULL, "source" text NOT NULL,
    "batch_date" date NOT NULL, PRIMARY KEY ("document_id", "source", "batch_date")) PARTITION BY LIST ("source");
COMMENT ON TABLE public."documents_deleted" IS 'The keys of documents that a batch says are deleted.';
