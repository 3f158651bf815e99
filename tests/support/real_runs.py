"""Runs on MLVU's published layout, small enough for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import small_run

from coreheads.cli import main

DEV = "coreheads_mlvu_dev"


def config(model: Path, root: Path, out: Path, **changes: Any) -> dict[str, Any]:
    return {
        "models": [{"id": str(model), "name": "small", "settings": {"max_frames": 4}}],
        "data_root": str(root),
        "evaluate": {"tasks": [DEV], "batch_size": 2},
        "cells": [{"patch": "hybrid", "selections": ["none"], "params": {"sink": 4, "window": 32}}],
        "timing": {"tasks": []},
        "out": str(out),
        **changes,
    }


def run(tmp_path: Path, content: dict[str, Any], *more: str) -> int:
    return main(["run", str(small_run.write_config(tmp_path / "config.yaml", content)), "--quiet", *more])
