"""Runs small enough for tests: a random-weight model on a few mini records, and run folders written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from coreheads.config.cells import Cell
from coreheads.files import read_json, read_jsonl, write_json
from coreheads.heads.profile import HeadProfile
from coreheads.store.folder import RunFolder
from coreheads.store.samples import SampleFile
from coreheads.store.schema import CellResult

REC, PAGE = "coreheads_mini_refcocog", "coreheads_mini_mmdocir"
SIZE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4}


def save_model(folder: Path) -> Path:
    """A checkpoint with random weights, loadable like any other."""
    from coreheads.adapters.tiny.model import build_model
    from coreheads.adapters.tiny.processor import build_processor

    build_model(**SIZE).save_pretrained(folder)
    build_processor().save_pretrained(folder)
    return folder


def make_data(folder: Path) -> Path:
    """A data root with a few records of two mini tasks."""
    from coreheads.tasks.mini.data import ensure
    from coreheads.tasks.mini.sizes import Sizes

    sizes = Sizes(refcocog=(4, 8), mmdocir=(4, 8))
    return ensure(["refcocog", "mmdocir"], sizes=sizes, cache=folder)


def config(model: Path, data: Path, out: Path) -> dict[str, Any]:
    """Ten cells on two tasks."""
    return {
        "models": [{"id": str(model), "name": "small"}],
        "data_root": str(data),
        "profile": {"tasks": [REC], "samples": 3},
        "evaluate": {"tasks": [REC, PAGE], "limit": 4, "draws": 2, "draw_limit": 2, "batch_size": 2},
        "cells": [
            {"patch": "ablate", "selections": ["top"], "fractions": [0.25]},
            {"patch": "ablate", "selections": ["random"], "fractions": [0.25]},
            {
                "patch": "hybrid",
                "params": {"sink": 4, "window": 32},
                "selections": ["top"],
                "fractions": [0.25],
                "timed": True,
            },
        ],
        "timing": {"tasks": [REC], "decode_tokens": 2},
        "out": str(out),
    }


def write_config(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
    return path


MEAN = [[0.9, 0.1, 0.05, 0.01], [0.02, 0.8, 0.03, 0.04]]
"""RAM of a made-up model of 2 x 4 heads: L0H0 and L1H1 lead."""


def profile(mean: list[list[float]] = MEAN) -> HeadProfile:
    layers, heads = len(mean), len(mean[0])
    identity = {"id": "made-up", "revision": None, "model_type": "qwen3_vl", "layers": layers, "heads": heads}
    return HeadProfile(model={**identity, "kv_heads": 2}, mean=mean, ci_low=mean, ci_high=mean)  # type: ignore[arg-type, typeddict-item]


def scores(cell: Cell, count: int) -> dict[str, float]:
    """Dense and hybrid top are right 9 times of 10, ablate top never, everything else as dense."""
    broken = (cell.patch, cell.selection) in (("ablate", "top"), ("hybrid", "none"))
    return {f"r{index}": 0.0 if broken or index % 10 == 3 else 1.0 for index in range(count)}


def fake_run(path: Path, speedup: float = 2.0, drop: Mapping[str, int] | None = None) -> RunFolder:
    """A finished run written by hand: 2 tasks, dense, ablate top / random (3 draws), hybrid top (timed) / none.

    drop: how many right answers to make wrong, by cell name.
    """
    models = [{"id": "made-up", "name": "made-up"}]
    session = {
        "started": "2026-01-01T00:00:00+00:00",
        "command": "coreheads run <script>alert(1)</script>",
        "versions": {"coreheads": "0"},
        "revision": None,
        "machine": {"device": "cpu", "name": "a <b>CPU</b>, 2 threads", "system": "x", "cores": 2},
    }
    manifest = {"schema_version": 1, "config": {"models": models, "device": "cpu"}, "invocations": [session]}
    write_json(path / "manifest.json", manifest)
    run = RunFolder(path, manifest)
    profile().save(run.heads_path("made-up"))
    for task in ("short | task", "long_task"):
        common: dict[str, Any] = {"model": "made-up", "task": task}
        cells = [Cell(**common), Cell(**common, patch="ablate", selection="top", fraction=0.25)]
        for draw in range(3):
            cells.append(Cell(**common, patch="ablate", selection="random", fraction=0.25, draw=draw, seed=draw))
        cells.append(Cell(**common, patch="hybrid", selection="top", fraction=0.25, timed=True))
        cells.append(Cell(**common, patch="hybrid", selection="none"))
        for cell in cells:
            store = SampleFile(path / "samples" / f"{cell.name}.jsonl")
            values = scores(cell, 20)
            for key in [key for key, value in values.items() if value == 1][: (drop or {}).get(cell.name, 0)]:
                values[key] = 0.0
            for key, value in values.items():
                answer = "</script><script>" if value else "no | idea <b>"
                store.add(key, answer, value, {"accuracy": value}, 100, margin=2.0)
            heads = [] if cell.selection in (None, "none") else [[0, 0], [1, 1]]
            score = sum(values.values()) / 20
            result: CellResult = {"metric": "accuracy", "n": 20, "score": score, "seconds": 1.0, "tokens_median": 100}
            run.finish_cell(cell, heads, result)
            if cell.timed:
                run.finish_timing([timing(cell, speedup)])
    return run


def timing(cell: Cell, speedup: float) -> Any:
    """Ten repeats: dense prefill takes about 1 s."""
    times = {}
    for name, factor in (("dense", 1.0), ("patched", 1 / speedup), ("ceiling", 1 / (2 * speedup))):
        prefill = [factor * (1 + 0.01 * repeat) for repeat in range(10)]
        times[name] = {"preprocess": [0.1] * 10, "vision": [0.1] * 10, "prefill": prefill, "decode": [0.01] * 10}
    return {
        "schema_version": 1,
        "name": cell.name,
        "cell": cell.to_json(),
        "device": "a CPU",
        "prompt_tokens": 100,
        "decode_tokens": 8,
        "repeats": 10,
        "dense_kernel": "sdpa",
        "kv_bytes_ratio": 0.5,
        "peak_memory_ratio": None,
        "times": times,
    }


def rows_without_times(folder: Path) -> list[dict[str, Any]]:
    """A board's rows without what is measured in seconds, the pairs that kernels were given (they compute in blocks,
    which depend on the batch), and the name of the folder."""
    timed = ("pairs_ratio", "flops_ratio", "_ms", "_speedup", "_speedup_ci", "_per_token")
    timed += ("ceiling", "ceiling_share", "dense_kernel", "run")
    rows = read_json(folder / "leaderboard.json")["rows"]
    return [{name: value for name, value in row.items() if not name.endswith(timed)} for row in rows]


def answers(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All lines of samples by cell, without what their batch had a part in: the pairs that kernels were given."""
    of_batch = ("pairs_ratio", "flops_ratio")
    return {
        path.stem: [{name: value for name, value in line.items() if name not in of_batch} for line in read_jsonl(path)]
        for path in sorted((folder / "samples").iterdir())
    }


def append_half_line(path: Path) -> None:
    """What a process killed in the middle of a write leaves."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"schema_version": 1, "record_id": "te')


def change_manifest(run: RunFolder, **changes: Any) -> RunFolder:
    """Another start, command or machine of the last process, or (``config``) other settings."""
    manifest = read_json(run.path / "manifest.json")
    manifest["config"] |= changes.pop("config", {})
    manifest["invocations"][-1] |= changes
    write_json(run.path / "manifest.json", manifest)
    return RunFolder.load(run.path)


def on(run: RunFolder, device: str) -> RunFolder:
    """The run as if it had been made on another machine."""
    path = run.path / "timings.jsonl"
    path.write_text("".join(json.dumps(json.loads(line) | {"device": device}) + "\n" for line in path.open()))
    return change_manifest(run, machine={"device": "cpu", "name": device, "system": "x", "cores": 2})
