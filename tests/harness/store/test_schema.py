"""What is stored is declared once: every field is explained, and a line that is not as declared is refused."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType
from typing import Any

import pytest

from coreheads.errors import UserError
from coreheads.store import board, condition, judged, provenance, row, schema
from coreheads.store.schema import SampleRecord
from coreheads.store.validation import checked

SAMPLE = {"schema_version": 1, "record_id": "a", "response": "x", "score": 1, "prompt_tokens": 1}


@pytest.mark.parametrize("module", [board, condition, judged, provenance, row, schema])
def test_every_field_is_explained(module: ModuleType) -> None:
    classes = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)]
    assert classes
    for body in (node.body for node in classes):
        for field, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), ast.unparse(field)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"score": float("nan")}, "score is nan, expected a finite number"),
        ({"prompt_tokens": "1"}, "prompt_tokens is '1', expected a valid integer"),
        ({"prompt_tokens": -1}, "prompt_tokens is -1, expected greater than or equal to 0"),
        ({"scores": {"f1": "high"}}, "scores.f1 is 'high', expected a valid number"),
        ({"schema_version": 2}, "schema_version is 2, this version reads 1"),
    ],
)
def test_a_line_that_is_not_as_declared_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(SampleRecord, SAMPLE | changes, "f: line 1", "a sample")
    assert str(caught.value) == f"f: line 1: {fault}"


def test_other_fields_may_stand_beside_those_that_are_declared() -> None:
    line = SAMPLE | {"later": "version"}
    assert checked(SampleRecord, line, "f: line 1", "a sample") is line
    with pytest.raises(
        UserError, match="f: schema_version is missing, expected a history written by coreheads publish"
    ):
        checked(provenance.History, {"publications": []}, "f", "a history", "publish")
    with pytest.raises(UserError, match="f is a list, expected a sample written by coreheads run"):
        checked(SampleRecord, [], "f", "a sample")
