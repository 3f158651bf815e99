"""Every head score that reads attention, against its definition taken literally on eager attention's own matrices."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from adapter_cases import eager, image_part, mixed, picture, small_adapter, text_part, user, video, video_part
from family_cases import FAMILIES, MOE, adapter
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads import Region, UserError
from coreheads.retrieval.answers import with_answer
from coreheads.retrieval.head_scores import SCORES
from coreheads.retrieval.row_scores import visual_hit

ASKED = text_part("where is the red-star ?")
CASES: dict[str, tuple[list[dict[str, Any]], list[Region]]] = {
    "picture": (user(image_part(picture(130, 90)), ASKED), [Region(0, (0.2, 0.3, 0.6, 0.5))]),
    "pages": (
        user(image_part(picture(200, 90)), text_part("page 1"), image_part(picture(90, 61, 1)), ASKED),
        [Region(1, (0.0, 0.0, 0.4, 1.0)), Region(0, (0.9, 0.9, 1.0, 1.0))],
    ),
    "asked first": (user(ASKED, image_part(picture(90, 61, 1)), text_part("page 1")), [Region(0)]),
    "video": (user(video_part(video(9, 64, 48, fps=3.0)), ASKED), [Region(0, (0.5, 0.0, 1.0, 1.0), 0.5, 1.8)]),
    "mixed": (mixed(), [Region(1, None, 0.0, 1.1), Region(2, (0.1, 0.1, 0.3, 0.3))]),
}
ANSWER = "(1, 20) page 3"
Matrix = list[list[float]]


def answered(made: Any, prompt: Any, answer: str) -> tuple[torch.Tensor, range]:
    """Attention over the prompt and the answer, fed token by token as decoding does; the rows that decode it."""
    ids = made.processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
    inputs = dict(prompt.inputs)
    for token in ids:
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        kinds = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros(1, len(ids), dtype=kinds.dtype)], 1)
    return eager(made.model, inputs), range(prompt.tokens - 1, prompt.tokens - 1 + len(ids))


def by_head(matrices: torch.Tensor, score: Any) -> torch.Tensor:
    """score(one head's matrix as lists) for every head."""
    return torch.tensor([[score(head.tolist()) for head in layer] for layer in matrices])


def literal(name: str, made: Any, prompt: Any, regions: list[Region], answer: str) -> torch.Tensor:
    target = set(prompt.locate(regions).tolist())
    if name == "last_token":
        return by_head(eager(made.model, dict(prompt.inputs)), lambda rows: sum(rows[-1][key] for key in target))
    if name == "qrhead":
        return literal_qrhead(made, prompt, target)
    matrices, steps = answered(made, prompt, answer)

    def mass(rows: Matrix) -> float:
        return sum(rows[step][key] for step in steps for key in target) / len(steps)

    def hits(rows: Matrix) -> float:
        return sum(rows[step].index(max(rows[step])) in target for step in steps) / len(target)

    def most(rows: Matrix) -> float:
        total = 0.0
        for step in steps:
            ranked = sorted(range(len(rows[step])), key=lambda key: -rows[step][key])
            total += sum(rows[step][key] for key in ranked[: len(target)] if key in target)
        return total / len(target)

    return by_head(matrices, {"answer_rows": mass, "visual_hit": hits, "headkv_r2": most}[name])


def literal_qrhead(made: Any, prompt: Any, target: set[int]) -> torch.Tensor:
    tokenizer, ids = made.processor.tokenizer, prompt.inputs["input_ids"][0].tolist()
    query = prompt.query_tokens.tolist()
    # the families' tokenizers keep the blank before a word in its token
    blank = " " if tokenizer.decode(ids[query[0] : query[0] + 1]).startswith(" ") else ""
    null = tokenizer(f"{blank}N/A", add_special_tokens=False)["input_ids"]
    neutral = ids[: query[0]] + null + ids[query[-1] + 1 :]
    changed = {**prompt.inputs, **made.text_inputs(torch.tensor([neutral]))}
    asked, unasked = eager(made.model, dict(prompt.inputs)), eager(made.model, changed)
    placeholders = set(made.vision_token_ids)
    here, there = ([k for k, token in enumerate(text) if token in placeholders] for text in (ids, neutral))
    medium = dict(zip(here, prompt.geometry.media.tolist(), strict=True))
    twin = dict(zip(here, there, strict=True))
    scores = torch.zeros(asked.shape[:2])
    for layer, head in ((layer, head) for layer in range(asked.shape[0]) for head in range(asked.shape[1])):
        one, other = asked[layer, head].tolist(), unasked[layer, head].tolist()
        rows, others = range(here[-1] + 1, len(ids)), range(there[-1] + 1, len(neutral))
        gain = {
            key: sum(one[r][key] for r in rows) / len(rows) - sum(other[r][twin[key]] for r in others) / len(others)
            for key in here
        }
        for document in {medium[key] for key in target}:
            own = [gain[key] for key in here if medium[key] == document]
            mean = sum(own) / len(own)
            low = mean - 2 * math.sqrt(sum((value - mean) ** 2 for value in own) / len(own))
            scores[layer, head] += sum(gain[key] for key in target if medium[key] == document and gain[key] >= low)
    return scores


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "name", [name for name in SCORES if SCORES[name].function.rpartition(":")[0].endswith(("row_scores", "qrhead"))]
)
@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_a_score_is_its_definition(model_type: str, name: str, case: str) -> None:
    made = adapter(model_type)
    messages, regions = CASES[case]
    prompt = made.prepare(messages, query="red-star")
    wanted = literal(name, made, prompt, regions, ANSWER)
    found = SCORES[name].load()(made, prompt, regions, answer=ANSWER)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=1e-4)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["answer_rows", "visual_hit", "headkv_r2", "last_token", "qrhead"]),
    st.tuples(st.integers(24, 120), st.integers(24, 120)),
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 0.6), st.floats(0, 0.6)), min_size=1, max_size=3),
    st.text("0123456789 ,()#", min_size=1).filter(str.strip),
)
def test_other_places_and_answers(
    name: str, size: tuple[int, int], places: list[tuple[int, float, float]], answer: str
) -> None:
    made = small_adapter()
    shown = [image_part(picture(*size)), image_part(picture(*size[::-1], 1))]
    prompt = made.prepare(user(*shown, text_part("where is the red-star?")), query="red-star")
    regions = [Region(medium, (x, y, x + 0.3, y + 0.4)) for medium, x, y in places]
    wanted = literal(name, made, prompt, regions, answer)
    found = SCORES[name].load()(made, prompt, regions, answer=answer)
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_an_answer_stands_where_it_would_be_decoded(model_type: str) -> None:
    made = adapter(model_type)
    prompt = made.prepare(mixed())
    with torch.inference_mode():
        said = made.generate([prompt], max_new_tokens=5)[0].token_ids
    inputs, rows = with_answer(made, prompt, ANSWER)
    ids = inputs["input_ids"][0, prompt.tokens :]
    assert made.processor.tokenizer.decode(ids).strip() == ANSWER
    assert rows.tolist() == list(range(prompt.tokens - 1, prompt.tokens - 1 + len(ids)))
    # the model's own answer in the same places is what it would say again
    inputs["input_ids"][0, prompt.tokens : prompt.tokens + 4] = torch.tensor(said[:4])
    with torch.inference_mode():
        logits = made.model(**inputs, use_cache=False).logits[0, rows[:5]]
    assert logits.argmax(-1).tolist() == said


def test_unusable_inputs_give_one_clear_line() -> None:
    made = small_adapter()
    messages, regions = CASES["picture"]
    prompt = made.prepare(messages, query="red-star")
    for name, answer in (("visual_hit", None), ("headkv_r2", ""), ("answer_rows", None)):
        with pytest.raises(UserError, match=f"answer is {answer!r}, expected a text with at least one token"):
            SCORES[name].load()(made, prompt, regions, answer=answer)
    for name in ("visual_hit", "last_token", "qrhead"):
        with pytest.raises(UserError, match="the regions touch no vision token"):
            SCORES[name].load()(made, prompt, [Region(0, (0.1, 0.1, 0.1, 0.2))], answer="3")
    with pytest.raises(UserError, match="score qrhead: the prompt has no query tokens"):
        SCORES["qrhead"].load()(made, made.prepare(messages), regions)


def test_a_placeholder_in_an_answer_is_text() -> None:
    made = adapter("qwen3_vl")
    messages, regions = CASES["picture"]
    prompt = made.prepare(messages, query="red-star")
    inputs, _ = with_answer(made, prompt, "a <|image_pad|>")
    assert not torch.isin(inputs["input_ids"][0, prompt.tokens :], torch.tensor(made.vision_token_ids)).any()
    assert visual_hit(made, prompt, regions, answer="a <|image_pad|>").shape == (made.layers, made.heads)
