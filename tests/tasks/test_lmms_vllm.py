"""lmms-eval's vLLM model on our tasks, by the command of the page, with a stand-in for vLLM's two classes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from lmms_command import documented, shell, table

from coreheads.tasks import registry

pytestmark = pytest.mark.slow

VLLM = """
import json, os

def log(kind, **what):
    with open(os.environ["VLLM_LOG"], "a") as stream:
        stream.write(json.dumps({"kind": kind, **what}) + "\\n")

class SamplingParams:
    def __init__(self, **given):
        self.given = given

class Answer:
    text = "A"

class Output:
    outputs = [Answer]

class LLM:
    def __init__(self, **given):
        log("model", **given)

    def chat(self, sampling_params, messages, chat_template):
        for params, turns in zip(sampling_params, messages):
            log("prompt", **params.given, content=[part for turn in turns for part in turn["content"]])
        return [Output] * len(messages)

    def get_metrics(self):
        return []
"""


def test_what_is_asked_of_vllm_is_the_task(tmp_path: Path) -> None:
    pytest.importorskip("qwen_vl_utils")
    (tmp_path / "vllm.py").write_text(VLLM)
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    tasks = ["coreheads_mini_mmdocir", "coreheads_mini_mlvu"]
    done = shell(
        documented("engines.md", "--model vllm"),
        f"--tasks {','.join(tasks)} --limit 2 --output_path",
        tmp_path / "out",
        PYTHONPATH=paths,
        VLLM_LOG=str(tmp_path / "log"),
        HF_HUB_OFFLINE="1",
    )
    found = table(done.stdout)
    assert {task for task, _ in found} == set(tasks), (done.stdout + done.stderr)[-3000:]
    assert all(found[task, "unscored"] == "0.0000" for task in tasks)
    assert found["coreheads_mini_mlvu", "unparsed"] == "0.0000"  # (A) is an answer

    model, *prompts = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (model["model"], model["dtype"]) == ("Qwen/Qwen3-VL-8B-Instruct", "bfloat16")
    assert len(prompts) == 4
    documents, videos = {}, {}
    for prompt in prompts:
        texts = [part["text"] for part in prompt["content"] if part["type"] == "text"]
        kind = videos if any(text.endswith(" seconds>") for text in texts) else documents
        kind[texts[-1]] = prompt
    for name, kind in zip(tasks, (documents, videos), strict=True):
        task = registry.get(name)
        docs = task.records("test", 2)
        assert sorted(kind) == sorted(task.messages(doc)[0]["content"][-1]["text"] for doc in docs)
        for prompt in kind.values():
            assert prompt["temperature"] == 0
            # the task's own, and not lmms-eval's 4,096
            assert prompt["max_tokens"] == 4
    for prompt in videos.values():
        # two frames a second, each a picture with its time
        pictures = sum(part["type"] == "image_url" for part in prompt["content"])
        assert pictures == len(prompt["content"]) - pictures - 1
        assert pictures > 32
    for name in tasks:
        task = registry.get(name)
        (path,) = (tmp_path / "out").rglob(f"*samples_{name}.jsonl")
        logged = [json.loads(line) for line in path.read_text().splitlines()]
        expected = [(number, task.target(doc)) for number, doc in enumerate(task.records("test")[:2])]
        assert [(line["doc_id"], line["target"]) for line in logged] == expected
