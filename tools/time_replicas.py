"""How long one configuration takes in one process with one thread, and by several replicas of one thread each on Ray.

    python tools/time_replicas.py [--config FILE] [--limit 8] [--replicas 2] [--pairs 3] [--out FOLDER]

Both ways take turns; nothing is timed within the runs. Prints, for each of them, the seconds of the whole command and
those from the first answer to the last cell, then the medians and their ratios; checks that all answers are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from coreheads.environment import processor_name

COMMAND = "import sys; from coreheads.cli import main; sys.exit(main())"


def timed(arguments: list[str], out: Path) -> tuple[float, float]:
    """Seconds of a run in a new folder: of all of it, and from its first answer to its last cell."""
    shutil.rmtree(out, ignore_errors=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started, first = time.time(), 0.0
    command = [sys.executable, "-c", COMMAND, "run", *arguments, "--out", str(out), "--quiet"]
    process = subprocess.Popen(command, env=environment)
    while process.poll() is None:
        if not first and (out / "samples").is_dir() and any((out / "samples").iterdir()):
            first = time.time()
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit status {process.returncode}")
    return time.time() - started, (out / "cells.jsonl").stat().st_mtime - first


def answers(out: Path) -> dict[str, list[object]]:
    """Texts, scores and margins of all samples, by cell."""
    kept = ("record_id", "response", "score", "margin")
    return {
        path.name: [[json.loads(line).get(name) for name in kept] for line in path.open()]
        for path in sorted((out / "samples").iterdir())
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="embedded")
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("results/runs/replicas"))
    given = parser.parse_args()
    common = [given.config, "--limit", str(given.limit), "--set", "timing.tasks=[]"]
    common += [word for change in given.changes for word in ("--set", change)]
    ways = {"one process": [], f"{given.replicas} replicas": ["--ray", "--replicas", str(given.replicas)]}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    print(f"{processor_name()}, {os.cpu_count()} cores, {platform.platform()}", flush=True)
    for _ in range(given.pairs):
        for name, arguments in ways.items():
            whole, answering = timed([*common, *arguments], given.out / name.replace(" ", "-"))
            found[name].append((whole, answering))
            load = os.getloadavg()[0]
            print(f"{name}: {whole:.0f} s, answering {answering:.0f} s (load {load:.1f})", flush=True)
        first, second = (answers(given.out / name.replace(" ", "-")) for name in ways)
        print("answers are the same" if first == second else "ANSWERS DIFFER", flush=True)
    for part, what in enumerate(("whole command", "answering")):
        one, many = (median(times[part] for times in found[name]) for name in ways)
        print(f"{what}: {one:.0f} s by one process, {many:.0f} s by {given.replicas} replicas: {one / many:.2f} x")


if __name__ == "__main__":
    main()
