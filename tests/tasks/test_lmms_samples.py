"""Inside lmms-eval: whose coordinates are spoken, and samples that cannot be used, for our model and for any other."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import trees

from coreheads.errors import UserError
from coreheads.tasks import registry


def built(name: str, root: Path, **settings: Any) -> Any:
    from lmms_eval.tasks import TaskManager

    manager = TaskManager("ERROR", include_path=str(registry.path()), include_defaults=False)
    wanted = {"task": name, "dataset_kwargs": {"data_root": str(root), **settings}}
    return manager.load_task_or_group([wanted], "chat")[name]


def prompt_of(task: Any) -> str:
    content = task.doc_to_messages(task.eval_docs[0])[0]["content"]
    return str(content[-1]["text"])


@pytest.mark.parametrize(
    ("model", "words"),
    [("qwen3_vl", "bbox_2d"), ("internvl_hf", "<ref>")],
)
def test_the_family_of_lmms_evals_own_models_is_in_the_yaml(model: str, words: str, tmp_path: Path) -> None:
    trees.refcocog(tmp_path)
    task = built("coreheads_refcocog", tmp_path)
    task.args = Namespace(model=model)  # as lmms-eval sets it before the first prompt
    assert words in prompt_of(task)


def test_a_model_says_its_family_and_the_yaml_can_overrule_it(tmp_path: Path) -> None:
    trees.refcocog(tmp_path)
    task = built("coreheads_refcocog", tmp_path)
    task.args = Namespace(model="coreheads")
    with pytest.raises(UserError, match=r"family: None.*dataset_kwargs.family"):
        prompt_of(task)
    task.serve("internvl")
    assert "<ref>" in prompt_of(task)
    task = built("coreheads_refcocog", tmp_path, family="llava_onevision")
    task.serve("internvl")
    assert "from 0 to 1" in prompt_of(task)


def evaluate(task: Any, answer: Any) -> dict[str, Any]:
    """A model of somebody else's, which knows nothing of us."""
    from lmms_eval.api.model import lmms
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.protocol import ChatMessages
    from lmms_eval.tasks import TaskManager

    class Model(lmms):  # type: ignore[misc]
        is_simple = False

        def generate_until(self, requests: list[Any]) -> list[str]:
            answers = []
            for request in requests:
                _, doc_to_messages, _, doc_id, name, split = request.args
                doc = self.task_dict[name][split][doc_id]
                ChatMessages(messages=doc_to_messages(doc))
                answers.append(answer(doc))
            return answers

        def loglikelihood(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

        def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
            raise NotImplementedError

    manager = TaskManager("ERROR", include_path=str(registry.path()), include_defaults=False)
    found: dict[str, Any] = simple_evaluate(
        model=Model(), tasks=[task], task_manager=manager, log_samples=True, bootstrap_iters=0
    )
    return found


def test_other_models_go_on_over_a_sample_that_cannot_be_used(tmp_path: Path) -> None:
    trees.mlvu_dev(tmp_path)
    (tmp_path / "mlvu_dev/MLVU/video/2_needle/findNeedle_1.mp4").unlink()
    task = built("coreheads_mlvu_dev", tmp_path)
    found = evaluate(task, lambda doc: registry.get("coreheads_mlvu_dev").target(doc) if "bad" not in doc else "")
    results = found["results"]["coreheads_mlvu_dev"]
    # of three records one has an answer that is no option, one has no video
    assert results["unscored,none"] == 2.0
    assert results["accuracy,none"] == results["m_avg,none"] == 1.0
    assert set(task.unscored) == {"1_plotQA/1", "2_needle/0"}


def test_a_set_without_a_usable_sample_stops(tmp_path: Path) -> None:
    trees.mlvu_dev(tmp_path)
    for path in (tmp_path / "mlvu_dev/MLVU/video").rglob("*.mp4"):
        path.unlink()
    with pytest.raises(UserError, match=r"none of 3 samples could be scored; record .*"):
        evaluate(built("coreheads_mlvu_dev", tmp_path), lambda doc: "(A)")


def test_the_variant_is_in_lmms_evals_results(tmp_path: Path) -> None:
    trees.mmlongbench_doc(tmp_path)
    task = built("coreheads_mmlongbench_doc", tmp_path, split="all", dpi=36)
    found = evaluate(task, lambda doc: f"Answer: {doc['answer']}")
    assert found["results"]["coreheads_mmlongbench_doc"]["accuracy,none"] == 1.0
    metadata = found["configs"]["coreheads_mmlongbench_doc"]["metadata"]
    assert metadata["variant"] == "rules-3, up to 120 pages at 36 dpi"


def test_requests_are_never_those_of_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lmms_eval.api import task as lmms_task

    trees.refcocog(tmp_path)
    task, kept = built("coreheads_refcocog", tmp_path), []
    monkeypatch.setattr(lmms_task, "save_to_cache", lambda file_name, obj: kept.append(obj))
    monkeypatch.setattr(lmms_task, "load_from_cache", lambda file_name: [["the request of another set"]])
    task.build_all_requests(limit=2, cache_requests=True)
    assert [request.doc_id for request in task.instances] == [0, 1]
    assert not kept
