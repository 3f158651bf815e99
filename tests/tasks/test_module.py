"""Every benchmark's module offers what the protocol asks for, under the protocol's own signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, get_type_hints

import pytest

from coreheads.tasks import registry
from coreheads.tasks.module import OptionalFunctions, TaskModule, load

MODULES = sorted({registry.get(name).module for name in registry.names()})


def functions(protocol: type) -> Mapping[str, Callable[..., Any]]:
    return {name: value for name, value in vars(protocol).items() if inspect.isfunction(value) and name[0] != "_"}


REQUIRED, OPTIONAL = functions(TaskModule), functions(OptionalFunctions)


def signature(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameters in order with their types, and the result's; a protocol's method without self."""
    hints = get_type_hints(function)
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    return {name: hints[name] for name in [*names, "return"]}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_what_is_asked_for(name: str) -> None:
    module = vars(import_module(name))
    assert set(REQUIRED) == {"expected", "records", "messages", "query", "regions", "target", "scores"}
    for function, asked in (REQUIRED | OPTIONAL).items():
        if function not in module:
            assert function in OPTIONAL
            continue
        own, protocol = signature(module[function]), signature(asked)
        result, wanted = own.pop("return"), protocol.pop("return")
        assert list(own.items()) == list(protocol.items()), function
        assert result == wanted or (result, wanted) == (str, str | None), function


@pytest.mark.parametrize("name", registry.names())
def test_a_task_with_aggregates_has_what_computes_them(name: str) -> None:
    task = registry.get(name)
    module = vars(import_module(task.module))
    for function in ("details", "aggregate"):
        assert (function in module) == bool(task.aggregates)


def test_what_a_module_leaves_out_has_a_default_and_what_it_must_have_has_none() -> None:
    loaded = load("coreheads.tasks.refcocog.task")
    assert loaded.query({"expression": "the red mug"}) == "the red mug"
    assert loaded.problems({}) == loaded.archives({}) == []
    assert loaded.variant({}) is None
    assert loaded.details({}, "an answer", {"iou": 1.0}) == loaded.aggregate([]) == {}


def test_a_module_without_a_required_function_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = ModuleType("half_a_task")
    module.query = lambda doc: "what"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "half_a_task", module)
    assert load("half_a_task").query({}) == "what"
    with pytest.raises(AttributeError, match="scores"):
        load("half_a_task").scores({}, "")
