"""Boards to make pages of: hostile names, a large one, odd ones."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from profile_samples import random_profile

from coreheads.heads.profile import HeadProfile
from coreheads.leaderboard import overall
from coreheads.report import claims, columns
from coreheads.report.html import page as html
from coreheads.store.board import Overall, Row


def packed(page: str, name: str) -> Any:
    """What the page holds compressed under this id."""
    return json.loads(gzip.decompress(base64.b64decode(page.split(f'id="{name}">')[1].partition("<")[0])))


EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def row(**values: Any) -> dict[str, Any]:
    """A dense row with every field; give what differs."""
    base: dict[str, Any] = dict.fromkeys(Row.__annotations__)
    base |= {"model": "a model", "task": "a task", "patch": "none", "params": {}, "n": 100, "score": 0.9, "heads": 0}
    base |= {"score_ci": [0.85, 0.95], "tokens_median": 500, "device": "a GPU", "metric": "accuracy", "run": "run"}
    return base | {"cells": ["cell"], "unscored": 0} | values


def speed(speedup: float, **values: Any) -> dict[str, Any]:
    """The speed fields of a row."""
    measured = {"prefill_ms": 100 / speedup, "prefill_speedup": speedup, "decode_ms_per_token": 5.0}
    measured |= {"decode_speedup": 1.0, "end_to_end_speedup": 1.0, "timed_tokens": 4096, "dense_kernel": "sdpa"}
    if speedup != 1:
        measured |= {"prefill_speedup_ci": [0.95 * speedup, 1.05 * speedup], "ceiling": 1.5 * speedup}
    return measured | values


def rows(**common: Any) -> list[dict[str, Any]]:
    """Twenty conditions of one model and task, as a run has them; scores of one and two digits before the point."""
    found = [row(**common, **speed(1.0))]
    for place, selection in enumerate(("top", "bottom", "random", "layer_matched")):
        for step, fraction in enumerate((0.025, 0.05, 0.1)):
            score = 0.9 - 0.05 * step - (0.5 if selection == "top" else 0.01 * place)
            values = {"score": score, "score_ci": [score - 0.05, score + 0.04], "delta": score - 0.9, "p_value": 0.01}
            values |= {"patch": "ablate", "params": {"mode": "zero"}, "selection": selection, "fraction": fraction}
            found.append(row(**common, **values, heads=1 + step))
    for step, fraction in enumerate((0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.4)):
        values = {"patch": "hybrid", "params": {"sink": 4, "window": 64}, "selection": "top", "fraction": fraction}
        values |= {"score": 0.5 + 0.05 * step, "score_ci": [0.45 + 0.05 * step, 0.55 + 0.05 * step]}
        found.append(row(**common, **values, heads=1 + step, **speed(3.2 - 0.3 * step)))
    return found


def board(rows: list[dict[str, Any]], profiles: Mapping[str, HeadProfile] | None = None, **more: Any) -> dict[str, Any]:
    """What leaderboard.json holds, for these rows; ``profiles`` by model, of the run called run."""
    about = {"name": "run", "command": "coreheads run", "started": "2026-01-01T00:00:00+00:00", "revision": None}
    about |= {"versions": {"coreheads": "0"}, "machine": {"device": "cpu", "name": "a CPU", "system": "x"}}
    heads = []
    for model, profile in (profiles or {}).items():
        chosen = profile.top(0.05)
        layers = sorted({layer for layer, _ in chosen})
        top = {"fraction": 0.05, "count": len(chosen), "share": profile.share(chosen), "layers": layers}
        summary = {"run": "run", "model": model, "id": model, "count": profile.count, "samples": 10}
        heads.append(summary | {"split_half": 0.9, "top": [top], "tasks": [], "clear": None})
    return {
        "schema_version": 1,
        "rows": rows,
        "runs": [about],
        "heads": heads,
        "failed": [],
        "left_out": [],
        "remarks": [],
    } | more


def write(
    folder: Path,
    content: dict[str, Any],
    profiles: Mapping[str, HeadProfile] | None = None,
    places: Mapping[str, str] | None = None,
) -> Path:
    """The page of a board, on disk."""
    path = folder / "leaderboard.html"
    known = {("run", model): profile for model, profile in (profiles or {}).items()}
    path.write_text(html.page(content, known, places=places))
    return path


def large(folder: Path) -> Path:
    """5 models x 8 tasks x 20 conditions, with 64 x 64 heads each."""
    models = [f"organisation/a-model-with-a-long-name-{number}B" for number in range(5)]
    profiles = {model: random_profile(64, 64, seed) for seed, model in enumerate(models)}
    found = []
    for place, model in enumerate(models):
        for task in range(8):
            mine = rows(model=model, task=f"coreheads_benchmark_{task}")
            for line in mine:
                line["score"] -= 0.04 * place
                line["score_ci"] = [bound - 0.04 * place for bound in line["score_ci"]]
            found += mine
    return write(folder, board(found, profiles), profiles)


METHODS = {
    "cdpruner": 0.02, "dart": 0.05, "evs": 0.2, "fastv": 0.12, "pyramiddrop": 0.1, "random": 0.16, "resolution": 0.14,
    "stride": 0.17, "vidcom2": 0.07, "visionzip": 0.06, "snapkv": 0.03, "adakv": 0.025,
}  # fmt: skip
"""Made-up losses of rivals at a quarter of the work."""
BUDGETS = (0.75, 0.5, 0.35, 0.25, 0.15)


def rivals(models: tuple[str, ...] = ("a model",), tasks: int = 5) -> dict[str, Any]:
    """A board of a dozen methods beside hybrid attention, alone and on another, at five budgets on five tasks."""
    found = []
    for model in models:
        for task in range(tasks):
            common: dict[str, Any] = {"model": model, "task": f"coreheads_task_{task}", "kv_ratio": 1.0, "n": 64}
            found.append(row(**common, **speed(1.0), flops_ratio=1.0))
            for share in BUDGETS:
                for name, loss in METHODS.items():
                    found += _rival(name, loss * (0.25 / share) * (1 + task) / 4, share, common)
                values: dict[str, Any] = {"patch": "hybrid", "params": {}, "selection": "top", "fraction": share / 4}
                for below in (None, {"patch": "cdpruner", "params": {"keep": 0.5}}):
                    lost, fast = 0.01 / share * (2 if below else 1), 1 / (0.4 + share / 2) * (1.5 if below else 1)
                    counted = {"score": 0.9 - lost, "score_ci": [0.85 - lost, 0.95 - lost], "delta": -lost, "on": below}
                    counted |= {"delta_ci": [-lost - 0.02, -lost + 0.02], "loyalty": 1 - lost, "flops_ratio": 1 / fast}
                    found.append(row(**common | values | counted, **speed(fast, end_to_end_speedup=fast**0.7)))
    ranked = _ranked(found)
    return board(found, overall=ranked, best=list(overall.best(found, ranked)), claims=claims.claims(found, []))  # type: ignore[arg-type]


def _rival(name: str, loss: float, share: float, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    evicts = name in ("snapkv", "adakv")
    fast = 0.98 if evicts else 1 / (0.15 + 0.9 * share)
    values: dict[str, Any] = {"patch": name, "params": {}, "budget": share, "budget_of": "kv" if evicts else "flops"}
    values |= speed(fast, end_to_end_speedup=fast**0.5, select_ms=3.5, ceiling=None)
    if name == "evs":
        values["prefill_speedup_ci"] = [0.6 * fast, 1.4 * fast]
    values |= {"flops_ratio": 1.0 if evicts else share, "kv_ratio": share, "loyalty": 1 - loss}
    lines = []
    for question in ("seen", "unseen") if evicts else (None,):
        lost = loss * (3 if question == "unseen" else 1)
        score = {"score": 0.9 - lost, "score_ci": [0.86 - lost, 0.94 - lost], "delta": -lost, "question": question}
        lines.append(row(**common | values | score | {"delta_ci": [-lost - 0.02, -lost + 0.02]}))
    return lines


def _ranked(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ranking of rows that no run folder lies behind: intervals are those of the first task."""
    groups: dict[tuple[str, ...], list[Any]] = {}
    for line in found:
        groups.setdefault((line["model"], columns.condition_label(line), str(line["question"])), []).append(line)  # type: ignore[arg-type]
    ranked = []
    for (model, condition, _), lines in groups.items():
        first, tasks = lines[0], [line["task"] for line in lines]
        entry = {name: first.get(name) for name in Overall.__annotations__}
        entry |= {"condition": condition, "method": columns.method(first), "tasks": tasks, "timed_tasks": tasks}
        for name in ("score", "loyalty", "select_ms"):
            known = [line[name] for line in lines if line[name] is not None]
            entry[name] = sum(known) / len(known) if known else None
        entry["delta"] = sum(line["delta"] or 0 for line in lines) / len(lines) if first["patch"] != "none" else None
        for name, width in (("score", 0.02), ("delta", 0.015)):
            if entry[name] is not None:
                entry[f"{name}_ci"] = [entry[name] - width, entry[name] + width]
        ranked.append(entry | {"model": model, "kv": first["kv_ratio"], "work": first["flops_ratio"]})
    ranked.sort(key=overall.standing)
    return [entry | {"rank": place} for place, entry in enumerate(ranked, 1)]


def hostile(folder: Path) -> Path:
    """Markup wherever text comes from a model, a record or a user."""
    found = rows(model=f"model {EVIL}", task=f"task {EVIL}", metric=EVIL, device=EVIL, run=EVIL, variant=EVIL)
    for line in found[3:5]:
        line |= {"note": EVIL, "unscored": 2, "unscored_example": EVIL, "aggregates": {EVIL: 0.5}}
    found.append(row(model=f"model {EVIL}", task=f"task {EVIL}", patch=EVIL, selection=EVIL, fraction=0.1, run=EVIL))
    profiles = {f"model {EVIL}": random_profile(4, 8, provenance={"command": EVIL})}
    failed = [{"run": EVIL, "model": EVIL, "task": EVIL, "what": EVIL, "reason": EVIL}]
    left_out = [{"run": EVIL, "what": EVIL, "reason": EVIL}]
    content = board(found, profiles, failed=failed, left_out=left_out, remarks=[EVIL])
    content["runs"][0] |= {"name": EVIL, "command": f"coreheads run '{EVIL}'", "revision": EVIL}
    return write(folder, content, profiles)


ODD: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "one row": [row()],
    "nothing timed": [row(), row(patch="ablate", params={"mode": "zero"}, selection="top", fraction=0.05, score=0.1)],
    "no dense row": rows()[1:],
    "scores that are no shares": [
        row(score=-3.5, score_ci=[-4.0, -3.0], **speed(1.0)),
        row(score=17.0, patch="hybrid", params={}, selection="top", fraction=0.1, **speed(2.0)),
    ],
    "no intervals": [line | {"score_ci": None, "prefill_speedup_ci": None, "ceiling": None} for line in rows()],
    "many models": [line for n in range(60) for line in (row(model=f"model {n} " + "long-name-" * 9),)],
    "any script": rows(model="모델 ٭ نموذج עברית", task="مهمة 📄", metric="точность", device="设备"),
    "unknown device and metric": [row(device=None, metric=None, **speed(1.0, timed_tokens=None))],
    "another patch": [row(patch="merge", params={}, selection="mine", fraction=0.1, **speed(1.2))],
}  # fmt: skip
"""Rows by what is odd about them."""
