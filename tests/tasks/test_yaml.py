"""Our YAML files say what the registry says, and clash with no name of lmms-eval's own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from coreheads.tasks import registry


class Loader(yaml.SafeLoader):
    """Reads !function tags as their text."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def content(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(registry.get(name).yaml.read_text(), Loader)
    return loaded


@pytest.mark.parametrize("name", registry.names())
def test_yaml_and_registry_agree(name: str) -> None:
    task, found = registry.get(name), content(name)
    assert found["task"] == name
    assert found["class"] == "coreheads.tasks.lmms.BenchmarkTask"
    metrics = [entry["metric"] for entry in found["metric_list"]]
    assert set(metrics) == {*task.metrics, *task.aggregates}
    assert metrics[0] == task.metric
    for entry in found["metric_list"]:
        assert (entry["aggregation"] == "mean") == (entry["metric"] in task.metrics)
        assert entry["higher_is_better"] == (entry["metric"] not in ("unparsed", "area"))
    settings = {key: value for key, value in found["dataset_kwargs"].items() if key not in ("split", "data_root")}
    assert settings == {
        key: list(value) if isinstance(value, tuple) else value for key, value in task.settings().items()
    }
    assert found["dataset_kwargs"]["split"] in task.splits
    assert ("lmms_eval_specific_kwargs" in found) == task.by_family


def test_every_yaml_is_a_task_and_every_task_has_a_page() -> None:
    assert {path.stem for path in registry.path().rglob("*.yaml")} == set(registry.names())
    for name in registry.names():
        assert (registry.get(name).folder / "README.md").is_file()


def test_names_and_families_are_lmms_evals() -> None:
    """No task of ours has a name of lmms-eval's, which would win; every model we name is one of lmms-eval's."""
    from lmms_eval.models import AVAILABLE_CHAT_TEMPLATE_MODELS, AVAILABLE_SIMPLE_MODELS
    from lmms_eval.tasks import TaskManager

    built_in = set(TaskManager("ERROR").all_tasks)
    assert not built_in & set(registry.names())
    known = {*AVAILABLE_SIMPLE_MODELS, *AVAILABLE_CHAT_TEMPLATE_MODELS, "default"}
    for name in registry.names():
        assert set(content(name).get("lmms_eval_specific_kwargs", {})) <= known
