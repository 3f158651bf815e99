"""Head scores that read the attention of other rows than the query's: the last token's, and those of the answer.

Where the published scores decode freely, the right answer is read behind the prompt in one forward call: every row
attends as it would if the model had decoded that very answer. A model's own answers are neither asked nor judged, so
that no prompt is left out because of a wrong one, and rows of a wrong answer never count. G are the vision tokens that
see a region.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from coreheads.errors import UserError
from coreheads.regions import Region
from coreheads.retrieval.answers import with_answer
from coreheads.retrieval.ram import attention_mass

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.adapters.prompt.prompt import Prompt


def last_token(adapter: Adapter, prompt: Prompt, regions: Sequence[Region], *, answer: str | None = None) -> Tensor:
    """Attention of the prompt's last token on G, float32 [layers, heads], 0 to 1.

    Source: Elastic Attention, appendix C, whose needle is text; nothing else differs. It has no parameters.
    """
    rows = torch.tensor([prompt.tokens - 1])
    return attention_mass(adapter.model, prompt.inputs, rows, [target_of(prompt, regions)])[0]


def answer_rows(adapter: Adapter, prompt: Prompt, regions: Sequence[Region], *, answer: str | None = None) -> Tensor:
    """Attention on G of the rows that predict the answer's tokens, mean over them: float32 [layers, heads], 0 to 1.

    RAM with other rows. VERA takes the first of these rows alone. It has no parameters.
    """
    inputs, rows = with_answer(adapter, prompt, answer)
    return attention_mass(adapter.model, inputs, rows, [target_of(prompt, regions)])[0]


def visual_hit(adapter: Adapter, prompt: Prompt, regions: Sequence[Region], *, answer: str | None = None) -> Tensor:
    """SparseMM's visual score: 1 / |G| for each answer token at which a head's most attended key lies in G.

    Source: arXiv 2506.05344. The reference decodes the text of pictures with print, and G is the box of the word that
    is being written; a record here has one G for all of its answer. The reference divides the model's scores by their
    sum for its budgets: order and ratios are the same. It has no parameters.

    Returns:
        Float32 [layers, heads], 0 to (answer tokens) / |G|, summed over the answer's tokens.
    """
    return _top_keys(adapter, prompt, target_of(prompt, regions), answer, hits=True)


def headkv_r2(adapter: Adapter, prompt: Prompt, regions: Sequence[Region], *, answer: str | None = None) -> Tensor:
    """HeadKV-R2: over the answer's tokens, the attention of those of a head's |G| most attended keys in G, over |G|.

    Source: arXiv 2410.19258, whose needle is text that must be reasoned about, and whose prompts count only where the
    decoded answer is right (F1 above 0.5). It has no parameters.

    Returns:
        Float32 [layers, heads], 0 to (answer tokens) / |G|, summed over the answer's tokens.
    """
    return _top_keys(adapter, prompt, target_of(prompt, regions), answer, hits=False)


def target_of(prompt: Prompt, regions: Sequence[Region]) -> Tensor:
    """G: positions of the vision tokens that see a region, ascending. UserError where there are none."""
    target = prompt.locate(regions)
    if not len(target):
        reason = prompt.explain(regions)
        raise UserError(
            f"head score: the regions touch no vision token of the prompt ({reason}), expected at least one"
        )
    return target


def _top_keys(adapter: Adapter, prompt: Prompt, target: Tensor, answer: str | None, hits: bool) -> Tensor:
    from coreheads.adapters.patches.top_keys import collect_top_keys

    inputs, rows = with_answer(adapter, prompt, answer)
    model: Any = adapter.model
    with torch.inference_mode(), collect_top_keys(model, rows, target, 1 if hits else len(target)) as found:
        model(**inputs, use_cache=False, logits_to_keep=1)
    return found.result()[0 if hits else 1] / len(target)
