"""Our YAML files say what the registry says, and clash with no name of lmms-eval's own."""

from __future__ import annotations

from typing import Any

import pytest

from coreheads.tasks import registry


def content(name: str) -> dict[str, Any]:
    """A task's YAML with all that it includes, as lmms-eval reads it."""
    from lmms_eval.utils import load_yaml_config

    loaded: dict[str, Any] = load_yaml_config(str(registry.get(name).yaml))
    return loaded


@pytest.mark.parametrize("name", registry.names())
def test_yaml_and_registry_agree(name: str) -> None:
    from coreheads.tasks.lmms import BenchmarkTask

    task, found = registry.get(name), content(name)
    assert set(found) - {"lmms_eval_specific_kwargs"} == {
        "task", "class", "dataset_kwargs", "test_split", "output_type", "generation_kwargs", "metadata"
    }  # fmt: skip
    assert found["task"] == name
    assert found["class"] is BenchmarkTask
    assert found["output_type"] == "generate_until"
    assert set(found["generation_kwargs"]) == {"max_new_tokens", "do_sample", "until"}
    # the printed documents' answers end a sentence that the prompt begins
    assert found["generation_kwargs"]["until"] == (["\n", "."] if task.folder.name == "smol" else [])
    settings = {key: value for key, value in found["dataset_kwargs"].items() if key not in ("split", "data_root")}
    assert settings == {
        key: list(value) if isinstance(value, tuple) else value for key, value in task.settings().items()
    }
    assert found["dataset_kwargs"]["split"] in task.splits
    assert ("lmms_eval_specific_kwargs" in found) == task.by_family


@pytest.mark.parametrize("name", registry.names())
def test_lmms_evals_metrics_are_the_registrys(name: str) -> None:
    from coreheads.tasks.lmms import metric_list

    task = registry.get(name)
    metrics = metric_list(task)
    assert [entry["metric"] for entry in metrics] == [*task.metrics, *task.aggregates]
    for entry in metrics:
        assert (entry["aggregation"] == "mean") == (entry["metric"] in task.metrics)
        assert entry["higher_is_better"] == (entry["metric"] not in ("unparsed", "area"))


def test_every_yaml_is_a_task_and_every_task_has_a_page() -> None:
    assert {path.stem for path in registry.path().rglob("*.yaml")} == set(registry.names())
    for name in registry.names():
        assert (registry.get(name).folder / "README.md").is_file()


@pytest.mark.slow
def test_names_and_families_are_lmms_evals() -> None:
    """No task of ours has a name of lmms-eval's, which would win; every model we name is one of lmms-eval's."""
    from lmms_eval.models import AVAILABLE_CHAT_TEMPLATE_MODELS, AVAILABLE_SIMPLE_MODELS
    from lmms_eval.tasks import TaskManager

    built_in = set(TaskManager("ERROR").all_tasks)
    assert not built_in & set(registry.names())
    known = {*AVAILABLE_SIMPLE_MODELS, *AVAILABLE_CHAT_TEMPLATE_MODELS, "default"}
    for name in registry.names():
        assert set(content(name).get("lmms_eval_specific_kwargs", {})) <= known
