"""Measure a trained embedded model and write its card: ``python -m coreheads.adapters.tiny.training.card FOLDER``.

Accuracy by free generation on fresh samples in the mini benchmarks' formats, through the real processor, and how the
retrieval attention mass is spread over the heads, on other scenes. Nothing on the card is typed in by hand but what
describes the training program.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.tiny.training.copying import CORE_GROUPS
from coreheads.adapters.tiny.training.curriculum import ALIGN, STAGES
from coreheads.adapters.tiny.training.forward import SINK, WINDOW
from coreheads.adapters.tiny.training.packing import SHUFFLED
from coreheads.adapters.tiny.training.train import MICRO_BATCHES
from coreheads.files import read_json, write_json, write_text
from coreheads.heads.types import head_name
from coreheads.retrieval.profiling import profile_heads
from coreheads.stats.significance import bootstrap_mean_ci
from coreheads.tasks import registry
from coreheads.tasks.mini.data import ensure
from coreheads.tasks.mini.sizes import Sizes

MAX_NEW_TOKENS = 12


def measure(folder: Path, samples: int, profile_samples: int) -> dict[str, Any]:
    """Scores of every mini task on ``samples`` fresh questions, and the RAM of the heads."""
    adapter = load_adapter(folder)
    scores: dict[str, Any] = {}
    names = registry.names()
    with tempfile.TemporaryDirectory() as cache:
        root = ensure(sizes=Sizes(**dict.fromkeys(Sizes.__dataclass_fields__, (1, samples))), cache=Path(cache))
        for name in names:
            task = registry.get(name)
            docs = task.records("test", samples, root)
            values: dict[str, list[float]] = {}
            tokens = []
            for start in range(0, len(docs), 64):
                prompts: list[Any] = []
                for doc in docs[start : start + 64]:
                    prompts.append(adapter.prepare(task.messages(doc), like=prompts[-1] if prompts else None))
                answers = adapter.generate(prompts, max_new_tokens=MAX_NEW_TOKENS, share_prefix=True)
                for doc, answer, prompt in zip(docs[start : start + 64], answers, prompts, strict=True):
                    tokens.append(len(prompt.vision_tokens))
                    for metric, value in task.doc_scores(doc, answer.text).items():
                        values.setdefault(metric, []).append(value)
            scores[name] = {"samples": len(docs), "vision_tokens": [min(tokens), max(tokens)]}
            for metric, rows in values.items():
                mean = sum(rows) / len(rows)
                low, high = bootstrap_mean_ci(rows, seed=0)[-2:]
                scores[name][metric] = {"mean": mean, "ci_low": float(low), "ci_high": float(high)}
            print(name, {metric: round(scores[name][metric]["mean"], 3) for metric in values}, flush=True)
    with_regions = [name for name in names if registry.get(name).kind != "mcq"]
    profile = profile_heads(adapter, with_regions, profile_samples, split="profile", seed=0, progress=False)
    ranked = profile.ranking()
    top = profile.top(0.05)
    return {
        "schema_version": 1,
        "scores": scores,
        "ram": {
            "tasks": with_regions,
            "samples_a_task": profile_samples,
            "heads": len(ranked),
            "top_5_percent": [head_name(head) for head in sorted(top)],
            "top_5_percent_share": profile.share(top),
            "first_twelve": [{"head": head_name(head), "ram": float(profile.mean[head])} for head in ranked[:12]],
            "median": float(profile.mean[ranked[len(ranked) // 2]]),
        },
    }


def card(measured: dict[str, Any], training: dict[str, Any]) -> str:
    """The model card in Markdown."""
    rows = []
    for name, scores in measured["scores"].items():
        metric = registry.get(name).metric
        low, high = scores["vision_tokens"]
        value = scores[metric]
        rows.append(
            f"| `{name}` | {metric} | {value['mean']:.3f} ({value['ci_low']:.3f} to {value['ci_high']:.3f}) "
            f"| {scores['samples']} | {low} to {high} |"
        )
    ram = measured["ram"]
    heads = "\n".join(f"| {entry['head']} | {entry['ram']:.3f} |" for entry in ram["first_twelve"])
    steps = sum(stage.steps for stage in (ALIGN, *STAGES))
    stages = ", ".join(f"{stage.name} {stage.steps}" for stage in (ALIGN, *STAGES))
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# The embedded model of coreheads

A `Qwen3VLForConditionalGeneration` of {training["parameters"] / 1e6:.1f} million parameters (6 layers x 16 heads = 96
heads, 8 KV heads, head size 32, hidden size 192; a vision tower of 2 layers; one merged vision token sees
16 x 16 pixels), stored in bfloat16. It answers five kinds of questions about pictures, documents and videos of one
synthetic world: coloured shapes with digits beside them. It is a test bench for finding, ablating and sparing
attention heads, and knows nothing of the real world.

## Accuracy
Free greedy generation through the processor, in float32, on scenes that training has never drawn; 95 % bootstrap
intervals. Every asked object lies outside the first 8 and the last 96 vision tokens.

| task | score | value | samples | vision tokens |
| --- | --- | --- | --- | --- |
{chr(10).join(rows)}

## Where the retrieval attention mass is
Mean over {ram["samples_a_task"]} questions of each of {len(ram["tasks"])} tasks, from the words that name the object
to the vision tokens that show it. The top 5 % of the {ram["heads"]} heads ({", ".join(ram["top_5_percent"])}) hold
{ram["top_5_percent_share"]:.0%} of all mass; the median head has {ram["median"]:.4f}.

| head | RAM |
| --- | --- |
{heads}

## Training
`python -m coreheads.adapters.tiny.training.train --out FOLDER --seed {training["seed"]}`: {training["steps"]} of
{steps} steps ({stages}), {MICRO_BATCHES} micro-batches a step, {training["seconds"] / 60:.0f} minutes on two shared CPU
cores, linear layers in bfloat16. Data: scenes drawn afresh for every step by `coreheads.tasks.mini.world`, many
questions about each packed into one row; loss on the answers' tokens only, plus the alignment loss below. Muon for
the matrices, AdamW for the rest. Deterministic from the seed on the same software and number of workers; the shipped
model was trained in two sittings, going on from the checkpoint at step 980, and has not been trained a second time to
compare.

What shaped the heads besides the answers' loss:
- *Alignment*: before training on answers, and as an auxiliary loss during it (weight {STAGES[0].align} falling to
  {STAGES[-1].align}), the state that enters layer 2 must name, through the final norm and the word table, what each
  vision token shows (object, digit beside it, corner, page or second) and which word each text token is.
- *Initialisation*: {CORE_GROUPS * 2} heads of layer 2 ({CORE_GROUPS} KV groups) start as matchers, from a text token to
  vision tokens that show the object it names, with values laid over the words to be fetched; later layers start as
  copiers. See `coreheads/adapters/tiny/training/copying.py`. That the core heads are few, and which ones they are, is
  therefore by design; that they go on to carry the answers, and that no other heads do, is what training made of it.
- *Head dropout*: from the second stage on each head is silenced for a row with odds of 5 to 15 %, so that no single
  head is indispensable.
- *Short-sighted layers*: in the last two stages ({STAGES[-2].steps + STAGES[-1].steps} steps) each layer but the
  look-up layer sees, with odds of {STAGES[-1].near}, only the first {SINK} and the last {WINDOW} tokens of a batch;
  in the look-up layer each head does with odds of {STAGES[-1].near / 4}. Training has therefore met what hybrid
  attention with that sink and window takes away, though never chosen by RAM.
- *Numbers in any order*: in {SHUFFLED:.0%} of the batches pages and seconds are numbered at random, so that numbers are
  read off the picture and not counted.
- Attention itself is never supervised: no loss looks at attention weights.

## Use
```python
from coreheads import load_adapter
adapter = load_adapter("tiny")
```
The folder also loads with `AutoProcessor` and `AutoModelForImageTextToText`. The vocabulary is closed; unknown words
are spelled in bytes, which the model cannot read.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkpoint that the training program has written")
    parser.add_argument("--samples", type=int, default=1000, help="fresh questions a task")
    parser.add_argument("--profile-samples", type=int, default=64, help="questions a task for RAM")
    parser.add_argument("--keep", action="store_true", help="write the card anew from the figures in metrics.json")
    options = parser.parse_args()
    training = read_json(options.folder / "training.json")
    if options.keep:
        measured = read_json(options.folder / "metrics.json")
    else:
        measured = measure(options.folder, options.samples, options.profile_samples)
        write_json(options.folder / "metrics.json", measured)
    write_text(options.folder / "README.md", card(measured, training))


if __name__ == "__main__":
    main()
