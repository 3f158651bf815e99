"""The method's open choices, tried on a model: which tokens ask, what RAM is divided by, which heads that gives.

    python tools/evidence.py measure --task coreheads_smol_doc_450
    python tools/evidence.py measure --task coreheads_smol_doc_450 --document-seed 1
    python tools/evidence.py judge --task coreheads_smol_doc_450
    python tools/evidence_tables.py

Everything goes to results/smol/evidence/: RAM of every head for every prompt and choice, from one forward pass a prompt
(an .npz file a task, written after every prompt), and accuracies, a line a cell in judged.jsonl. What is there is not
measured again. The names of choices are those of ``row_sets``.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evidence_tables import FOLDER, Measured, scores_of
from evidence_text import WAYS, as_text
from torch import Tensor

from coreheads import environment
from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.families.base import Adapter
from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.mass import collect_mass
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.files import append_jsonl, read_jsonl
from coreheads.heads.selections import select
from coreheads.heads.types import Heads, head_name
from coreheads.retrieval.fingerprint import records_hash
from coreheads.tasks import registry
from coreheads.tasks.smol import data
from coreheads.tasks.smol.world import NAMES
from coreheads.tasks.task import Task

SINK, WINDOW = 16, 128
A_DOCUMENT = 12
"""Questions of a document."""


def row_sets(adapter: Adapter, prompt: Prompt) -> dict[str, Tensor]:
    """The tokens that may ask, by the choice's name; the prompt's query is its question.

    Of the printed documents' tasks (``smol``) only: *name* is a word of their world, and *beginning* is there because
    their prompts begin the answer. The last row is where the answer's first token is picked.
    """
    question, end = prompt.query_tokens, prompt.tokens
    ids = prompt.inputs["input_ids"][0].cpu()
    words = [adapter.processor.tokenizer.decode([int(ids[place])]).strip() for place in question]
    everything = torch.arange(end)
    return {
        "name": question[[word in NAMES for word in words]],
        "question": question,
        "beginning": everything[int(question[-1]) + 1 :],
        "begun": everything[int(question[0]) :],
        "last": everything[-1:],
        "last 4": everything[-4:],
        "text": everything[~torch.isin(everything, prompt.vision_tokens)],
    }


def masses(adapter: Adapter, prompt: Prompt, target: Tensor) -> dict[str, Tensor]:
    """By choice, attention [2, layers, heads] on the target and on all vision tokens, from one forward call."""
    with torch.inference_mode(), ExitStack() as stack:
        columns = [target, prompt.vision_tokens]
        collected = {
            name: stack.enter_context(collect_mass(adapter.model, rows, columns))
            for name, rows in row_sets(adapter, prompt).items()
        }
        adapter.model(**prompt.inputs, use_cache=False, logits_to_keep=1)
    return {name: mass.result() for name, mass in collected.items()}


def documents(task: Task, seed: int) -> Path | None:
    """The data root of documents drawn with another seed, written where it is missing; None for the task's own."""
    if not seed:
        return None
    root = Path("build/evidence") / f"documents-{data.version()}-{seed}"
    if not (root / task.benchmark / data.MARKER).is_file():
        data.write(root / task.benchmark, task.benchmark, seed)
    return root


def measure(adapter: Adapter, task: Task, samples: int, document_seed: int) -> None:
    """Measure the first prompts of the profile split, and keep each before the next."""
    path = FOLDER / f"{task.benchmark}{f'-seed{document_seed}' if document_seed else ''}.npz"
    docs = task.records("profile", samples, documents(task, document_seed), family=adapter.model_type)
    done = Measured.load(path) if path.exists() else Measured()
    for doc in docs:
        record = str(task.record_id(doc))
        if record in done.records:
            continue
        started = time.perf_counter()
        prompt = adapter.prepare(task.messages(doc), query=task.query(doc))
        target = prompt.locate(task.regions(doc))
        done.add(
            record,
            {name: mass.numpy() for name, mass in masses(adapter, prompt, target).items()},
            (len(target), len(prompt.vision_tokens), prompt.tokens),
        )
        done.about = {
            "task": task.name,
            "document_seed": document_seed,
            "split": "profile",
            "data_version": data.version(),
            "records": records_hash(done.records),
            "model": adapter.describe(),
            "dtype": str(adapter.dtype),
            "versions": environment.versions(),
            "command": environment.command_line(),
            "date": environment.now(),
        }
        done.save(path)
        print(f"{path.name} {len(done.records)}/{len(docs)} {time.perf_counter() - started:.1f} s", flush=True)


def judge(
    adapter: Adapter, task: Task, questions: int, document_seed: int, rankings: list[str], patches: list[str]
) -> None:
    """Accuracy on the test split with the heads that each ranking picks.

    A ranking is one of ``scores_of``, of what was measured on the profile split. A patch is ``hybrid@0.1``,
    ``vision@0.05`` or ``zero@0.05``, with its share of heads from the top; ``vision:bottom@0.05`` takes another
    selection, ``vision:layer_matched:1@0.05`` draw 1 of one that draws, judged by the second document alone (successive
    draws take successive documents, as in a run); ``hybrid:none`` no heads, ``text:none``
    and the other ``WAYS`` no pages, none of them with a ranking; ``hybrid+text@0.1`` a patch on one of these.
    """
    docs = task.records("test", questions, documents(task, document_seed), family=adapter.model_type)
    prompts: list[Prompt] = []
    for doc in docs:
        prompts.append(adapter.prepare(task.messages(doc), like=prompts[-1] if prompts else None))
    path = FOLDER / "judged.jsonl"
    known = [{"document_seed": 0, **line} for line in read_jsonl(path)] if path.exists() else []
    without = [("", patch) for patch in ("none", *patches) if patch == "none" or patch.endswith(":none")]
    ranked = [(ranking, patch) for ranking in rankings for patch in patches if not patch.endswith(":none")]
    for ranking, patch in [*without, *ranked]:
        name, _, share = patch.partition("@")
        mode, kind, draw = [*name.split(":"), "", ""][:3]
        drawn = slice(int(draw) * A_DOCUMENT, (int(draw) + 1) * A_DOCUMENT) if draw else slice(None)
        heads: Heads = frozenset()
        if ranking:
            scores = scores_of(ranking, FOLDER)
            heads = select(kind or "top", scores, (scores.shape[0], scores.shape[1]), float(share), int(draw or 0))
        cell: dict[str, Any] = {
            "task": task.name,
            "document_seed": document_seed,
            "patch": patch,
            "ranking": ranking,
            "heads": [head_name(head) for head in sorted(heads)],
            "records": [str(task.record_id(doc)) for doc in docs[drawn]],
        }
        if any(all(line[name] == value for name, value in cell.items()) for line in known):
            continue
        asked = {name: cell[name] for name in ("task", "document_seed", "heads", "records")}
        same = [line for line in known if _mode(line) == mode and all(line[k] == asked[k] for k in asked)]
        shown = prompts[drawn]
        way = mode.rpartition("+")[2]
        if way in WAYS:
            told = [data.document(task.benchmark, "test", row // A_DOCUMENT, document_seed) for row in range(len(docs))]
            shown = [as_text(adapter, prompt, document, way) for prompt, document in zip(prompts, told, strict=True)]
        right = same[0]["right"] if same else _right(adapter, task, docs[drawn], shown, mode.partition("+")[0], heads)
        known.append({**cell, "right": right, "command": environment.command_line(), "date": environment.now()})
        append_jsonl(path, known[-1])
        print(f"{task.benchmark} {document_seed} {patch} {ranking} {np.mean(right):.3f}", flush=True)


def _mode(line: dict[str, Any]) -> str:
    return str(line["patch"]).partition("@")[0].partition(":")[0]


def _right(
    adapter: Adapter, task: Task, docs: list[dict[str, Any]], prompts: list[Prompt], mode: str, heads: Heads
) -> list[float]:
    patch = None
    if mode in ("hybrid", "vision", "zero"):
        patch = Hybrid(heads, sink=SINK, window=WINDOW) if mode == "hybrid" else Ablate(heads, mode=mode)  # type: ignore[arg-type]
    with nullcontext() if patch is None else patch(adapter.model):
        answers = adapter.generate(prompts, max_new_tokens=6, stop=["\n", "."], share_prefix=True)
    return [task.doc_scores(doc, answer.text)[task.metric] for doc, answer in zip(docs, answers, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "judge"])
    parser.add_argument("--model", default="smol")
    parser.add_argument("--task", required=True, help="one of the printed documents' tasks")
    parser.add_argument("--samples", type=int, default=48, help="prompts to measure, or questions to judge by")
    parser.add_argument("--document-seed", type=int, default=0, help="documents drawn with another seed")
    parser.add_argument("--rankings", nargs="*", default=[], help="set:choice:normalization, such as doc_450:name:none")
    parser.add_argument("--patches", nargs="*", default=["hybrid@0.1", "vision@0.05", "vision@0.025"])
    asked = parser.parse_args()
    adapter, task = load_adapter(asked.model), registry.get(asked.task)
    if asked.what == "measure":
        measure(adapter, task, asked.samples, asked.document_seed)
    else:
        judge(adapter, task, asked.samples, asked.document_seed, asked.rankings, asked.patches)
    return 0


if __name__ == "__main__":
    sys.exit(main())
