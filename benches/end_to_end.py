"""Measures `pipeline run`, release build, masks and checks of the shipped sources on, against the COPY floor and DuckDB.

Everything is a ratio within one run of this script: machines differ, and so do their hours. See docs/explanation/performance.md.
"""

import argparse
import base64
import importlib.util
import itertools
import json
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
import generate  # noqa: E402
import plot  # noqa: E402
import rivals  # noqa: E402
from server import Server  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DAY = date(2023, 6, 1)
KEY = base64.b64encode(os.urandom(32)).decode()


def paired(runs, others):
    """The median of the rounds' own ratios: a machine's speed drifts, and the runs of a round follow one another."""
    return statistics.median(one["wall"] / other["wall"] for one, other in zip(runs, others, strict=True))


def in_turn(rounds, steps):
    """What each step measured, round by round; every other round goes backwards."""
    measured = {who: [] for who in steps}
    for number in range(rounds):
        for who in list(steps) if number % 2 == 0 else reversed(steps):
            measured[who].append(steps[who]())
    return measured


class Bench:
    def __init__(self, options, server, work):
        self.options, self.server, self.work = options, server, work
        self.figures, self.checks = {}, []
        # The environment that names an object store.
        self.store = {}

    def project(self, name, format="json", views=False):
        """A copy of the shipped project; materialized views aside, for their refresh is no part of a load."""
        folder = self.work / name
        for part in ("pipelines", "sql", "migrations"):
            shutil.copytree(ROOT / part, folder / part)
        shutil.copy(ROOT / "pipeline.yaml", folder)
        if not views:
            shutil.rmtree(folder / "sql" / "materialized")
            shutil.rmtree(folder / "sql" / "views")
        for yaml in (folder / "pipelines").glob("*.yaml"):
            text = yaml.read_text()
            assert "  format: json\n" in text and "visit_events.json" in text, yaml
            text = text.replace("  format: json\n", f"  format: {format}\n")
            yaml.write_text(text.replace("visit_events.json", f"visit_events.{format}"))
        self.server.create(name)
        self.pipeline(folder, "migrate")
        return folder

    def data(self, folder, patients, source, day, format="json"):
        path = folder / "examples/data" / source / f"{day:%Y%m%d}" / f"visit_events.{format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        generate.write(patients, self.options.seed, source, f"{day}", path)
        return path

    def command(self, folder, *arguments):
        url = f"postgres://postgres@127.0.0.1:{self.server.port}/{folder.name}"
        return [self.options.binary, "--project", folder, "--database-url", url, *arguments]

    def pipeline(self, folder, *arguments):
        measured = self.server.measure(self.command(folder, *arguments), PIPELINE_MASK_KEY=KEY, **self.store)
        return measured

    def run(self, folder, *arguments):
        measured = self.pipeline(folder, "--output", "json", "run", *arguments)
        # A process begins with the peak of the one that started it, so that a large script would be measured instead.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        assert measured["peak"] > own, f"the script itself has used {own / 1e6:.0f} MB"
        outcome = json.loads(measured.pop("stdout"))
        assert all(batch["status"] == "loaded" for batch in outcome["batches"]), outcome
        batches = outcome["batches"]
        rows = sum(entity["rows"] for batch in batches for entity in batch["entities"].values())
        return {**measured, "rows": rows, "timings": batches[0]["timings_ms"], "batches": batches}

    def check(self, what, value, limit, at_least=False):
        good = value >= limit if at_least else value <= limit
        self.checks.append((what, value, limit, good, at_least))
        print(f"  {what}: {value:.3g} (wanted {'at least' if at_least else 'at most'} {limit:.3g}) "
              f"{'ok' if good else 'MISSED'}", flush=True)  # fmt: skip

    def batch(self, patients, source):
        """One large batch beside its rivals, in turn."""
        name = f"{source}_{patients}"
        print(f"one batch of {patients:,} patients of {source}", flush=True)
        folder = self.project(name)
        array = self.data(folder, patients, source, DAY)
        lines = self.project(f"{name}_lines", format="ndjson")
        self.data(lines, patients, source, DAY, "ndjson")
        files = self.work / f"{name}_rivals"
        files.mkdir()
        select = ("--source", source, "--date", f"{DAY}")
        first = self.run(folder, *select)
        rivals.prepare(self.server, name, files, source, DAY)
        self.server.create("rivals")
        rival = [sys.executable, Path(__file__).parent / "rivals.py"]
        peer = importlib.util.find_spec("duckdb") is not None
        if not peer:
            print("  the Python module duckdb is missing: no peer (pip install duckdb)")
        steps = {
            "floor": lambda: self.server.measure([*rival, "floor", files, "rivals"]),
            "pipeline": lambda: self.run(folder, *select),
            "pipeline, NDJSON": lambda: self.run(lines, *select),
        }
        if peer:
            duckdb = [*rival, "duckdb", array, generate.SUFFIX[source], files, "rivals"]
            steps["DuckDB + psql"] = lambda: self.server.measure(duckdb)
        rounds = in_turn(self.options.rounds, steps)
        figures = {"input": array.stat().st_size, "rows": first["rows"]}
        for who, measured in rounds.items():
            figures[who] = {key: statistics.median(one[key] for one in measured) for key in ("wall", "cpu", "server_cpu", "peak")}
            of = figures[who]
            walls = ", ".join(f"{one['wall']:.2f}" for one in measured)
            print(f"  {who:<17} {of['wall']:6.2f} s   CPU {of['cpu']:5.2f} + server {of['server_cpu']:5.2f} s   "
                  f"peak {of['peak'] / 1e6:4.0f} MB   ({walls})", flush=True)  # fmt: skip
        figures["timings"] = rounds["pipeline"][-1]["timings"]
        self.figures[name] = figures
        ours = rounds["pipeline"]
        self.check("wall / floor", paired(ours, rounds["floor"]), 1.0)
        if peer:
            self.check("wall / DuckDB + psql", paired(ours, rounds["DuckDB + psql"]), 0.75)
        self.check("array / NDJSON", paired(ours, rounds["pipeline, NDJSON"]), 1.1)
        shutil.rmtree(folder)
        shutil.rmtree(lines)
        shutil.rmtree(files)
        for database in (name, f"{name}_lines", "rivals"):
            self.server.sql("postgres", f"drop database {database}")
        return figures

    def cost(self, patients, source):
        """Masks and checks as shipped against none but the keys."""
        print(f"masks and checks: {patients:,} patients of {source}", flush=True)
        full, bare = self.project("shipped"), self.project("bare")
        for yaml in (bare / "pipelines").glob("*.yaml"):
            text, masks = re.subn(r", phi: [^}]*", "", yaml.read_text())
            text, conserves = re.subn(r"^conserves:\n( .*\n)+", "", text, flags=re.MULTILINE)
            assert masks and conserves, yaml
            yaml.write_text(text)
        path = self.data(full, patients, source, DAY)
        other = bare / path.relative_to(full)
        other.parent.mkdir(parents=True)
        other.symlink_to(path)
        select = ("--source", source, "--date", f"{DAY}")
        steps = {folder.name: lambda folder=folder: self.run(folder, *select) for folder in (full, bare)}
        measured = in_turn(self.options.rounds, steps)
        walls = {}
        for name, runs in measured.items():
            walls[name] = statistics.median(one["wall"] for one in runs)
            cpu = statistics.median(one["cpu"] + one["server_cpu"] for one in runs)
            print(f"  {name}: {walls[name]:.2f} s, CPU with the server's {cpu:.2f} s")
        self.figures["cost"] = walls
        self.check("wall with / wall without", paired(measured["shipped"], measured["bare"]), 1.15)

    def growth(self, small, large, patients):
        """Time per row and memory of a large batch against a smaller one."""
        per_row = lambda one: one["pipeline"]["wall"] / one["rows"]  # noqa: E731
        print(f"growth to {patients:,} patients", flush=True)
        self.check("time per row / that of the small batch", per_row(large) / per_row(small), 1.15)

    def days(self, name, batches, patients):
        """A project with so many batches, half of each source; and how `run` selects all of them, or each alone."""
        days = [DAY + timedelta(days=n) for n in range(batches // len(generate.SUFFIX))]
        folder = self.project(name)
        each = []
        for day in days:
            for source in generate.SUFFIX:
                self.data(folder, patients, source, day)
                each.append(("--source", source, "--date", f"{day}"))
        return folder, ("--all-sources", "--start", f"{days[0]}", "--end", f"{days[-1]}"), each

    def many(self, batches, patients, source, of_one):
        """Many batches at once against the rows per second of one large batch of so many patients, in turn."""
        print(f"{batches} batches of {patients:,} patients, --threads 2", flush=True)
        folder, select, _ = self.days("many", batches, patients)
        large = self.project("one")
        self.data(large, of_one, source, DAY)
        steps = {
            "many": lambda: self.run(folder, *select, "--threads", "2"),
            "one": lambda: self.run(large, "--source", source, "--date", f"{DAY}"),
        }
        measured = in_turn(self.options.rounds, steps)
        wall = {which: statistics.median(one["wall"] for one in runs) for which, runs in measured.items()}
        rate = {which: runs[0]["rows"] / wall[which] for which, runs in measured.items()}
        print(f"  {wall['many']:.2f} s, {rate['many']:,.0f} rows/s; one large batch {rate['one']:,.0f} rows/s")
        self.figures["many"] = {"wall": wall["many"], "rows_per_second": rate["many"]}
        rows = measured["many"][0]["rows"] / measured["one"][0]["rows"]
        ratio = rows / paired(measured["many"], measured["one"])
        self.check("rows per second / those of one large batch", ratio, 0.9, at_least=True)

    def small(self, batches, patients):
        """Small batches in one run against one run after the other, a batch each."""
        print(f"{batches} batches of {patients} patients", flush=True)
        folder, select, each = self.days("small", batches, patients)
        self.run(folder, *select)
        steps = {"one by one": lambda: {"wall": sum(self.run(folder, *one)["wall"] for one in each)}}
        for threads in ("--threads 1", "--threads 2", "--threads 4"):
            steps[threads] = lambda threads=threads: self.run(folder, *select, *threads.split())
        measured = in_turn(self.options.rounds, steps)
        walls = {how: statistics.median(run["wall"] for run in runs) for how, runs in measured.items()}
        print("  " + ", ".join(f"{how}: {wall:.2f} s" for how, wall in walls.items()))
        self.figures["small"] = walls
        self.check("--threads 2 / one by one", paired(measured["--threads 2"], measured["one by one"]), 0.6)
        print(f"  --threads 2 / --threads 1: {paired(measured['--threads 2'], measured['--threads 1']):.2f}")

    def per_piece(self, what, count, many, one, limit):
        """The process's own CPU time for each of many files or objects beyond the first."""
        cpu = [statistics.median(run["cpu"] for run in runs) for runs in (many, one)]
        self.check(f"own CPU milliseconds for each further {what}", 1000 * (cpu[0] - cpu[1]) / count, limit)

    def files(self, count, patients, source, format="json"):
        """The same records in many files and in one."""
        print(f"{count:,} {format} files of {patients} patients of {source}", flush=True)
        many, one = self.project(f"many_{format}_files", format), self.project(f"one_{format}_file", format)
        yaml = many / "pipelines" / f"{source}.yaml"
        yaml.write_text(yaml.read_text().replace(f"visit_events.{format}", f"visit_events/*.{format}"))
        whole = one / "examples/data" / source / f"{DAY:%Y%m%d}" / f"visit_events.{format}"
        folder = many / whole.relative_to(one).with_suffix("")
        folder.mkdir(parents=True)
        whole.parent.mkdir(parents=True)
        if format == "parquet":
            lines = self.data(many, count * patients, source, DAY, "ndjson")
            # In a process of its own, for its memory would count as that of the runs.
            program = Path(__file__).parent / "parquet.py"
            subprocess.run([sys.executable, program, lines, whole, folder, f"{count}", f"{patients}"], check=True)
            lines.unlink()
        else:
            self.data(one, count * patients, source, DAY)
            records = generate.patients(count * patients, self.options.seed, source, f"{DAY}")
            for number in range(count):
                part = list(itertools.islice(records, patients))
                (folder / f"{number:06}.json").write_text(json.dumps(part, ensure_ascii=False))
        select = ("--source", source, "--date", f"{DAY}")
        steps = {project.name: lambda project=project: self.run(project, *select) for project in (many, one)}
        measured = in_turn(self.options.rounds, steps)
        for name, runs in measured.items():
            walls = ", ".join(f"{run['wall']:.2f}" for run in runs)
            cpu = statistics.median(run["cpu"] for run in runs)
            print(f"  {name}: {walls} s, CPU {cpu:.2f} s, peak {max(run['peak'] for run in runs) / 1e6:.0f} MB")
        peaks = {name: statistics.median(run["peak"] for run in runs) for name, runs in measured.items()}
        self.figures.setdefault("files", {}).update(
            {name: {"wall": statistics.median(run["wall"] for run in runs), "peak": peaks[name]} for name, runs in measured.items()}
        )  # fmt: skip
        ratio = paired(measured[many.name], measured[one.name])
        if format == "parquet":
            # Each file lists its columns again, which takes longer than its few records.
            print(f"  wall of many files / of one: {ratio:.2f}")
            self.per_piece("file", count, measured[many.name], measured[one.name], 0.6)
        else:
            self.check("wall of many files / of one", ratio, 1.3)
        self.check("peak of many files / of one", peaks[many.name] / peaks[one.name], 1.4 if format == "parquet" else 1.3)

    def run_from(self, store, folder, *arguments):
        """As `run`, with the CPU seconds of the process that is the store."""
        ticks = lambda: sum(map(int, Path(f"/proc/{store}/stat").read_text().split()[13:15]))  # noqa: E731
        before = ticks()
        measured = self.run(folder, *arguments)
        return {**measured, "store_cpu": (ticks() - before) / os.sysconf("SC_CLK_TCK")}

    def objects(self, count, patients, source):
        """The same records in many objects of an S3 server and in one."""
        print(f"{count:,} objects of {patients} patients of {source}, and one object", flush=True)
        folder = self.work / "s3"
        objects = folder / "bucket" / f"{DAY}"
        (objects / "many").mkdir(parents=True)
        records = generate.patients(count * patients, self.options.seed, source, f"{DAY}")
        with (objects / "one.json").open("w") as one:
            for number in range(count):
                part = [json.dumps(record, ensure_ascii=False) for record in itertools.islice(records, patients)]
                (objects / "many" / f"{number:06}.json").write_text(f"[{','.join(part)}]")
                one.write("\n".join(part) + "\n")
        name, secret = "BENCHBENCHBENCH1", "bench-secret-bench-secret"
        with subprocess.Popen([self.options.s3_server, folder, name, secret], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as store:  # fmt: skip
            endpoint = f"http://127.0.0.1:{store.stdout.readline().strip()}"
            self.store = {"AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
                          "AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": secret}  # fmt: skip
            steps = {}
            for project, path in (("many_objects", "many/*.json"), ("one_object", "one.json")):
                folder = self.project(project)
                yaml = folder / "pipelines" / f"{source}.yaml"
                path = f"  path: s3://bucket/{{date}}/{path}"
                yaml.write_text(re.sub(r"  path: .*", path, yaml.read_text()))
                select = ("--source", source, "--date", f"{DAY}")
                steps[project] = lambda folder=folder: self.run_from(store.pid, folder, *select)
            measured = in_turn(self.options.rounds, steps)
            # The server ends with its input.
            store.stdin.close()
        for name, runs in measured.items():
            walls = ", ".join(f"{run['wall']:.2f}" for run in runs)
            cpu, store_cpu = (statistics.median(run[of] for run in runs) for of in ("cpu", "store_cpu"))
            peak = max(run["peak"] for run in runs) / 1e6
            print(f"  {name}: {walls} s, CPU {cpu:.1f} s and the store's {store_cpu:.1f} s, peak {peak:.0f} MB")
        self.figures["objects"] = {name: statistics.median(run["wall"] for run in runs)
                                   for name, runs in measured.items()}  # fmt: skip
        ratio = paired(measured["many_objects"], measured["one_object"])
        print(f"  wall of many objects / of one: {ratio:.2f}; the store works on the same cores, so it has no limit here")
        self.per_piece("object", count, measured["many_objects"], measured["one_object"], 0.3)
        peaks = {name: statistics.median(run["peak"] for run in runs) for name, runs in measured.items()}
        self.check("peak of many objects / of one", peaks["many_objects"] / peaks["one_object"], 1.3)

    def fhir(self, name, keep=None):
        """A copy of the FHIR example that reads plain bundles, with these of its kinds alone."""
        folder = self.work / name
        shutil.copytree(ROOT / "examples/fhir", folder, ignore=shutil.ignore_patterns("data", ".pipeline"))
        source, kinds = folder / "pipelines/bundles.yaml", folder / "schemas/kinds.yaml"
        source.write_text(source.read_text().replace(".json.gz", ".json"))
        if keep:
            (folder / "pipelines/bulk.yaml").unlink()
            blocks = re.split(r"^(?=\w+: )", kinds.read_text(), flags=re.MULTILINE)
            kept = [block for block in blocks if block.split(":")[0] in keep]
            assert len(kept) == len(keep), keep
            kinds.write_text("".join(kept))
            for sql in (folder / "sql/fhir").glob("*.sql"):
                if not re.search(rf"\bfrom ({'|'.join(keep)})\b", sql.read_text()):
                    sql.unlink()
        self.server.create(name)
        self.pipeline(folder, "migrate")
        return folder

    def kinds(self, resources):
        """FHIR resources of ten kinds against as many bytes of observations alone."""
        print(f"{resources:,} FHIR resources of ten kinds, and as many bytes of one kind", flush=True)
        spec = importlib.util.spec_from_file_location("fhir", ROOT / "examples/fhir/generate.py")
        fhir = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(fhir)
        # The observations belong to patients of the day before.
        ten, one = self.fhir("ten_kinds"), self.fhir("one_kind", ["patient", "encounter", "observation"])
        dice = random.Random(self.options.seed)

        def bundles(folder, day, groups):
            path = folder / f"data/bundles/{day:%Y%m%d}/bundle-1.json"
            path.parent.mkdir(parents=True)
            with path.open("w") as file:
                file.writelines(json.dumps(fhir.bundle(group, dice)) + "\n" for group in groups)
            return path.stat().st_size

        visits = []

        def people(resources):
            for group in fhir.people(resources, self.options.seed):
                if len(visits) < 1000:
                    visits.append(group[:2])
                yield group
                resources -= len(group)
                if resources <= 0:
                    return

        size = bundles(ten, DAY, people(resources))
        bundles(one, DAY - timedelta(days=1), visits)
        hospital = fhir.Hospital(self.options.seed)

        def observations(size):
            for visit in itertools.cycle(visits):
                group = [hospital.observation(*visit) for _ in range(20)]
                size -= len(json.dumps(fhir.bundle(group, random.Random(1)))) + 1
                yield group
                if size <= 0:
                    return

        same = bundles(one, DAY, observations(size)) / size
        assert 0.98 < same < 1.02, same
        self.run(one, "--source", "bundles", "--date", f"{DAY - timedelta(days=1)}")
        select = ("--source", "bundles", "--date", f"{DAY}")
        steps = {folder.name: lambda folder=folder: self.run(folder, *select) for folder in (ten, one)}
        measured = in_turn(self.options.rounds, steps)
        for name, runs in measured.items():
            walls = ", ".join(f"{run['wall']:.2f}" for run in runs)
            print(f"  {name}: {walls} s, {runs[0]['rows']:,} rows of {size / 1e6:.0f} MB, peak {runs[0]['peak'] / 1e6:.0f} MB")
        self.figures["kinds"] = {name: statistics.median(run["wall"] for run in runs) for name, runs in measured.items()}
        self.check("wall of ten kinds / of one", paired(measured["ten_kinds"], measured["one_kind"]), 1.3)
        if reads := [run["read"] / size for run in measured["ten_kinds"] if run["read"]]:
            self.check("bytes read / bytes of the input", max(reads), 1.5)

    def tiny(self):
        """A batch of two patients, from the start of the process to its end."""
        print("a batch of two patients", flush=True)
        folder = self.project("tiny")
        self.data(folder, 2, "source_b", DAY)
        select = ("--source", "source_b", "--date", f"{DAY}")
        self.run(folder, *select)
        walls = [self.run(folder, *select)["wall"] for _ in range(max(5, self.options.rounds))]
        self.figures["tiny"] = statistics.median(walls)
        print("  " + ", ".join(f"{1000 * wall:.0f} ms" for wall in walls))
        self.check("milliseconds", 1000 * self.figures["tiny"], 150)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--patients", type=int, default=300_000, help="of the large batch")
    options.add_argument("--grown", type=int, default=0, metavar="N", help="a second, larger batch, such as 1500000")
    options.add_argument("--resources", type=int, default=100_000, help="of FHIR, of ten kinds")
    options.add_argument("--source", default="source_b", choices=sorted(generate.SUFFIX))
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", default="1")
    options.add_argument("--binary", type=Path, default=ROOT / "target/release/pipeline")
    parts = ["batch", "cost", "files", "kinds", "many", "objects", "parquet", "small", "tiny"]
    options.add_argument("--only", choices=parts, help="one part alone")
    options.add_argument("--s3-server", type=Path, metavar="PROGRAM", help="of tests/s3: measure objects, too")
    options.add_argument("--check", action="store_true", help="exit 1 where a ratio misses its limit")
    options.add_argument("--save", type=Path, metavar="FOLDER", help="figures as JSON, and the plot as SVG")
    options = options.parse_args()
    options.binary = options.binary.resolve()
    if not options.binary.exists():
        sys.exit("there is no release build\nhint: cargo build --locked --release")
    wants = lambda part: options.only in (None, part)  # noqa: E731
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as work, Server() as server:
        bench = Bench(options, server, Path(work))
        version = subprocess.run([options.binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"{version}; {os.cpu_count()} cores; {server.sql('postgres', 'show server_version')[0][0]} PostgreSQL")
        if wants("tiny"):
            bench.tiny()
        if wants("small"):
            bench.small(64, 20)
        if wants("files"):
            bench.files(10_000, 6, options.source)
        if wants("parquet") and importlib.util.find_spec("duckdb") is not None:
            bench.files(10_000, 6, options.source, "parquet")
        if options.s3_server and wants("objects"):
            bench.objects(10_000, 6, options.source)
        if wants("kinds"):
            bench.kinds(options.resources)
        if wants("cost"):
            bench.cost(options.patients, options.source)
        if wants("batch"):
            large = bench.batch(options.patients, options.source)
            bench.check("peak megabytes", large["pipeline"]["peak"] / 1e6, 500)
        if wants("many"):
            bench.many(16, max(20, options.patients // 15), options.source, options.patients)
        if wants("batch") and options.grown:
            small = bench.batch(options.grown // 10, options.source)
            grown = bench.batch(options.grown, options.source)
            bench.growth(small, grown, options.grown)
            bench.check("peak memory / that of the large batch", grown["pipeline"]["peak"] / large["pipeline"]["peak"], 1.2)
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            (options.save / "end_to_end.json").write_text(json.dumps(bench.figures, indent=1))
            (options.save / "end_to_end.svg").write_text(plot.svg(bench.figures))
    missed = [what for what, _, _, good, _ in bench.checks if not good]
    print(f"{len(bench.checks) - len(missed)} of {len(bench.checks)} limits hold")
    if options.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
