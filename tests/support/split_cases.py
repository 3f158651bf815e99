"""What a model answers and measures in every way that the project has: for models that lie on several devices."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any

import torch
from adapter_cases import image_part as shown
from adapter_cases import picture, user
from adapter_cases import text_part as said
from adapter_cases import video as movie
from adapter_cases import video_part as film
from family_cases import model, processor
from torch import Tensor

from coreheads import Ablate, Hybrid
from coreheads.adapters.families.base import Adapter
from coreheads.adapters.families.registry import family
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.means import collect_means
from coreheads.adapters.patches.on_top import OnTop
from coreheads.adapters.patches.query_rows import collect_rows
from coreheads.adapters.patches.registry import PATCHES
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.regions import Region
from coreheads.retrieval.head_scores import SCORES
from coreheads.retrieval.ram import retrieval_attention_mass, retrieval_attention_masses

LAYERS = 3
FIRST = [Region(0)]
HEADS = {(0, 1), (1, 2), (2, 5)}
HYBRID = Hybrid(HEADS, 3, 17)
Run = Callable[[Adapter, list[Prompt]], Any]


@cache
def plain(model_type: str) -> Adapter:
    """On the CPU."""
    return family(model_type, "test")(model(model_type, layers=LAYERS), processor(model_type), id=model_type)


def prompts(adapter: Adapter, video: bool = True) -> list[Prompt]:
    """Two of different length, and one that shares most of the first and is padded in a batch with it."""
    second = film(movie(4, 24, 16)) if video else shown(picture(24, 32, 1))
    media = [shown(picture(40, 30)), said("page 1"), second]
    asked = [
        [*media, said("where is the red-star?")],
        [media[0], said("where is it ?")],
        [*media, said("where else is it ?")],
    ]
    return [adapter.prepare(user(*parts), query="where") for parts in asked]


def answers(
    adapter: Adapter,
    prompts: list[Prompt],
    patch: Callable[[Any], AbstractContextManager[object]] = nullcontext,
    chunk: int | None = None,
    cache: Callable[[Any], Any] | None = None,
    **settings: Any,
) -> Any:
    """Texts, tokens and margins."""
    made = None if cache is None else partial(cache, adapter.model)
    with patch(adapter.model), nullcontext() if chunk is None else chunked_prefill(adapter.model, chunk):
        found = adapter.generate(prompts, max_new_tokens=2, cache_factory=made, **settings)
    return [(answer.text, answer.token_ids, answer.margin, answer.work) for answer in found]


def remembered(adapter: Adapter, prompts: list[Prompt]) -> Any:
    """Twice from one memory, and once without."""
    memory = VisionCache()
    found = []
    for _ in range(2):
        with memory.active(adapter.vision_modules):
            found.append(answers(adapter, prompts, batch_tokens=1))
    return [*found, answers(adapter, prompts, batch_tokens=1)]


def looked_at(adapter: Adapter, prompts: list[Prompt]) -> Tensor:
    heads = sorted(HEADS)
    with (
        torch.inference_mode(),
        collect_rows(adapter.model, heads, prompts[0].query_tokens, prompts[0].vision_tokens) as rows,
    ):
        adapter.model(**prompts[0].inputs, use_cache=False, logits_to_keep=1)
    return rows.result()


def mean_values(adapter: Adapter, prompts: list[Prompt]) -> Tensor:
    with torch.inference_mode(), collect_means(adapter.model) as means:
        for prompt in prompts:
            adapter.model(**prompt.inputs, use_cache=False, logits_to_keep=1)
    return means.result()


def given_means(adapter: Adapter, prompts: list[Prompt]) -> Any:
    return answers(adapter, prompts, Ablate(HEADS, "mean", means=mean_values(adapter, prompts)))


def masses(adapter: Adapter, prompts: list[Prompt], patch: Any = nullcontext, **settings: Any) -> Tensor:
    with patch(adapter.model):
        each = [retrieval_attention_mass(adapter, prompt, FIRST, **settings) for prompt in prompts]
    return torch.stack(each)


def masses_together(adapter: Adapter, prompts: list[Prompt]) -> Tensor:
    return retrieval_attention_masses(adapter, prompts, [FIRST] * len(prompts))


def own_generate(adapter: Adapter, prompts: list[Prompt], patch: Patch | None = None, padded: bool = False) -> Any:
    """By transformers' loop."""
    net, batch = adapter.model, adapter.collate(prompts[:2]) if padded else dict(prompts[0].inputs)
    batch.pop("position_ids", None)
    with nullcontext() if patch is None else patch(net):
        made = None if patch is None else patch.cache(net)
        extra = {} if made is None else {"past_key_values": made}
        return net.generate(**batch, max_new_tokens=2, do_sample=False, **extra).tolist()


def scored(name: str, adapter: Adapter, prompts: list[Prompt]) -> Tensor:
    """A head score of the answer "red star"."""
    found: Tensor = SCORES[name].load()(adapter, prompts[1], FIRST, answer="red star")
    return found


def cases() -> dict[str, Run]:
    """By name what is done with an adapter and its prompts."""
    heads = {"zero": Ablate(HEADS, "zero"), "mean": Ablate(HEADS, "mean"), "hybrid": HYBRID}
    heads |= {"vision": Ablate(HEADS, "vision"), "vision-all": Ablate(HEADS, "vision", "all")}
    found: dict[str, Run] = {
        "dense": answers,
        "dense of one length": lambda adapter, prompts: answers(adapter, [prompts[0], prompts[0]]),
        "dense counted": partial(answers, count=True),
        "dense timed": partial(answers, timing=True),
        "dense one at a time": partial(answers, batch_tokens=1),
        "dense shared prefix": partial(answers, share_prefix=True),
        "dense in pieces": partial(answers, chunk=20),
        "sampled": partial(answers, temperature=0.7, seed=3),
        "hybrid evicting": partial(answers, patch=HYBRID, cache=HYBRID.cache),
        "hybrid evicting one at a time": partial(answers, patch=HYBRID, cache=HYBRID.cache, batch_tokens=1),
        "hybrid evicting in pieces": partial(answers, patch=HYBRID, cache=HYBRID.cache, chunk=20),
        "vision in pieces": partial(answers, patch=heads["vision"], chunk=20),
        "vision shared prefix": partial(answers, patch=heads["vision"], share_prefix=True),
        "given means": given_means,
        "means": mean_values,
        "rows": looked_at,
        "vision cache": remembered,
        "ram": masses,
        "ram of vision": partial(masses, normalization="vision"),
        "ram of a batch": masses_together,
        "ram under hybrid": partial(masses, patch=HYBRID),
        "own generate": own_generate,
        "own generate, padded": partial(own_generate, padded=True),
        "own generate, hybrid": partial(own_generate, patch=HYBRID),
        "own generate, hybrid, padded": partial(own_generate, patch=HYBRID, padded=True),
        "on top": partial(answers, patch=OnTop(HYBRID, PATCHES["dart"](keep=0.5))),
        "fastv renumbered": partial(answers, patch=PATCHES["fastv"](keep=0.5, layer=1, positions="renumbered")),
        "snapkv unseen": partial(answers, patch=PATCHES["snapkv"](keep=0.5, window=4, question="unseen"), count=True),
    }
    found |= {name: partial(answers, patch=patch) for name, patch in heads.items()}
    small: dict[str, dict[str, Any]] = {
        "fastv": {"layer": 2},
        "pyramiddrop": {},
        "snapkv": {"window": 4},
        "adakv": {"window": 4},
        "vertical_slash": {"block": 16, "observers": 8},
        "xattention": {"block": 16, "stride": 4},
        "streaming": {"window": 9},
    }
    for name, patch in PATCHES.items():
        if name not in ("none", "resolution") and not patch.takes_heads:
            found[name] = partial(answers, patch=patch(**small.get(name, {})))
    # a simulated device has no backward pass
    scores = [
        name for name, score in SCORES.items() if "gradient" not in score.needs and "ablation" not in score.function
    ]
    return found | {f"score {name}": partial(scored, name) for name in scores}
