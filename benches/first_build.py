#!/usr/bin/env python3
"""Tells what each direct dependency, and each of its features, costs in the first build.

    CARGO_TARGET_DIR=$(mktemp -d) cargo build --locked --timings    # on an idle machine, with an empty target folder
    python3 benches/first_build.py THAT_FOLDER/cargo-timings/cargo-timing.html

Printed are two Markdown tables. A cost is the seconds that the compilers and build scripts of the crates ran, summed
over both cores, by cargo's report. `only` is what would go with the dependency or the feature: crates that nothing else
asks for. It is found by cargo's own resolver. What a feature switches on within its crate is not part of that.
"""

import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

PROJECT = pathlib.Path(__file__).resolve().parent.parent


def costs(report: str) -> collections.Counter:
    """Seconds by name and version of a crate."""
    units = json.loads(re.search(r"const UNIT_DATA = (\[.*?\]);", report, re.S)[1])
    sums = collections.Counter()
    for unit in units:
        sums[unit["name"], unit["version"]] += unit["duration"]
    return sums


def host() -> str:
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return re.search(r"^host: (.*)$", said, re.M)[1]


class Graph:
    """The crates of a default build for this machine, without what only tests need."""

    def __init__(self, manifest: pathlib.Path):
        command = ["cargo", "metadata", "--format-version", "1", "--offline", "--filter-platform", host()]
        command += ["--manifest-path", str(manifest)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        self.crates = {one["id"]: (one["name"], one["version"]) for one in said["packages"]}
        self.edges, self.direct = {}, []
        for node in said["resolve"]["nodes"]:
            uses = [one for one in node["deps"] if any(kind["kind"] != "dev" for kind in one["dep_kinds"])]
            self.edges[node["id"]] = [one["pkg"] for one in uses]
            if node["id"] == said["resolve"]["root"]:
                self.direct = [one["pkg"] for one in uses]

    def reached(self, begin) -> set:
        seen, left = set(), list(begin)
        while left:
            crate = left.pop()
            if crate not in seen:
                seen.add(crate)
                left += self.edges[crate]
        return {self.crates[one] for one in seen}


def dependencies(graph: Graph, cost: collections.Counter) -> list:
    everything = graph.reached(graph.direct)
    rows = []
    for one in graph.direct:
        others = graph.reached(other for other in graph.direct if other != one)
        only = everything - others
        total = sum(cost[crate] for crate in graph.reached([one]))
        name = graph.crates[one]
        rows.append((name[0], cost[name], total, sum(cost[crate] for crate in only), sum(crate in cost for crate in only)))
    return sorted(rows, key=lambda row: (-row[3], -row[2]))


def features(everything: set, cost: collections.Counter) -> list:
    """Leaves out each feature that Cargo.toml names for a dependency of the default build, one after the other."""
    text = (PROJECT / "Cargo.toml").read_text()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copy(PROJECT / "Cargo.lock", folder)
        for name in ("src", "benches", "tests"):
            (folder / name).symlink_to(PROJECT / name)
        for dependency, said in tomllib.loads(text)["dependencies"].items():
            for feature in said.get("features", []) if isinstance(said, dict) else []:
                line = re.search(rf"(?ms)^{re.escape(dependency)} = \{{.*?\}}$", text)[0]
                less = re.sub(rf'\s*"{re.escape(feature)}",?', "", line)
                (folder / "Cargo.toml").write_text(text.replace(line, less))
                gone = everything - Graph.reached_of(folder / "Cargo.toml")
                built = [crate for crate in gone if crate in cost]
                if built:
                    rows.append((f"{dependency}/{feature}", sum(cost[crate] for crate in built), len(built)))
    return sorted(rows, key=lambda row: -row[1])


def reached_of(manifest: pathlib.Path) -> set:
    graph = Graph(manifest)
    return graph.reached(graph.direct)


Graph.reached_of = staticmethod(reached_of)


def main() -> None:
    cost = costs(pathlib.Path(sys.argv[1]).read_text())
    graph = Graph(PROJECT / "Cargo.toml")
    total = sum(cost.values())
    print(f"{len(cost)} crates, {total:.0f} s\n")
    print("| crate | itself, s | with all that it brings, s | only because of it, s | crates only because of it |")
    print("|---|---|---|---|---|")
    for name, own, brings, only, crates in dependencies(graph, cost):
        print(f"| {name} | {own:.1f} | {brings:.1f} | {only:.1f} | {crates} |")
    print("\n| feature | only because of it, s | crates only because of it |")
    print("|---|---|---|")
    for name, only, crates in features(graph.reached(graph.direct), cost):
        print(f"| {name} | {only:.1f} | {crates} |")


if __name__ == "__main__":
    main()
