"""A model, a task and a score without weights: what profiles are made of, for tests of how they are made."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch

from coreheads.errors import UserError
from coreheads.regions import Region
from coreheads.retrieval import head_scores as scores

LAYERS, HEADS = 3, 4


class Prompt:
    """Eight vision tokens; a region with a box sees the token at its left edge, one outside sees none."""

    def __init__(self, number: int, query: str) -> None:
        self.number = number
        self.query_tokens = torch.arange(0 if query == "lost" else 2)

    def locate(self, regions: list[Region]) -> torch.Tensor:
        return torch.tensor(
            [int(8 * r.box[0]) for r in regions if r.box is not None and r.box[0] < 1], dtype=torch.long
        )

    def explain(self, regions: list[Region]) -> str:
        return "media 0: the box lies outside the picture"


class Adapter:
    layers, heads, kv_heads = LAYERS, HEADS, 2
    dtype, device, devices = torch.float32, torch.device("cpu"), (torch.device("cpu"),)
    model = types.SimpleNamespace(config=types.SimpleNamespace(_attn_implementation="sdpa"))

    def __init__(self) -> None:
        self.prepared = 0

    def describe(self) -> dict[str, Any]:
        shape = {"layers": LAYERS, "heads": HEADS, "kv_heads": 2}
        return {"id": "stand-in", "revision": None, "model_type": "stand_in", **shape}

    model_type = "stand_in"

    def state_hash(self) -> str:
        return "ab"

    def prepare(self, messages: list[dict[str, Any]], query: str | None = None) -> Prompt:
        self.prepared += 1
        if query == "broken":
            raise UserError("query: 'broken' does not stand in any text")
        return Prompt(int(messages[0]["content"]), query or "")


class Task:
    kind = "rec"
    is_made = True

    def __init__(self, name: str, docs: list[dict[str, Any]]) -> None:
        self.name, self.docs = name, docs

    def check_profile(self, split: str, needing: str | None) -> None:
        assert split == "profile"
        assert needing in ("score stand_in", "score failing_score:score")

    def records(
        self, split: str = "profile", limit: int | None = None, data_root: Any = None, **settings: Any
    ) -> list[dict[str, Any]]:
        assert settings == {"family": "stand_in", "options": None}
        return self.docs[:limit]

    def record_id(self, doc: dict[str, Any]) -> str:
        return f"{self.name}-{doc['number']}"

    def query(self, doc: dict[str, Any]) -> str:
        return str(doc.get("query", "red-star"))

    def messages(self, doc: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": str(doc["number"])}]

    def regions(self, doc: dict[str, Any]) -> list[Region]:
        return [Region(0, (x, 0.0, 1.0, 1.0)) for x in doc.get("at", [0.5])]


def stand_in_score(
    adapter: Any,
    prompt: Prompt,
    regions: list[Region],
    *,
    answer: str | None = None,
    normalization: str | None,
) -> torch.Tensor:
    """Head (l, h) scores l + h / 10, plus noise that depends on the sample alone."""
    noise = torch.rand(LAYERS, HEADS, generator=torch.Generator().manual_seed(prompt.number))
    grid = torch.arange(LAYERS)[:, None] + torch.arange(HEADS)[None] / 10
    return (grid + 0.01 * noise) * (2 if normalization == "lift" else 1)


def name_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``stand_in`` among the scores."""
    module = types.ModuleType("stand_in_scores")
    module.score = stand_in_score  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stand_in_scores", module)
    needs: Any = frozenset({"regions", "query"})
    made = scores.Score("stand_in", "stand_in_scores:score", needs, normalized=True)
    monkeypatch.setitem(scores.SCORES, "stand_in", made)


def docs(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"number": number, **fields} for number in range(count)]


def registry_of(monkeypatch: pytest.MonkeyPatch, *tasks: Task) -> None:
    monkeypatch.setattr("coreheads.tasks.registry.get", {task.name: task for task in tasks}.__getitem__)
