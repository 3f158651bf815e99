"""The embedded model: a small Qwen3-VL that was really trained to find things in pictures, pages and videos."""

from __future__ import annotations

from pathlib import Path


def checkpoint_path() -> Path:
    """The folder of the shipped checkpoint; it loads like any hub checkpoint."""
    return Path(__file__).parent / "checkpoint"
