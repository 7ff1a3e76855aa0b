#!/usr/bin/env python3
"""Measures batches on a cluster on this machine: one scheduler, and one or two executors, each on one core.

    cargo build --locked --release --features cluster
    python3 benches/cluster.py [--check]

Measured in turn, with medians of the rounds' ratios:
- a batch on one executor that may use all cores, against the same batch without a cluster;
- a batch that is read, decoded and sorted and leaves few rows, on two executors against one;
- many batches on two executors against one.
PostgreSQL and the process that began the run share the cores with the executors. docs/explanation/performance.md says
what the figures are worth.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
import generate  # noqa: E402
from end_to_end import DAY, KEY, ROOT, Bench, in_turn, paired  # noqa: E402
from server import TICKS, Server  # noqa: E402

SOURCE = "source_b"


class Cluster:
    """A scheduler and executors, on the cores that `cores` names, one executor for each. They end with the `with` block."""

    def __init__(self, bench, database, cores, tasks):
        self.bench, self.database, self.cores, self.tasks = bench, database, cores, tasks
        self.processes = []

    def start(self, command, said):
        env = {**self.bench.server.env, "PIPELINE_MASK_KEY": KEY}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env, text=True)
        self.processes.append(process)
        for line in process.stderr:
            if found := re.search(said, line):
                return found[1]
        raise SystemExit(f"{command} has ended")

    def __enter__(self):
        binary = self.bench.options.binary
        self.url = self.start([binary, "cluster", "scheduler", "--bind", "127.0.0.1:0"], r"(df://\S+)")
        url = f"postgres://postgres@127.0.0.1:{self.bench.server.port}/{self.database}"
        for number, core in enumerate(self.cores):
            folder = self.bench.work / f"executor_{self.database}_{number}"
            folder.mkdir(exist_ok=True)
            self.start(
                ["taskset", "-c", core, binary, "--database-url", url, "cluster", "executor", "--scheduler", self.url,
                 "--tasks", str(self.tasks), "--work-dir", folder],
                r"(listens on)",
            )  # fmt: skip
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()
            process.stderr.close()

    def cpu(self):
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def run(self, folder, *arguments):
        before = self.cpu()
        measured = self.bench.run(folder, *arguments, "--cluster", self.url)
        return {**measured, "cluster_cpu": self.cpu() - before}


def show(measured):
    for name, runs in measured.items():
        walls = ", ".join(f"{run['wall']:.2f}" for run in runs)
        last = runs[-1]
        print(f"  {name}: {walls} s; CPU of the last: run {last['cpu']:.1f}, cluster {last.get('cluster_cpu', 0):.1f}, "
              f"PostgreSQL {last['server_cpu']:.1f} s", flush=True)  # fmt: skip


class Measure:
    def __init__(self, bench, rounds):
        self.bench, self.rounds = bench, rounds

    def on(self, folder, cores, tasks, select, *more):
        """One run on a fresh cluster, after one that is not measured."""
        with Cluster(self.bench, folder.name, cores, tasks) as cluster:
            cluster.run(folder, *select, *more)
            return cluster.run(folder, *select, *more)

    def overhead(self, patients):
        print(f"one batch of {patients:,} patients: one executor against no cluster", flush=True)
        folder = self.bench.project("overhead", "ndjson")
        self.bench.data(folder, patients, SOURCE, DAY, "ndjson")
        select = ("--source", SOURCE, "--date", f"{DAY}")
        everywhere = f"0-{os.cpu_count() - 1}"
        steps = {
            "no cluster": lambda: self.bench.run(folder, *select),
            "one executor": lambda: self.on(folder, [everywhere], os.cpu_count(), select),
            "one executor, not divided": lambda: self.on(folder, [everywhere], os.cpu_count(), select, "--part-size", "none"),
        }
        measured = in_turn(self.rounds, steps)
        show(measured)
        self.bench.check("wall on one executor / without a cluster", paired(measured["one executor"], measured["no cluster"]), 1.25)

    def reading(self, patients, part):
        print(f"one batch of {patients:,} patients that leaves one row in a hundred, parts of {part}", flush=True)
        folder = self.bench.project("reading", "ndjson")
        for sql in (folder / "sql" / SOURCE).glob("*.sql"):
            key = "patient_id" if sql.stem == "patients" else "visit_id"
            body = sql.read_text().rstrip().rstrip(";")
            sql.write_text(f"select * from (\n{body}\n) as q\nqualify row_number() over (order by {key}) % 100 = 0\n")
        for yaml in (folder / "pipelines").glob("*.yaml"):
            yaml.write_text(re.sub(r"^conserves:\n( .*\n)+", "", yaml.read_text(), flags=re.MULTILINE))
        contract = folder / "pipeline.yaml"
        # Most parents are not among the rows that stay.
        contract.write_text(re.sub(r"^ +(parent|relationships):.*\n", "", contract.read_text(), flags=re.MULTILINE))
        self.bench.data(folder, patients, SOURCE, DAY, "ndjson")
        select = ("--source", SOURCE, "--date", f"{DAY}", "--part-size", part)
        steps = {
            "one executor": lambda: self.on(folder, ["0"], 1, select),
            "two executors": lambda: self.on(folder, ["0", "1"], 1, select),
            "one executor, not divided": lambda: self.on(folder, ["0"], 1, select[:-1] + ("none",)),
        }
        measured = in_turn(self.rounds, steps)
        show(measured)
        print(f"  two executors / one: {paired(measured['two executors'], measured['one executor']):.2f}; "
              f"two executors / one, not divided: {paired(measured['two executors'], measured['one executor, not divided']):.2f}")  # fmt: skip

    def many(self, batches, patients):
        print(f"{batches} batches of {patients:,} patients", flush=True)
        folder = self.bench.project("spread", "ndjson")
        days = [DAY + timedelta(days=n) for n in range(batches)]
        for day in days:
            self.bench.data(folder, patients, SOURCE, day, "ndjson")
        select = ("--source", SOURCE, "--start", f"{days[0]}", "--end", f"{days[-1]}")
        steps = {
            "one executor": lambda: self.on(folder, ["0"], 1, select),
            "two executors": lambda: self.on(folder, ["0", "1"], 1, select),
            "no cluster": lambda: self.bench.run(folder, *select),
        }
        measured = in_turn(self.rounds, steps)
        show(measured)
        print(f"  two executors / one: {paired(measured['two executors'], measured['one executor']):.2f}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--patients", type=int, default=300_000, help="of the large batches")
    options.add_argument("--batches", type=int, default=32)
    options.add_argument("--small", type=int, default=20_000, help="patients of each of many batches")
    options.add_argument("--part-size", default="32MB")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", default="1")
    options.add_argument("--binary", type=Path, default=ROOT / "target/release/pipeline")
    options.add_argument("--only", choices=["overhead", "reading", "many"])
    options.add_argument("--check", action="store_true", help="exit 1 where a ratio misses its limit")
    options = options.parse_args()
    options.binary = options.binary.resolve()
    assert SOURCE in generate.SUFFIX
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as work, Server() as server:
        bench = Bench(options, server, Path(work))
        measure = Measure(bench, options.rounds)
        if options.only in (None, "overhead"):
            measure.overhead(options.patients)
        if options.only in (None, "reading"):
            measure.reading(options.patients, options.part_size)
        if options.only in (None, "many"):
            measure.many(options.batches, options.small)
    if options.check and not all(good for _, _, _, good, _ in bench.checks):
        sys.exit(1)


if __name__ == "__main__":
    main()
