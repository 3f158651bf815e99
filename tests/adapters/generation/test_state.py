"""An adapter's state is what its numbers depend on: a change in memory of any part of it is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import family_cases
import pytest
import torch
from family_cases import FAMILIES, adapter

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.generation import state


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What is changed here, no other test is given."""
    yield
    for made in (family_cases.adapter, family_cases.model, family_cases.tokenizer):
        made.cache_clear()


def one_weight(made: Adapter) -> None:
    with torch.no_grad():
        list(made.model.parameters())[-1].view(-1)[0] += 1


def template(made: Adapter) -> None:
    made.processor.chat_template += " "


def word(made: Adapter) -> None:
    made.processor.tokenizer.add_tokens(["a-new-word"])


def pictures(made: Adapter) -> None:
    made.processor.image_processor.image_mean = [0.1, 0.2, 0.3]


def end(made: Adapter) -> None:
    made.model.generation_config.eos_token_id = 7


def frames(made: Adapter) -> None:
    if hasattr(made, "num_frames"):
        made.num_frames += 1
    else:
        made.processor.video_processor.fps = 7


def kernel(made: Adapter) -> None:
    made.model.set_attn_implementation("eager")


CHANGES: list[Callable[[Adapter], None]] = [one_weight, template, word, pictures, end, frames, kernel]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_part_counts(family: str) -> None:
    before = adapter(family).state_hash()
    assert before == adapter(family).state_hash()
    for change in CHANGES:
        made = adapter(family)
        change(made)
        assert made.state_hash() != before, change.__name__


def test_large_weights_count_by_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "WHOLE_BYTES", 100)
    monkeypatch.setattr(state, "_NUMBERS", 4)
    made = adapter("internvl")
    seen = {made.state_hash()}
    for parameter in made.model.parameters():
        with torch.no_grad():
            parameter.view(-1)[0] += 1
        seen.add(made.state_hash())
    assert len(seen) == 1 + len(list(made.model.parameters()))
