#!/usr/bin/env python3
"""Writes the sample data of this example, and what must come of it (expected.json).

The resources are synthetic: names are made of random syllables, ids are random UUIDs, codes are thrown by seeded dice.
The same Python gives the same files on every run. Both sources get the same resources: `bundles` as FHIR bundles, a file
per patient and day, and `bulk` as a bulk export, a file per type and day.

    python3 examples/fhir/generate.py                              write data/ and expected.json
    python3 examples/fhir/generate.py --check                      write nothing; exit 1 if a committed file differs
    python3 examples/fhir/generate.py --patients 5000 --into DIR   write a larger set
"""

import argparse
import gzip
import io
import json
import random
import sys
import uuid
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
DAYS = [date(2023, 5, 1), date(2023, 5, 2)]
SERVER = "https://fhir.example.org/r4"
SNOMED, LOINC, RXNORM = "http://snomed.info/sct", "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10, CVX = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/cvx"
UCUM, HL7 = "http://unitsofmeasure.org", "http://terminology.hl7.org/CodeSystem"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"

PROBLEMS = [("44054006", "E11.9", "Type 2 diabetes mellitus"), ("59621000", "I10", "Essential hypertension"),
            ("195967001", "J45.909", "Asthma"), ("13645005", "J44.9", "COPD"), ("73211009", None, "Diabetes mellitus")]  # fmt: skip
PROCEDURES = [("80146002", "Appendectomy"), ("430193006", "Medication reconciliation"), ("73761001", "Colonoscopy")]
DRUGS = [("860975", "Metformin 500 MG"), ("314076", "Lisinopril 10 MG"), ("745679", "Albuterol 90 MCG")]
VACCINES = [("140", "Influenza"), ("115", "Tdap"), ("213", "SARS-COV-2")]
ALLERGENS = [(SNOMED, "91935009", "Peanut", ["food"]), (RXNORM, "7980", "Penicillin G", ["medication"]),
             (SNOMED, "256277009", "Grass pollen", ["environment", "biologic"])]  # fmt: skip
RACES = [("2106-3", "White"), ("2054-5", "Black or African American"), ("2028-9", "Asian")]
# The tables, by type of resource, in the order of the contract.
TABLES = {"Patient": "patients", "Encounter": "encounters", "Condition": "conditions", "Procedure": "procedures",
          "MedicationRequest": "medication_requests", "Observation": "observations", "Immunization": "immunizations",
          "AllergyIntolerance": "allergies", "DiagnosticReport": "reports", "DocumentReference": "documents"}  # fmt: skip


class Ref:
    """A reference whose form is chosen where it is written."""

    def __init__(self, resource):
        self.type, self.id = resource["resourceType"], resource["id"]


def concept(*codings, text=None):
    codings = [{"system": system, "code": code, "display": label} for system, code, label in codings if code]
    return {"coding": codings, **({"text": text} if text else {})}


def status(kind, code):
    return concept((f"{HL7}/{kind}", code, code.title()))


class Hospital:
    """Resources in the order in which they come into being. Each method returns one resource."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def one(self, *choices):
        return self.dice.choice(choices)

    def base(self, resource_type, **fields):
        # Narratives and the like hold what somebody wrote. Nothing of them may arrive in a table.
        narrative = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{self.name()}</div>'}
        identity = {"resourceType": resource_type, "id": str(uuid.UUID(int=self.dice.getrandbits(128), version=4))}
        meta = {"versionId": "1", "lastUpdated": self.instant()}
        return {**identity, "meta": meta, **({"text": narrative} if self.dice.random() < 0.3 else {}), **fields}

    def of(self, resource_type, patient, encounter=None, **fields):
        key = "patient" if resource_type in ("Immunization", "AllergyIntolerance") else "subject"
        fields[key] = {"reference": Ref(patient), **self.one({}, {"display": self.name()})}
        if encounter and resource_type != "DocumentReference":
            fields["encounter"] = {"reference": Ref(encounter)}
        return self.base(resource_type, **fields)

    def name(self):
        return "".join(self.one("ba", "ke", "li", "mo", "nu", "ra", "si", "to", "ve", "zu") for _ in range(3)).title()

    def moment(self):
        return datetime(2015, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=self.dice.randrange(260_000_000))

    def instant(self):
        return self.moment().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def partial(self):
        """A FHIR dateTime: a year, a month, a day, or a moment with an offset."""
        moment = self.moment().astimezone(timezone(timedelta(hours=self.one(-5, 0, 1, 2))))
        text = moment.isoformat(timespec="seconds")
        return self.one(text[:4], text[:7], text[:10], text, text, text)

    def period(self):
        start = self.moment()
        end = start + timedelta(seconds=self.dice.randrange(60, 400_000))
        return {"start": start.isoformat(timespec="seconds"), **self.one({}, {"end": end.isoformat(timespec="seconds")})}

    def performer(self):
        """References to what no table holds, in the forms that name it without an id, too."""
        return self.one(
            {"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999999999"},
            {"reference": f"{SERVER}/Practitioner/p-1", "display": self.name()},
            {"type": "Practitioner", "identifier": {"system": "urn:example:staff", "value": self.name()}},
            {"display": self.name()},
        )

    def attachment(self):
        fields = {"contentType": self.one("text/plain", "application/pdf"), "data": "U2VjcmV0", "title": self.name()}
        return {**fields, "url": f"{SERVER}/Binary/{self.name()}", "creation": self.partial(), "size": 6}

    def patient(self):
        code, label = self.one(*RACES)
        race = [{"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code}}]
        race.append({"url": "text", "valueString": label})
        extension = [{"url": f"{US_CORE}/us-core-race", "extension": race}]
        extension.append({"url": f"{US_CORE}/us-core-birthsex", "valueCode": self.one("F", "M")})
        self.dice.shuffle(extension)
        mrn = {"type": concept((f"{HL7}/v2-0203", "MR", "Medical record number")), "system": "urn:example:mrn"}
        identifier = [{**mrn, "use": "usual", "value": str(self.dice.randrange(10**8))}]
        identifier.append({"system": "http://hl7.org/fhir/sid/us-ssn", "value": f"999-{self.dice.randrange(10**6):06}"})
        self.dice.shuffle(identifier)
        name = {"use": "official", "family": self.name(), "given": [self.name(), self.name()]}
        born = (self.moment() - timedelta(days=self.dice.randrange(25_000))).date().isoformat()
        address = {"use": "home", "line": [f"{self.name()} 1"], "city": self.name(), "postalCode": self.one("02139", "10001-4307")}
        return self.base(
            "Patient",
            active=True,
            extension=extension,
            identifier=identifier,
            # Some senders write one name where many may be.
            name=self.one(name, [name], [name, {"use": "nickname", "text": self.name()}]),
            telecom=[{"system": "phone", "value": f"555-{self.dice.randrange(10**7):07}", "use": "home"}],
            gender=self.one("female", "male", "other", "unknown"),
            birthDate=self.one(born, born, born[:7], born[:4]),
            address=[address],
            contact=[{"name": {"family": self.name()}, "telecom": [{"system": "email", "value": f"{self.name()}@example.org"}]}],
            photo=[self.attachment()],
            **self.one({}, {"deceasedBoolean": False}, {"deceasedDateTime": self.partial()}),
        )

    def encounter(self, patient):
        return self.of(
            "Encounter",
            patient,
            status=self.one("finished", "in-progress"),
            **{"class": {"system": f"{HL7}/v3-ActCode", "code": self.one("AMB", "IMP", "EMER"), "display": "a class"}},
            type=[concept((SNOMED, "185349003", "Encounter for check up"), text=self.name())],
            period=self.period(),
            participant=[{"individual": self.performer()}],
            reasonCode=[concept((SNOMED, self.one(*PROBLEMS)[0], "a reason"), text=self.name())],
            location=[{"location": {"display": self.name()}}],
        )

    def onset(self):
        """onset[x], in each of its types, or none."""
        age = {"value": self.one(7, 34, 0.5, 91), "unit": "a", "system": UCUM, "code": "a"}
        return self.one(
            {"onsetDateTime": self.partial()},
            {"onsetPeriod": self.period()},
            {"onsetAge": age},
            {"onsetRange": {"low": age, "high": {**age, "value": 95}}},
            {"onsetString": self.name()},
            {},
        )

    def condition(self, patient, encounter):
        snomed, icd10, label = self.one(*PROBLEMS)
        codings = [(SNOMED, snomed, label), (ICD10, icd10, label)]
        self.dice.shuffle(codings)
        clinical = self.one("active", "active", "recurrence", "inactive", "resolved")
        return self.of(
            "Condition",
            patient,
            encounter,
            clinicalStatus=status("condition-clinical", clinical),
            verificationStatus=status("condition-ver-status", self.one("confirmed", "confirmed", "refuted")),
            category=[status("condition-category", self.one("problem-list-item", "encounter-diagnosis"))],
            code=concept(*codings, text=self.name()),
            recordedDate=self.partial(),
            note=[{"text": self.name(), "time": self.instant(), "authorString": self.name()}],
            **self.onset(),
            **({"abatementDateTime": self.partial()} if clinical == "resolved" else {}),
        )

    def reason(self, resource):
        return [{"reference": Ref(resource), "type": resource["resourceType"]}]

    def procedure(self, patient, encounter, reason):
        return self.of(
            "Procedure",
            patient,
            encounter,
            status=self.one("completed", "in-progress"),
            code=concept((SNOMED, *self.one(*PROCEDURES))),
            performer=[{"actor": self.performer()}],
            reasonReference=self.reason(reason),
            **self.one({"performedDateTime": self.partial()}, {"performedPeriod": self.period()}),
        )

    def medication_request(self, patient, encounter, reason):
        drug = concept((RXNORM, *self.one(*DRUGS)), text=self.name())
        contained = {"resourceType": "Medication", "id": "med", "code": drug}
        dose = {"doseQuantity": {"value": self.one(1, 0.5, 2), "unit": "tablet"}}
        return self.of(
            "MedicationRequest",
            patient,
            encounter,
            status=self.one("active", "completed", "stopped"),
            intent="order",
            authoredOn=self.partial(),
            requester=self.performer(),
            reasonReference=self.reason(reason),
            dosageInstruction=[{"text": self.name(), "doseAndRate": [dose]}],
            **self.one(
                {"medicationCodeableConcept": drug},
                {"contained": [contained], "medicationReference": {"reference": "#med"}},
            ),
        )

    def ratio(self):
        titer = {"numerator": {"value": 1}, "denominator": {"value": self.one(8, 128)}}
        grams = {"numerator": {"value": 30, "unit": "mg", "comparator": "<"}, "denominator": {"value": 1, "unit": "g"}}
        return self.one(titer, grams)

    def samples(self):
        scale = self.one({}, {"factor": 2.5, "lowerLimit": -10, "upperLimit": 10})
        return {"origin": {"value": 2048, "unit": "mV"}, "period": 10, "dimensions": 1, "data": "2 -4 E 7 U 0", **scale}

    def value(self):
        """value[x], in each of its types."""
        quantity = {"value": self.one(7.25, 120, 0.000123, -3.5), "unit": "mg/dL", "system": UCUM, "code": "mg/dL"}
        return self.one(
            {"valueQuantity": quantity},
            {"valueQuantity": {**quantity, "comparator": self.one("<", ">=")}},
            {"valueCodeableConcept": concept((SNOMED, "260385009", "Negative"), text=self.name())},
            {"valueString": self.name()},
            {"valueBoolean": self.one(True, False)},
            {"valueInteger": self.dice.randrange(10)},
            {"valueRange": {"low": {"value": 1.5, "unit": "mm"}, "high": {"value": 2.5, "unit": "mm"}}},
            {"valueRatio": self.ratio()},
            {"valueSampledData": self.samples()},
            {"valueTime": "10:30:00"},
            {"valueDateTime": self.partial()},
            {"valuePeriod": self.period()},
            {"dataAbsentReason": status("data-absent-reason", "unknown")},
        )

    def observation(self, patient, encounter):
        pressure = [("8480-6", "Systolic blood pressure"), ("8462-4", "Diastolic blood pressure")]
        parts = [{"code": concept((LOINC, *code)), **self.value()} for code in pressure]
        code, label, what = self.one(
            ("85354-9", "Blood pressure panel", {"component": parts}),
            ("4548-4", "Hemoglobin A1c", self.value()),
            ("2345-7", "Glucose", self.value()),
        )
        seen = self.one({"effectiveDateTime": self.partial()}, {"effectivePeriod": self.period()}, {"effectiveInstant": self.instant()})
        return self.of(
            "Observation",
            patient,
            encounter,
            status=self.one("final", "preliminary"),
            category=[status("observation-category", self.one("laboratory", "vital-signs"))],
            code=concept((LOINC, code, label), text=self.name()),
            issued=self.instant(),
            performer=[self.performer()],
            **seen,
            **what,
        )

    def immunization(self, patient, encounter):
        return self.of(
            "Immunization",
            patient,
            encounter,
            status="completed",
            vaccineCode=concept((CVX, *self.one(*VACCINES))),
            occurrenceDateTime=self.partial(),
            primarySource=self.one(True, False),
            location={"display": self.name()},
            lotNumber=self.name(),
            performer=[{"actor": self.performer()}],
        )

    def allergy(self, patient, encounter):
        system, code, label, category = self.one(*ALLERGENS)
        return self.of(
            "AllergyIntolerance",
            patient,
            encounter,
            clinicalStatus=status("allergyintolerance-clinical", self.one("active", "inactive")),
            verificationStatus=status("allergyintolerance-verification", "confirmed"),
            type=self.one("allergy", "intolerance"),
            category=category,
            criticality=self.one("low", "high"),
            code=concept((system, code, label)),
            recordedDate=self.partial(),
            reaction=[{"manifestation": [concept((SNOMED, "247472004", "Hives"))], "description": self.name(), "severity": "mild"}],
            **self.onset(),
        )

    def report(self, patient, encounter, results):
        return self.of(
            "DiagnosticReport",
            patient,
            encounter,
            status="final",
            category=[status("v2-0074", "LAB")],
            code=concept((LOINC, "24323-8", "Comprehensive metabolic panel")),
            effectiveDateTime=self.partial(),
            issued=self.instant(),
            # An organization that is no resource of its own.
            contained=[{"resourceType": "Organization", "id": "lab", "name": f"Laboratory {self.dice.randrange(9)}"}],
            performer=[{"reference": "#lab"}],
            result=[{"reference": Ref(result)} for result in results],
            conclusion=self.name(),
            presentedForm=[self.attachment()],
        )

    def document(self, patient, encounter):
        return self.of(
            "DocumentReference",
            patient,
            status="current",
            type=concept((LOINC, "34133-9", "Summary of episode note")),
            category=[concept((LOINC, "11488-4", "Consult note"))],
            date=self.instant(),
            author=[self.performer()],
            description=self.name(),
            content=[{"attachment": self.attachment(), "format": {"code": "urn:ihe:pcc:xphr:2007"}}],
            context={"encounter": [{"reference": Ref(encounter)}], "period": self.period()},
        )

    def diagnosis(self, condition, rank):
        role = {"use": status("diagnosis-role", self.one("AD", "DD"))}
        return {"condition": {"reference": Ref(condition)}, "rank": rank, **self.one({}, role)}

    def visit(self, patient, conditions):
        """An encounter with what was found and done in it. Of its diagnoses, some are of earlier encounters."""
        encounter = self.encounter(patient)
        condition = self.condition(patient, encounter)
        conditions.insert(0, condition)
        encounter["diagnosis"] = [self.diagnosis(one, rank) for rank, one in enumerate(conditions, 1)]
        observations = [self.observation(patient, encounter) for _ in range(self.one(1, 2, 3))]
        yield from (encounter, condition, *observations)
        yield self.procedure(patient, encounter, condition)
        yield self.medication_request(patient, encounter, self.one(condition, observations[0]))
        yield self.report(patient, encounter, observations)
        yield self.document(patient, encounter)
        yield self.one(self.immunization, self.allergy)(patient, encounter)

    def person(self):
        """All resources of a new patient, the patient first."""
        patient = self.patient()
        yield patient
        conditions = []
        for _ in range(self.one(1, 2, 2)):
            yield from self.visit(patient, conditions)

    def later(self, known):
        """What a day brings of a patient whose resources are known: a correction, and what came late."""
        patient, encounter = known[0], known[1]
        corrected = next(r for r in known if r["resourceType"] == "Observation")
        yield {**corrected, "status": "corrected", "meta": {**corrected["meta"], "versionId": "2"}}
        yield self.condition(patient, encounter)
        yield self.observation(patient, encounter)


def people(patients, seed=1):
    """The resources of the first day, in a list per patient. As endless as wanted: nothing is kept."""
    hospital = Hospital(seed)
    for _ in range(patients):
        yield list(hospital.person())


def written(value, form, dice):
    """A resource with its references in forms that `form` has."""
    if isinstance(value, Ref):
        relative = f"{value.type}/{value.id}"
        forms = [relative, f"{relative}/_history/1", f"{SERVER}/{relative}"]
        return dice.choice(forms + ([f"urn:uuid:{value.id}"] * 2 if form == "bundles" else []))
    if isinstance(value, dict):
        return {key: written(inner, form, dice) for key, inner in value.items()}
    if isinstance(value, list):
        return [written(inner, form, dice) for inner in value]
    return value


def request(deleted):
    return {"request": {"method": "DELETE", "url": f"{deleted['resourceType']}/{deleted['id']}"}}


def bundle(resources, dice, deleted=()):
    """A bundle, with a resource that no kind declares, and what was deleted."""
    other = {"resourceType": "Organization", "id": str(uuid.UUID(int=dice.getrandbits(128), version=4))}
    entries = [{"fullUrl": f"urn:uuid:{r['id']}", "resource": written(r, "bundles", dice)} for r in [*resources, other]]
    entries += [{"fullUrl": f"urn:uuid:{r['id']}", **request(r)} for r in deleted]
    dice.shuffle(entries)
    return {"resourceType": "Bundle", "type": "history" if deleted else "collection", "entry": entries}


def packed(text):
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as file:
        file.write(text.encode())
    return buffer.getvalue()


def day_files(day, groups, deleted):
    """The files of both sources of a day, from the resources of each patient and what was deleted: (path, text)."""
    dice = random.Random(f"{day}")
    for number, resources in enumerate(groups, 1):
        gone = deleted if number == len(groups) else ()
        yield f"data/bundles/{day:%Y%m%d}/bundle-{number:03}.json.gz", json.dumps(bundle(resources, dice, gone)) + "\n"
    files = {"output": [], "deleted": []}

    def export(kind, name, lines):
        files[kind].append({"type": name, "url": f"{SERVER}/jobs/1/{name}.ndjson", "count": len(lines)})
        return f"data/bulk/{day:%Y%m%d}/{name}.ndjson.gz", "".join(json.dumps(line) + "\n" for line in lines)

    for name in TABLES:
        if lines := [written(r, "bulk", dice) for rs in groups for r in rs if r["resourceType"] == name]:
            yield export("output", name, lines)
    if deleted:
        yield export("deleted", "Bundle", [{"resourceType": "Bundle", "type": "transaction", "entry": [request(r)]} for r in deleted])
    manifest = {"transactionTime": f"{day}T04:00:00Z", "request": f"{SERVER}/$export", "requiresAccessToken": True}
    yield f"data/bulk/{day:%Y%m%d}/manifest.json", json.dumps({**manifest, **files, "error": []}, indent=1) + "\n"


def counts(groups, deleted):
    every = [resource for resources in groups for resource in resources]
    count = lambda resources, name: sum(r["resourceType"] == name for r in resources)  # noqa: E731
    rows = {table: count(every, name) for name, table in TABLES.items()}
    rows["observation_components"] = sum(len(r.get("component", [])) for r in every)
    return rows | {f"{table}_deleted": count(deleted, name) for name, table in TABLES.items()}


def sample(patients):
    """All files, with their texts."""
    hospital = Hospital(1)
    first = [list(hospital.person()) for _ in range(patients)]
    second = [list(hospital.later(known)) for known in first[::2]]
    second += [list(hospital.person()) for _ in range(max(1, patients // 3))]
    # The last resource of each kind that a patient has, and one that was never sent.
    gone = [{r["resourceType"]: r for r in known} for known in first[1::2]]
    deleted = [r for known in gone for r in known.values() if r["resourceType"] not in ("Patient", "Encounter")]
    deleted.append(hospital.condition(first[0][0], first[0][1]))
    batches = []
    for day, groups, deleted in zip(DAYS, [first, second], [[], deleted]):
        yield from day_files(day, groups, deleted)
        for source in ("bulk", "bundles"):
            batches.append({"source": source, "date": f"{day}", "rows": counts(groups, deleted)})
    yield "expected.json", json.dumps({"batches": batches, "views": {}}, indent=2) + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="write nothing; exit 1 if a committed file differs")
    arguments.add_argument("--patients", type=int, default=6, help="on the first day")
    arguments.add_argument("--into", type=Path, default=HERE, metavar="DIR")
    arguments = arguments.parse_args()
    differing = []
    for name, text in sample(arguments.patients):
        path = arguments.into / name
        if arguments.check:
            data = path.read_bytes() if path.is_file() else b""
            # Compressors differ between machines; what they compress does not.
            if (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data) != text.encode():
                differing.append(name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed(text) if name.endswith(".gz") else text.encode())
    if differing:
        sys.exit("differs from what generate.py writes: " + ", ".join(differing))


if __name__ == "__main__":
    main()
