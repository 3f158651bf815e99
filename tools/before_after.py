"""Time `coreheads run` as it was at a commit and as it is here, in turns in one sitting: seconds by part, and ratios.

    python tools/before_after.py COMMIT [--rounds 2] -- --limit 8     # what follows -- goes to `coreheads run`

Both take the packages of the Python that runs this. Nothing of the repository is changed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

RUN = "import sys; from coreheads.cli import main; sys.exit(main(sys.argv[1:]))"
ROOT = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="what is compared with the working tree")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is run; medians are shown")
    parser.add_argument("arguments", nargs="*", help="of `coreheads run`")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        base, seen = Path(folder), defaultdict(list)
        archive = subprocess.run(["git", "-C", ROOT, "archive", asked.commit], check=True, capture_output=True).stdout
        (base / "checkout").mkdir()
        subprocess.run(["tar", "-x", "-C", base / "checkout"], input=archive, check=True)
        packages = {"before": package(base / "checkout", base / "before"), "after": package(ROOT, base / "after")}
        for number in range(asked.rounds):
            for name, path in packages.items():
                for part, seconds in timed(path, base / f"{name}-{number}", asked.arguments).items():
                    seen[part, name].append(seconds)
        print(f"{'seconds':24}{'before':>10}{'after':>10}{'ratio':>8}")
        for part in dict.fromkeys(part for part, _ in seen):
            before, after = (median(seen.get((part, name), [0.0])) for name in packages)
            print(f"{part:24}{before:10.1f}{after:10.1f}{after / before if before else 0:8.2f}")


def package(source: Path, target: Path) -> Path:
    """The three folders as they are installed."""
    shutil.copytree(source / "harness", target / "coreheads")
    for name in ("adapters", "tasks"):
        shutil.copytree(source / name, target / "coreheads" / name)
    return target


def timed(path: Path, out: Path, arguments: Sequence[str]) -> dict[str, float]:
    """Wall and CPU seconds of a whole run, and the wall seconds of its parts."""
    started, spent = time.monotonic(), cpu()
    command = [sys.executable, "-c", RUN, "run", *arguments, "--out", str(out), "--quiet"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(path)}, cwd=path)
    found = {"whole run, wall": time.monotonic() - started, "whole run, CPU": cpu() - spent}
    for line in json.loads((out / "costs.json").read_text())["spent"]:
        of = line["task"].removeprefix("coreheads_mini_") if line["kind"] in ("answer", "time") else ""
        part = f"{line['kind']} {of}".strip()
        found[part] = found.get(part, 0.0) + line["seconds"]
    return found


def cpu() -> float:
    """Seconds that finished children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
