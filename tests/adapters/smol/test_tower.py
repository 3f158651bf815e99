"""The tower without the language model: with any table of embeddings it gives the printed word's own."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from transformers import InternVLConfig
from transformers.models.internvl.modeling_internvl import InternVLMultiModalProjector, InternVLVisionModel

from coreheads.adapters.smol.build import config
from coreheads.adapters.smol.recogniser import Recogniser
from coreheads.adapters.smol.tower import tower
from coreheads.adapters.smol.training import measured
from coreheads.tasks.smol.print import FONTS, page, words


@cache
def parts() -> tuple[torch.Tensor, torch.nn.Module, torch.nn.Module]:
    """(embeddings, vision model, projector); the words' tokens are 0, 1, 2, ..., the line break the one after."""
    count = len(words())
    embeddings = torch.randn(count + 1, 576, generator=torch.Generator().manual_seed(0)) * 0.1
    weights = tower(embeddings, range(count), count, Recogniser.load())
    shape = InternVLConfig(**{key: value for key, value in config().items() if key != "model_type"})
    shape._attn_implementation = "eager"
    shape.vision_config._attn_implementation = "eager"
    made = []
    for name, kind in (("vision_tower", InternVLVisionModel), ("multi_modal_projector", InternVLMultiModalProjector)):
        model = kind(shape.vision_config if name == "vision_tower" else shape)
        own = {key.removeprefix(f"model.{name}."): value for key, value in weights.items() if f".{name}." in key}
        model.load_state_dict(own)
        made.append(model.eval())
    return embeddings, made[0], made[1]


@torch.inference_mode()
def seen(picture: torch.Tensor) -> torch.Tensor:
    """[H, W] brightness, 0 to 1 -> [cells, 576]."""
    _, vision, projector = parts()
    hidden = vision(picture[None, None].repeat(1, 3, 1, 1) * 2 - 1).last_hidden_state[:, 1:]
    result: torch.Tensor = projector(hidden)[0]
    return result


@pytest.mark.parametrize("font", FONTS[:3])
def test_every_word_is_its_own_embedding(font: str) -> None:
    embeddings = parts()[0]
    listed = words()
    wrong, least = [], 1.0
    for first in range(0, len(listed), 144):
        shown = listed[first : first + 144]
        features = seen(torch.from_numpy(page(shown, font)[:, :, 0]).float() / 255)[: len(shown)]
        nearest = torch.cdist(features, embeddings).argmin(1)
        wrong += [word for number, word in enumerate(shown) if int(nearest[number]) != first + number]
        own = embeddings[first : first + len(shown)]
        least = min(least, float(torch.cosine_similarity(features, own).quantile(0.05)))
    assert len(wrong) <= 5, wrong
    assert least > 0.99


def test_an_empty_cell_is_a_line_break() -> None:
    embeddings = parts()[0]
    features = seen(torch.ones(384, 384))
    assert (torch.cosine_similarity(features, embeddings[-1:]) > 0.99).all()


def test_a_cell_is_read_from_its_own_pixels_only() -> None:
    listed = words()
    one = torch.from_numpy(page(listed[:144])[:, :, 0]).float() / 255
    other = one.clone()
    other[5 * 32 : 6 * 32, 7 * 32 : 8 * 32] = torch.from_numpy(page([listed[900]])[:32, :32, 0]).float() / 255
    same = (seen(one) == seen(other)).all(1)
    assert not same[5 * 12 + 7]
    assert same.sum() == 143


BORNE = [(0.0, 0, 0.999, 0.985), (0.05, 1, 0.998, 0.96), (0.1, 2, 0.99, 0.83), (0.2, 0, 0.89, 0.6)]
"""(noise, shift, least share of words that come first, least share that are alone above 0), as the card has them."""


@pytest.mark.parametrize(("noise", "shift", "least", "least_alone"), BORNE)
def test_noise_shifts_and_fonts_are_borne(noise: float, shift: int, least: float, least_alone: float) -> None:
    model = Recogniser.load()
    for font in FONTS[:3]:
        first, alone = measured(model, noise, shift, font)
        assert first >= least, font
        assert alone >= least_alone, font
