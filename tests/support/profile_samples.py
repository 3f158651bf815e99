"""Head profiles to test with."""

from __future__ import annotations

from typing import Any

import numpy as np

from coreheads.heads.profile import HeadProfile


def make_profile(mean: Any, kv_heads: int = 1, **changes: Any) -> HeadProfile:
    scores = np.asarray(mean, dtype=np.float64)
    layers, heads = scores.shape
    task = {"split": "profile", "n": 10, "records_hash": "ab12", "mean": scores.tolist(), "skipped": {}}
    fields: dict[str, Any] = {
        "model": {
            "id": "someone/a-model",
            "revision": None,
            "model_type": "qwen3_vl",
            "layers": layers,
            "heads": heads,
            "kv_heads": kv_heads,
        },
        "mean": scores,
        "ci_low": scores - 0.01,
        "ci_high": scores + 0.01,
        "tasks": {"task_0": task},
        "split_half": 0.9,
        "provenance": {"seed": 0, "date": "2026-01-01T00:00:00+00:00", "dtype": "float32", "device": "cpu"},
    }
    return HeadProfile(**{**fields, **changes})


def random_profile(layers: int = 6, heads: int = 16, seed: int = 0, **changes: Any) -> HeadProfile:
    return make_profile(np.random.default_rng(seed).gamma(0.5, 0.05, (layers, heads)), kv_heads=heads // 2, **changes)
