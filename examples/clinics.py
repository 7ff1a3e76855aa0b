"""The model behind the sample data: clinics, their patients, and what they send on a day. All of it is made up."""

import random
from copy import deepcopy
from datetime import date, timedelta

DAYS = [date(2023, 5, 1), date(2023, 5, 2)]

SYLLABLES = "zor vin quel tam bri lox ren dal mi ko fen ush var el ith om pra nax dru sil yev hob wen gar".split()
# Scripts, marks and characters that a careless reader breaks on; none is a person's name.
AWKWARD_NAMES = [
    "Zo\u0308rvin Quel\u0301tam",              # combining marks
    "Z\u00f6rvin Qu\u00e9ltam",                # the same shapes, precomposed
    "\u05d6\u05d5\u05e8\u05d1\u05d9\u05df \u05e7\u05d5\u05d5\u05dc",  # right to left
    "\u0632\u0648\u0631\u0641\u064a\u0646 \u0643\u0648\u064a\u0644",  # right to left, joined letters
    "\u200fVenlox\u200e Hobgar",               # direction marks
    "\u4f50\u5c14\u6587",                      # Han
    "Lox \U0001f98a Fenush",                   # outside the basic plane
    "Dal \U0001f469\u200d\U0001f52c Nax",      # joined emoji
    'Bri "Tam" O\'Vinith',                     # both quotes
    "Ren\\Dal \\n Ush",                        # backslashes that are no escapes
    "Tab\there, line\nthere",                  # escapes that are
    "NULL",
    "\\N",
    " Padded  Praom ",
    "\u2028Separator\u2029 Kofen",             # line ends for some, not for JSON
    "",
]
PROVIDERS = ["Dr. Quelvin", "Dr. Praxom", "Dr. Hobyev", "Nurse Tamlox", "Dr. D\u00e1lfen", "Dr. O'Ushvar"]
DIAGNOSES = {
    "ICD-10:E11.9": ("Type 2 diabetes", [("Metformin", "500mg"), ("Metformin", "850 mg"), ("Insulin", "10 units")]),
    "ICD-10:I10": ("High blood pressure", [("Lisinopril", "10mg"), ("Amlodipine", "5mg")]),
    "ICD-10:J45.909": ("Asthma", [("Salbutamol", "2 puffs"), ("Budesonide", "200 \u00b5g")]),
    "ICD-10:M54.5": ("Low back pain", [("Ibuprofen", "400mg"), ("Physiotherapy", None)]),
    "ICD-10:F32.1": ("Depressive episode, moderate", [("Sertraline", "50mg")]),
    "ICD-10:N39.0": ("Urinary tract infection", [("Nitrofurantoin", "100mg")]),
    "ICD-11:5A11": ("Type 2 diabetes", [("Metformin", "500mg"), ("Empagliflozin", "10mg")]),
    "ICD-11:CA40": ("Pneumonia", [("Amoxicillin", "3 \u00d7 500mg"), ("Paracetamol", "1g")]),
}
NOTES = [
    "Feels better than last time.",
    "No change; asked to come back in two weeks.",
    "Sleeps badly, eats well.",
    'Says: "it only hurts when I laugh".',
    "Blood drawn.\nResults to follow.",
    "\u7d4c\u904e\u826f\u597d\u3002",
    "Path of the scan: C:\\scans\\2023 \u2713",
]


class ABSENT:
    """Stands for a key that is not there at all; None is a JSON null."""


class Clinic:
    """A source's patients, and what it sends on each day."""

    def __init__(self, seed, first_patient):
        self.dice = random.Random(seed)
        self.next_patient = first_patient
        self.next_visit = 1
        self.known = {}

    def name(self):
        words = ["".join(self.dice.choices(SYLLABLES, k=self.dice.randint(2, 3))).capitalize() for _ in range(2)]
        return " ".join(words)

    def visit(self, day):
        dice = self.dice
        codes = dice.sample(sorted(DIAGNOSES), dice.choices([1, 2, 3], [70, 22, 8])[0])
        diagnoses = []
        for code in codes:
            description, choices = DIAGNOSES[code]
            picked = [dice.choice(choices) for _ in range(dice.choices([1, 2, 3], [55, 35, 10])[0])]
            diagnoses.append({
                "code": code,
                "description": description,
                "treatments": [{"drug": drug, "dose": dose} for drug, dose in picked],
            })
        visit = {
            "visit_id": f"V-{day.year}-{self.next_visit:04}",
            "date": day.isoformat(),
            "diagnoses": diagnoses,
            "notes": {"text": dice.choice(NOTES), "author": dice.choice(PROVIDERS)},
        }
        self.next_visit += 1
        return visit

    def patient(self, day, name=None):
        patient_id = f"P-{self.next_patient}"
        self.next_patient += 1
        patient = {"patient_id": patient_id, "name": self.name() if name is None else name}
        self.known[patient_id] = patient["name"]
        patient["visits"] = [self.visit(day) for _ in range(self.dice.choices([1, 2], [85, 15])[0])]
        return patient

    def returning(self, patient_id, day):
        return {"patient_id": patient_id, "name": self.known[patient_id], "visits": [self.visit(day)]}

    def first_day(self, day, count):
        patients = [self.patient(day) for _ in range(count)]
        patients += [self.patient(day, name) for name in AWKWARD_NAMES]
        patients += self.awkward(day)
        self.dice.shuffle(patients)
        return patients

    def second_day(self, day, count, before):
        """New patients, patients who come back, one who changed the name, and visits sent again with a correction."""
        dice = self.dice
        back = dice.sample(sorted(self.known), count)
        self.known[back[0]] = self.name()
        patients = [self.patient(day) for _ in range(count)]
        patients += [self.returning(patient_id, day) for patient_id in back]
        again = [p for p in before if p["patient_id"] not in back and some(p["visits"])][:8]
        for patient in deepcopy(again):
            patient["visits"][0]["notes"] = {"text": "Corrected the day after.", "author": "Dr. Praxom"}
            patients.append(patient)
        patients += self.awkward(day)
        dice.shuffle(patients)
        return patients

    def awkward(self, day):
        """One patient for each way of having nothing, too much, or all of it late."""
        out = []

        def add(change):
            patient = self.patient(day)
            change(patient, patient["visits"][0])
            out.append(patient)

        def diagnosis(visit):
            return visit["diagnoses"][0]

        add(lambda p, v: p.update(visits=ABSENT))
        add(lambda p, v: p.update(visits=[]))
        add(lambda p, v: p.update(visits=None))
        add(lambda p, v: p.update(name=ABSENT))
        add(lambda p, v: p.update(name=None))
        add(lambda p, v: v.update(diagnoses=ABSENT))
        add(lambda p, v: v.update(diagnoses=[]))
        add(lambda p, v: v.update(diagnoses=None))
        add(lambda p, v: v.update(notes=ABSENT))
        add(lambda p, v: v.update(notes=None))
        add(lambda p, v: v.update(notes={"text": None, "author": ABSENT}))
        add(lambda p, v: v.update(notes={"text": "Long. " * 2000 + "\u2767", "author": "Dr. Hobyev"}))
        add(lambda p, v: v.update(date=(day - timedelta(days=3)).isoformat()))
        add(lambda p, v: v.update(date=(day - timedelta(days=40)).isoformat()))
        add(lambda p, v: diagnosis(v).update(treatments=ABSENT))
        add(lambda p, v: diagnosis(v).update(treatments=[]))
        add(lambda p, v: diagnosis(v).update(treatments=None))
        add(lambda p, v: diagnosis(v).update(description=None))
        add(lambda p, v: diagnosis(v).update(treatments=[{"drug": "Metformin", "dose": "500mg"}] * 2))
        add(lambda p, v: diagnosis(v).update(treatments=[{"drug": "Ibuprofen", "dose": ABSENT}]))
        # The same diagnosis in two visits of one patient.
        add(lambda p, v: p.update(visits=[v, {**self.visit(day), "diagnoses": deepcopy(v["diagnoses"])}]))
        # Twelve visits of one patient.
        add(lambda p, v: p.update(visits=[self.visit(day) for _ in range(12)]))
        return out


def some(items):
    return [] if items is ABSENT or items is None else items


def counts(patients):
    visits = [v for p in patients for v in some(p["visits"])]
    diagnoses = [d for v in visits for d in some(v["diagnoses"])]
    return {
        "patients": len(patients),
        "visits": len(visits),
        "diagnoses": len(diagnoses),
        "treatments": sum(len(some(d["treatments"])) for d in diagnoses),
    }


def batch(source, day, entities):
    return {"source": source, "date": day.isoformat(), "rows": entities}


def known_until(sent, day):
    return len({(source, p["patient_id"]) for source, d, patients in sent for p in patients if d <= day})


def views_of(sent):
    """Row counts of the shipped views over all batches, each worked out on the model."""
    latest = {}
    for source, day, patients in sorted(sent, key=lambda s: s[1]):
        for p in patients:
            for v in some(p["visits"]):
                latest[source, v["visit_id"]] = (p["patient_id"], v)
    by_patient, drugs, codes = {}, set(), set()
    for (source, visit_id), (patient_id, v) in latest.items():
        by_patient.setdefault((source, patient_id), []).append((date.fromisoformat(v["date"]), visit_id))
        for d in some(v["diagnoses"]):
            codes.add((source, d["code"]))
            for t in some(d["treatments"]):
                drugs.add((source, v["date"][:7], t["drug"]))
    readmissions = 0
    for visits in by_patient.values():
        days = [day for day, _ in sorted(visits)]
        readmissions += sum((after - before).days <= 30 for before, after in zip(days, days[1:]))
    visits = [v for _, _, patients in sent for p in patients for v in some(p["visits"])]
    treatments = [t for v in visits for d in some(v["diagnoses"]) for t in some(d["treatments"])]
    return {
        "patients_current": known_until(sent, DAYS[-1]),
        "patients_as_of": {day.isoformat(): known_until(sent, day) for day in DAYS},
        "patient_treatment_summary": len(treatments),
        "patient_treatment_summary_metformin": sum(t["drug"] == "Metformin" for t in treatments),
        "visits_current": len(latest),
        "drug_utilisation_by_month": len(drugs),
        "diagnosis_prevalence": len(codes),
        "readmissions_within_30_days": readmissions,
    }
