"""Synthetic visit events in the shape of the shipped sources, any number of patients: the same seed, the same bytes.

usage: generate.py PATIENTS SEED SOURCE DATE FILE       FILE ends in .ndjson or .json (an array)
"""

import json
import random
import sys

DRUGS = ["Metformin", "Insulin", "Lisinopril", "Atorvastatin", "Amlodipine", "Omeprazole", "Losartan", "Albuterol"]
DIAGNOSES = [
    ("ICD-10:E11.9", "Type 2 diabetes"),
    ("ICD-10:I10", "Essential hypertension"),
    ("ICD-10:J45.909", "Asthma"),
    ("ICD-10:E78.5", "Hyperlipidemia"),
    ("ICD-10:F32.9", "Major depressive disorder"),
    ("ICD-11:CA23", "Asthma"),
]
SYLLABLES = ["ka", "lo", "mi", "ré", "su", "ta", "ven", "zür", "o'n", "pa"]
# What clinic B calls otherwise.
SUFFIX = {"source_a": "", "source_b": "_test"}


def patients(count, seed, source, date):
    dice = random.Random(f"{seed} {source} {date}")
    suffix = SUFFIX[source]
    visit_number = 0

    def name():
        return "".join(dice.choices(SYLLABLES, k=3)).title()

    def treatment():
        return {f"drug{suffix}": dice.choice(DRUGS), f"dose{suffix}": f"{5 * dice.randint(1, 100)}mg"}

    def diagnosis(code, description):
        treatments = [treatment() for _ in range(dice.randint(0, 3))]
        return {"code": code, "description": description, "treatments": treatments}

    for number in range(count):
        visits = []
        for _ in range(dice.randint(1, 2)):
            visit_number += 1
            note = "Symptoms have improved since the last visit. " * dice.randint(1, 4)
            visits.append(
                {
                    "visit_id": f"V-{visit_number:09d}",
                    "date": date,
                    "diagnoses": [diagnosis(*one) for one in dice.sample(DIAGNOSES, dice.randint(1, 3))],
                    "provider_notes": {"text": note, f"author{suffix}": f"Dr. {name()}"},
                }
            )
        yield {"patient_id": f"P-{number:09d}", "name": f"{name()} {name()}", "visits": visits}


def write(count, seed, source, date, path):
    array = not str(path).endswith(".ndjson")
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" if array else "")
        for number, patient in enumerate(patients(count, seed, source, date)):
            file.write(",\n" if array and number else "")
            file.write(json.dumps(patient, ensure_ascii=False))
            file.write("" if array else "\n")
        file.write("\n]\n" if array else "")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    write(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5])
