"""MLVU's test set as a task: as the dev set, with six options; published as archives on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mlvu import data
from coreheads.tasks.mlvu.task import *  # noqa: F403


def archives(options: Mapping[str, Any]) -> list[str]:
    """The published archive, in parts, and the files that stand beside it."""
    return [data.QUESTIONS, data.ANSWERS, "MLVU_Test/test_video"]
