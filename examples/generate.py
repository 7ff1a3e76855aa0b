#!/usr/bin/env python3
"""Writes the sample data under examples/ and what must come of it (expected.json). examples/fhir has a script of its own.

Everything here is synthetic: names are made of random syllables, ids are counters, and who has which diagnosis is a
throw of seeded dice. The same Python gives the same files on every run.

    python3 examples/generate.py            write the files
    python3 examples/generate.py --check    write nothing; exit 1 if a committed file differs

The expected counts come from the model in clinics.py, not from the files or any SQL.
"""

import argparse
import csv
import gzip
import io
import json
import random
import sys
from datetime import date
from pathlib import Path

sys.dont_write_bytecode = True
from clinics import ABSENT, DAYS, Clinic, batch, counts, views_of  # noqa: E402

HERE = Path(__file__).resolve().parent


def present(**fields):
    return {key: value for key, value in fields.items() if value is not ABSENT}


def each(items, shape):
    return items if items is ABSENT or items is None else [shape(item) for item in items]


def clinic_shape(suffix=""):
    """The records of clinics A and B; B calls three fields otherwise."""

    def treatment(t):
        return present(**{f"drug{suffix}": t["drug"], f"dose{suffix}": t["dose"]})

    def diagnosis(d):
        treatments = each(d["treatments"], treatment)
        return present(code=d["code"], description=d["description"], treatments=treatments)

    def notes(n):
        return n if n is ABSENT or n is None else present(**{"text": n["text"], f"author{suffix}": n["author"]})

    def visit(v):
        diagnoses = each(v["diagnoses"], diagnosis)
        return present(visit_id=v["visit_id"], date=v["date"], diagnoses=diagnoses, provider_notes=notes(v["notes"]))

    return lambda p: present(patient_id=p["patient_id"], name=p["name"], visits=each(p["visits"], visit))


def wrapped_shape(p):
    """The records of clinic C: other names, German dates, a note as plain text."""

    def drug(t):
        return present(medication=t["drug"], strength=t["dose"])

    def finding(d):
        system, code = d["code"].split(":")
        return present(system=system, code=code, label=d["description"], orders=each(d["treatments"], drug))

    def stay(v):
        day = date.fromisoformat(v["date"]).strftime("%d.%m.%Y")
        note = v["notes"]
        note = note if note is ABSENT or note is None else note["text"]
        return present(stayNo=v["visit_id"], day=day, findings=each(v["diagnoses"], finding), remark=note)

    # One clinic's ids come as numbers.
    number = int(p["patient_id"].removeprefix("P-"))
    return present(number=number, fullName=p["name"], stays=each(p["visits"], stay))


class Files:
    """What to write, or what to compare with."""

    def __init__(self):
        self.contents = {}

    def add(self, path, data):
        self.contents[HERE / path] = data if isinstance(data, bytes) else data.encode()

    def lines(self, path, records, ascii_only):
        texts = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
        self.add(path, "[\n" + ",\n".join(texts) + "\n]\n")

    def expected(self, folder, batches, views):
        self.add(f"{folder}expected.json", json.dumps({"batches": batches, "views": views}, indent=2) + "\n")

    def write(self):
        for path, data in self.contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def differing(self):
        def same(path, data):
            return path.is_file() and unpacked(path.read_bytes()) == unpacked(data)

        return [path for path, data in self.contents.items() if not same(path, data)]


def unpacked(data):
    """Compressors differ between machines; what they compress does not."""
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def gzipped(text):
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as file:
        file.write(text.encode())
    return buffer.getvalue()


def main_project(files):
    sent = []
    # Both clinics count their visits from 1, and their patient ids overlap: ids mean something within a source only.
    for source, seed, first, shape, ascii_only in [
        ("source_a", 1, 1001, clinic_shape(), True),
        ("source_b", 2, 1101, clinic_shape("_test"), False),
    ]:
        clinic = Clinic(seed, first)
        one = clinic.first_day(DAYS[0], 200)
        two = clinic.second_day(DAYS[1], 90, one)
        for day, patients in zip(DAYS, [one, two]):
            path = f"data/{source}/{day:%Y%m%d}/visit_events.json"
            files.lines(path, [shape(p) for p in patients], ascii_only)
            sent.append((source, day, patients))
    files.expected("", [batch(s, d, counts(ps)) for s, d, ps in sent], views_of(sent))


def third_source(files):
    clinic = Clinic(3, 70001)
    one = clinic.first_day(DAYS[0], 10)
    two = clinic.second_day(DAYS[1], 10, one)
    batches = []
    for day, patients in zip(DAYS, [one, two]):
        document = {
            "exported": day.isoformat(),
            "system": {"vendor": "Example", "version": "4.1"},
            "entry": [{"id": i, "resource": wrapped_shape(p)} for i, p in enumerate(patients, 1)],
            "total": len(patients),
        }
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        files.add(f"third_source/data/source_c/{day:%Y%m%d}/export.json", text)
        batches.append(batch("source_c", day, counts(patients)))
    files.expected("third_source/", batches, {})


LAB_TESTS = [  # LOINC code, name, unit, from, to
    ("4548-4", "HbA1c", "%", 4.0, 11.0),
    ("2345-7", "Glucose", "mg/dL", 60, 320),
    ("2160-0", "Creatinine", "mg/dL", 0.4, 3.0),
]


def fifth_entity(files):
    """Clinic A again, smaller, with lab results in its visits, and a laboratory that sends nothing else."""
    clinic, dice, shape = Clinic(5, 5001), random.Random(55), clinic_shape()
    batches, hba1c = [], 0
    one = clinic.first_day(DAYS[0], 10)
    for day, patients in zip(DAYS, [one, clinic.second_day(DAYS[1], 10, one)]):
        records = [shape(p) for p in patients]
        in_visits, of_laboratory = [], []
        for visit in (v for record in records for v in record.get("visits") or []):
            tests = dice.sample(LAB_TESTS, dice.choice([0, 0, 1, 2, 3]))
            labs = [
                {"loinc": code, "value": round(dice.uniform(low, high), 2), "unit": unit}
                for code, _, unit, low, high in tests
            ]
            visit["labs"] = labs or dice.choice([None, []])
            in_visits += labs
            of_laboratory += [lab_row(dice, visit, test) for test in tests if dice.random() < 0.6]
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        files.add(f"fifth_entity/data/source_a/{day:%Y%m%d}/visit_events.ndjson.gz", gzipped(text))
        table = io.StringIO()
        writer = csv.writer(table, delimiter=";", lineterminator="\r\n")
        writer.writerow(["visit", "loinc", "value", "unit", "measured", "remark"])
        writer.writerows(of_laboratory)
        files.add(f"fifth_entity/data/laboratory/{day:%Y-%m-%d}.csv", table.getvalue())
        batches.append(batch("source_a", day, {**counts(patients), "lab_results": len(in_visits)}))
        batches.append(batch("laboratory", day, {"lab_results": len(of_laboratory)}))
        hba1c += sum(lab["loinc"] == "4548-4" for lab in in_visits) + sum(row[1] == "4548-4" for row in of_laboratory)
    files.expected("fifth_entity/", batches, {"hba1c_by_patient": hba1c})


def lab_row(dice, visit, test):
    """A line of the laboratory's file: values under the limit as `<4.0`, the odd remark with quotes and delimiters."""
    code, label, unit, low, high = test
    value = f"<{low}" if dice.random() < 0.1 else f"{dice.uniform(low, high):.2f}"
    measured = f"{visit['date']} {dice.randint(7, 18):02}:{dice.randint(0, 59):02}"
    remark = f'{label}; "fasting"' if dice.random() < 0.3 else label
    return [visit["visit_id"], code, value, unit, measured, remark]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="write nothing; exit 1 if a committed file differs")
    check = arguments.parse_args().check
    files = Files()
    main_project(files)
    third_source(files)
    fifth_entity(files)
    if not check:
        files.write()
    elif differing := files.differing():
        sys.exit("differs from what generate.py writes: " + ", ".join(str(p.relative_to(HERE)) for p in differing))


if __name__ == "__main__":
    main()
