"""The YAML files in lmms-eval: a model that knows the truth scores 1, one that talks nonsense 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from set_scores import aggregate

from coreheads.tasks import registry

MINI = [name for name in registry.names() if registry.get(name).folder.name == "mini"]


def evaluate(say: Any, names: list[str]) -> dict[str, Any]:
    from lmms_eval.api.model import lmms
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.protocol import ChatMessages
    from lmms_eval.tasks import TaskManager

    class Model(lmms):  # type: ignore[misc]
        is_simple = False

        def generate_until(self, requests: list[Any]) -> list[str]:
            answers = []
            for request in requests:
                _, doc_to_messages, settings, doc_id, task, split = request.args
                doc = self.task_dict[task][split][doc_id]
                chat = ChatMessages(messages=doc_to_messages(doc))
                assert sum(len(media) for media in chat.extract_media()) >= 1
                assert settings["until"] == []
                answers.append(say(registry.get(task), doc))
            return answers

        def loglikelihood(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

        def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
            raise NotImplementedError

    manager = TaskManager(include_path=str(registry.path()), include_defaults=False)
    assert set(registry.names()) <= set(manager.all_tasks)
    found: dict[str, Any] = simple_evaluate(
        model=Model(), tasks=names, task_manager=manager, log_samples=True, bootstrap_iters=0
    )
    return found


@pytest.mark.parametrize(("truthful", "score"), [(True, 1.0), (False, 0.0)])
def test_truth_scores_one_and_nonsense_nothing(small: Path, truthful: bool, score: float) -> None:
    found = evaluate(lambda task, doc: f" {task.target(doc)} " if truthful else "nonsense", MINI)
    for name in MINI:
        task = registry.get(name)
        results = found["results"][name]
        assert results[f"{task.metric},none"] == score
        samples = found["samples"][name]
        docs = task.records("test")
        assert [sample["doc"]["record_id"] for sample in samples] == [task.record_id(doc) for doc in docs]
        # the same numbers by the other road, to the last digit
        own = aggregate(task, docs, [sample["resps"][0][0] for sample in samples])
        assert {f"{metric},none": value for metric, value in own.items()} == pytest.approx(
            {key: results[key] for key in results if key.removesuffix(",none") in own}, abs=0
        )
        assert all(sample[task.metric] == score for sample in samples)
