"""Finished runs of five invented models on eight tasks under twenty conditions, as stored records: nothing was
measured, and none of it is to be published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from profile_samples import make_profile

from coreheads.config.cells import Cell
from coreheads.files import write_json
from coreheads.store.folder import RunFolder

MODELS = {f"invented-{size}B": (layers, heads) for size, layers, heads in
          ((1, 12, 8), (2, 16, 8), (4, 20, 16), (8, 28, 16), (32, 40, 32))}  # fmt: skip
"""Layers and heads by name."""
TASKS = (
    "coreheads_refcocog",
    "coreheads_vidstg",
    "coreheads_mmdocir_page",
    "coreheads_mmdocir_layout",
    "coreheads_mmlongbench_doc",
    "coreheads_mmlongbench",
    "coreheads_mlvu_dev",
    "coreheads_mlvu_test",
)
SAMPLES, DRAWN, DRAWS, REPEATS = 24, 8, 3, 10
HYBRID = (("sink", 4), ("window", 64))
BUSY = "cdpruner"
"""The method whose speed is measured as if on a busy machine."""


def conditions() -> list[tuple[dict[str, Any], float, float | None]]:
    """(fields of a cell, score lost, prefill speedup or None): twenty, random draws of a control being one."""
    found: list[tuple[dict[str, Any], float, float | None]] = [({}, 0.0, None)]
    for selection, fraction, lost in (
        ("top", 0.025, 0.5), ("top", 0.05, 0.8), ("top", 0.1, 0.85), ("bottom", 0.05, 0.0), ("bottom", 0.1, 0.02),
        ("random", 0.05, 0.03), ("layer_matched", 0.05, 0.05),
    ):  # fmt: skip
        found.append(({"patch": "ablate", "params": (("mode", "zero"),), "selection": selection, "fraction": fraction},
                      lost, None))  # fmt: skip
    for fraction, lost, fast in ((0.025, 0.12, 3.1), (0.05, 0.03, 2.6), (0.1, 0.0, 2.2), (0.2, 0.0, 1.7)):
        found.append(({"patch": "hybrid", "params": HYBRID, "selection": "top", "fraction": fraction}, lost, fast))
    found.append(({"patch": "hybrid", "params": HYBRID, "selection": "random", "fraction": 0.1}, 0.6, None))
    found.append(({"patch": "hybrid", "params": HYBRID, "selection": "none"}, 0.8, None))
    for patch, budget, lost, fast in (
        ("cdpruner", 0.5, 0.02, 1.6), ("cdpruner", 0.25, 0.09, 2.9), ("dart", 0.5, 0.08, 1.9), ("dart", 0.25, 0.2, 3.5),
    ):  # fmt: skip
        found.append(({"patch": patch, "budget": budget, "budget_of": "flops"}, lost, fast))
    found.append(({"patch": "snapkv", "budget": 0.25, "budget_of": "kv"}, 0.04, 0.95))
    both = {"patch": "hybrid", "params": HYBRID, "selection": "top", "fraction": 0.1, "on": (BUSY, (("keep", 0.5),))}
    return [*found, (both, 0.03, 4.1)]


def write(folder: Path, models: int = 5, tasks: int = 8) -> list[RunFolder]:
    """A run folder for each model, every line of it as ``coreheads run`` would have written it."""
    return [_run(folder / name, name, number, TASKS[:tasks]) for number, name in enumerate([*MODELS][:models])]


def _run(path: Path, model: str, number: int, tasks: tuple[str, ...]) -> RunFolder:
    machine = {"device": "cuda:0", "name": "an invented GPU", "system": "an invented system", "cores": 8}
    session = {"started": f"2026-01-0{number + 1}T00:00:00+00:00", "command": f"coreheads run {model}.yaml"}
    session |= {"versions": {"coreheads": "0"}, "revision": None, "machine": machine}
    config = {"models": [{"id": f"nobody/{model}", "name": model}], "device": "cuda:0"}
    manifest: Any = {"schema_version": 1, "config": config, "invocations": [session]}
    write_json(path / "manifest.json", manifest)
    rng = np.random.default_rng(number)
    lines: dict[str, list[dict[str, Any]]] = {"cells": [], "timings": []}
    _heads(path / "heads" / f"{model}.json", model, number)
    (path / "samples").mkdir()
    for place, task in enumerate(tasks):
        for fields, lost, fast in conditions():
            for cell in _cells(fields, model, task, fast is not None):
                samples = list(_samples(cell, 0.9 - 0.03 * (place % 4) - 0.01 * (4 - number), lost, fast or 1.0, rng))
                text = "".join(json.dumps(sample) + "\n" for sample in samples)
                (path / "samples" / f"{cell.name}.jsonl").write_text(text)
                lines["cells"].append(_result(cell, samples))
                if fast is not None:
                    lines["timings"].append(_timing(cell, fast * (1 + 0.03 * number), 4096 * (1 + place), rng))
    for name, found in lines.items():
        (path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in found))
    return RunFolder.load(path)


def _cells(fields: dict[str, Any], model: str, task: str, timed: bool) -> Iterator[Cell]:
    drawn = fields.get("selection") in ("random", "layer_matched")
    for draw in range(DRAWS) if drawn else (None,):
        more = {} if draw is None else {"draw": draw, "seed": draw, "limit": DRAWN}
        yield Cell(
            **{"model": model, "task": task, "within": SAMPLES, "limit": SAMPLES, "timed": timed, **fields, **more}
        )


def _samples(cell: Cell, right: float, lost: float, fast: float, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """The hardest questions are lost first, so that rows differ by method and not by luck alone."""
    offset, count = cell.span(SAMPLES)
    for index in range(offset, offset + count):
        score = float((index + 0.5) / SAMPLES + rng.normal(0, 0.01) < right * (1 - lost))
        share = 1.0 if cell.patch in ("none", "ablate", "snapkv") else cell.budget or round(1 / fast, 3)
        kept = 0.25 if cell.patch == "snapkv" else share
        yield {"schema_version": 1, "record_id": f"r{index}", "response": "yes" if score else "no", "score": score,
               "scores": {"accuracy": score}, "prompt_tokens": 4000 + index, "margin": 2.0, "matrix_ratio": share,
               "pairs_ratio": share, "flops_ratio": share, "kv_ratio": kept}  # fmt: skip


def _result(cell: Cell, samples: list[dict[str, Any]]) -> dict[str, Any]:
    score = float(np.mean([sample["score"] for sample in samples]))
    found = {"schema_version": 1, "name": cell.name, "cell": cell.to_json(), "metric": "accuracy", "n": len(samples)}
    found |= {"heads": [[1, 0]] if cell.selection not in (None, "none") else [], "score": score, "seconds": 1.0}
    return found | {"tokens_median": 4012, "question": "unseen" if cell.patch == "snapkv" else None}


def _timing(cell: Cell, fast: float, tokens: int, rng: np.random.Generator) -> dict[str, Any]:
    spread = 0.5 if cell.patch == BUSY else 0.02
    times = {}
    for name, factor in (("dense", 1.0), ("patched", 1 / fast), ("ceiling", 0.8 / fast)):
        if name == "ceiling" and cell.patch != "hybrid":
            continue
        # the dense times are those of the whole measurement
        drawn = rng.uniform(0, spread, REPEATS) if name == "patched" else np.linspace(0, 0.02, REPEATS)
        prefill = [factor * (1 + float(value)) for value in drawn]
        times[name] = {"preprocess": [0.05] * REPEATS, "vision": [0.1] * REPEATS, "prefill": prefill}
        times[name]["decode"] = [0.01] * REPEATS
    found = {"schema_version": 1, "name": cell.name, "cell": cell.to_json(), "device": "an invented GPU"}
    found |= {"prompt_tokens": tokens, "decode_tokens": 8, "repeats": REPEATS, "dense_kernel": "sdpa", "times": times}
    return found | {"kv_bytes_ratio": 1 / fast, "peak_memory_ratio": None}


def _heads(path: Path, model: str, number: int) -> None:
    """A tenth of the heads read; the larger the model, the later they sit."""
    layers, heads = MODELS[model]
    rng = np.random.default_rng(number)
    mean = rng.uniform(0.001, 0.01, (layers, heads))
    count = max(2, round(0.05 * mean.size))
    for place in range(count):
        layer = int(np.clip(rng.normal((0.45 + 0.07 * number) * (layers - 1), 1.5), 0, layers - 1))
        mean[layer, place % heads] = rng.uniform(0.4, 0.9)
    identity = {"id": f"nobody/{model}", "revision": None, "model_type": "qwen3_vl", "layers": layers, "heads": heads}
    shared = [0.9] * mean.size
    make_profile(
        mean, model=identity | {"kv_heads": heads // 2}, ci_low=mean * 0.9, ci_high=mean * 1.1, split_half_shared=shared
    ).save(path)
