"""leaderboard.{json,csv,md,html} and figures, from the stored cells of one run or several."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coreheads import example_files
from coreheads.environment import versions
from coreheads.errors import UserError
from coreheads.files import write_json, write_text
from coreheads.profile import HeadProfile
from coreheads.rows import Row, build_rows
from coreheads.run_folder import RunFolder

SCHEMA_VERSION = 1


def build(runs: Sequence[RunFolder]) -> dict[str, Any]:
    """The content of leaderboard.json: rows, and what is known of the runs and heads behind them.

    Raises UserError where no cell is finished, or two runs of one name are merged.
    """
    names = [run.path.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise UserError(f"runs: two folders are called {max(names, key=names.count)!r}, expected distinct names")
    rows = [row for run in runs for row in build_rows(run)]
    if not rows:
        raise UserError(f"{', '.join(str(run.path) for run in runs)}: no finished cell, nothing to rank")
    return {
        "schema_version": SCHEMA_VERSION,
        "rows": rows,
        "runs": [_about(run) for run in runs],
        "heads": [summary for run in runs for summary in _heads(run)],
    }


def write(runs: Sequence[RunFolder], out: Path) -> dict[str, Any]:
    """Write all forms of the board into ``out`` and return the content of leaderboard.json."""
    from coreheads import figures, html
    from coreheads.markdown import to_markdown

    board = build(runs)
    write_json(out / "leaderboard.json", board)
    # what is drawn and printed is what was stored: tuples are lists, as for a board that was loaded
    stored: dict[str, Any] = json.loads(json.dumps(board))
    write_text(out / "leaderboard.csv", to_csv(stored["rows"]))
    write_text(out / "leaderboard.md", to_markdown(stored))
    by_name = {run.path.resolve().name: run for run in runs}
    figures.draw(stored, by_name, out / "figures")
    profiles = {
        (s["run"], s["model"]): HeadProfile.load(by_name[s["run"]].heads_path(s["model"])) for s in stored["heads"]
    }
    examples = [example for run in runs for example in example_files.stored(run.path)]
    write_text(out / "leaderboard.html", html.page(stored, profiles, examples))
    return stored


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row; an interval takes two columns (``_low``, ``_high``)."""
    import pandas

    flat = []
    for row in rows:
        line: dict[str, Any] = {}
        for name, value in row.items():
            if name.endswith("_ci"):
                line[f"{name[:-3]}_low"], line[f"{name[:-3]}_high"] = value or (None, None)
            elif name in ("params", "aggregates"):
                line[name] = json.dumps(value)
            elif name != "cells":
                line[name] = value
        flat.append(line)
    text: str = pandas.DataFrame(flat).to_csv(index=False)
    return text


def _about(run: RunFolder) -> dict[str, Any]:
    invocation = run.manifest["invocations"][-1]
    return {
        "name": run.path.resolve().name,
        "command": invocation["command"],
        "started": run.manifest["invocations"][0]["started"],
        "versions": invocation["versions"],
        "revision": invocation["revision"],
        "machine": invocation["machine"],
        "processes": len(run.manifest["invocations"]),
        "board_made_with": versions()["coreheads"],
    }


def _heads(run: RunFolder) -> list[dict[str, Any]]:
    fractions = sorted({c["cell"]["fraction"] for c in run.cells().values() if c["cell"]["selection"] == "top"})
    summaries = []
    for model in run.config["models"]:
        path = run.heads_path(model["name"])
        if not path.exists():
            continue
        profile = HeadProfile.load(path)
        tops = []
        for fraction in fractions or [0.05]:
            chosen = profile.top(fraction)
            tops.append(
                {
                    "fraction": fraction,
                    "count": len(chosen),
                    "share": profile.share(chosen),
                    "layers": sorted({layer for layer, _ in chosen}),
                    "heads": [list(head) for head in sorted(chosen)],
                }
            )
        summaries.append(
            {
                "run": run.path.resolve().name,
                "model": model["name"],
                "id": profile.model["id"],
                "count": profile.count,
                "samples": profile.samples,
                "tasks": list(profile.tasks),
                "split_half": profile.split_half,
                "leaders": _leaders(profile),
                "top": tops,
            }
        )
    return summaries


def _leaders(profile: HeadProfile) -> dict[str, Any] | None:
    """The heads before the widest gap (as a ratio) among the first 20 of the ranking: how many, the RAM of the last
    of them and of the next head. None where there are too few heads or they have no mass."""
    ranked = [float(profile.mean[head]) for head in profile.ranking()[:20]]
    gaps = [before / after for before, after in itertools.pairwise(ranked) if after > 0]
    if not gaps:
        return None
    count = 1 + gaps.index(max(gaps))
    return {"count": count, "least": ranked[count - 1], "next": ranked[count]}
