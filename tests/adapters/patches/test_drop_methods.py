"""Methods that drop vision tokens: each against its definition written out slowly, and on every family."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from drop_cases import cosine, kept
from family_cases import adapter
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads import UserError
from coreheads.adapters.lmms_eval.arguments import named_patch
from coreheads.adapters.patches.cdpruner import CDPruner
from coreheads.adapters.patches.dart import Dart
from coreheads.adapters.patches.drop_vision import DropVision
from coreheads.adapters.patches.evs import EVS
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.patches.random_tokens import RandomTokens
from coreheads.adapters.patches.registry import PATCHES, make_patch
from coreheads.adapters.patches.stride import Stride
from coreheads.adapters.patches.vidcom2 import VidCom2
from coreheads.adapters.patches.visionzip import VisionZip

METHODS: tuple[type[DropVision], ...] = (RandomTokens, Stride, Dart, CDPruner)
OF_PROMPTS: tuple[type[DropVision], ...] = (EVS, VidCom2, VisionZip)
"""They must know more than the tokens, and have tests of their own."""
WIDTH = 12

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=4)
shares = st.floats(0.05, 1.0)


def cut_of(runs: list[int], seed: int = 0, width: int = WIDTH, after: int = 3) -> Cut:
    """A prompt with runs of vision tokens of these lengths, two text tokens before each and ``after`` at its end."""
    is_vision = [flag for run in runs for flag in [False, False, *[True] * run]] + [False] * after
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(len(is_vision), width, generator=generator)
    return Cut(0, hidden, torch.arange(len(hidden)), torch.arange(len(hidden)) + seed, torch.tensor(is_vision))


def quotas(runs: list[int], count: int) -> list[int]:
    """The runs' parts by largest remainder, one token after the other."""
    exact = [count * run / sum(runs) for run in runs]
    parts = [math.floor(value + 1e-9) for value in exact]
    while sum(parts) < count:
        best = max(range(len(runs)), key=lambda i: (round(exact[i] - parts[i], 9), -i))
        parts[best] += 1
    return parts


def starts(runs: list[int]) -> list[int]:
    return [sum(runs[:index]) for index in range(len(runs))]


def dart_by_hand(cut: Cut, runs: list[int], count: int, vision_pivots: int, text_pivots: int) -> list[int]:
    hidden = cut.hidden.double().numpy()
    features, text = hidden[cut.vision.numpy()], hidden[~cut.vision.numpy()]
    words = sorted(range(len(text)), key=lambda i: -np.abs(text[i]).sum())[:text_pivots]
    chosen = []
    for start, run, quota in zip(starts(runs), runs, quotas(runs, count), strict=True):
        own = list(range(start, start + run))
        pivots = sorted(own, key=lambda i: -np.abs(features[i]).sum())[: min(vision_pivots, quota)]
        kept = list(pivots)
        turns = [*(features[i] for i in pivots), *(text[i] for i in words)]
        for turn, pivot in enumerate(turns if quota else []):
            part = math.ceil((quota - len(kept)) / (len(turns) - turn))
            rest = [i for i in own if i not in kept]
            kept += sorted(rest, key=lambda i, pivot=pivot: cosine(features[i], pivot))[:part]  # type: ignore[misc]
        chosen += kept
    return sorted(chosen)


def cdpruner_by_hand(cut: Cut, runs: list[int], count: int, theta: float, after: int) -> list[int]:
    hidden = cut.hidden.double().numpy()
    features, question = hidden[cut.vision.numpy()], hidden[len(hidden) - after :]
    chosen = []
    for start, run, quota in zip(starts(runs), runs, quotas(runs, count), strict=True):
        own = features[start : start + run]
        relevance = np.array([np.mean([cosine(token, word) for word in question]) for token in own])
        spread = max(np.ptp(relevance), 1e-6)
        weight = np.exp(theta / (2 * (1 - theta)) * (relevance - relevance.min()) / spread)
        kernel = np.array([[weight[a] * cosine(own[a], own[b]) * weight[b] for b in range(run)] for a in range(run)])
        kept: list[int] = []
        while len(kept) < quota:
            rest = [i for i in range(run) if i not in kept]
            # of equal ones, as all are at first where theta is 0, the first
            kept.append(max(rest, key=lambda i: (round(volume(kernel, [*kept, i]), 8), -i)))
        chosen += [start + index for index in kept]
    return sorted(chosen)


def volume(kernel: Any, chosen: list[int]) -> float:
    """The log determinant."""
    return float(np.linalg.slogdet(kernel[np.ix_(chosen, chosen)])[1])


@settings(max_examples=40, deadline=None)
@given(lengths, shares, st.integers(0, 99), st.integers(1, 5), st.integers(0, 4))
def test_dart_is_its_definition(runs: list[int], keep: float, seed: int, own: int, text: int) -> None:
    cut, count = cut_of(runs, seed), max(1, round(keep * sum(runs)))
    assert kept(Dart(keep, vision_pivots=own, text_pivots=text), cut) == dart_by_hand(cut, runs, count, own, text)


@settings(max_examples=40, deadline=None)
@given(lengths, shares, st.integers(0, 99), st.sampled_from([0.0, 0.5, 0.9]), st.integers(1, 4))
def test_cdpruner_is_its_definition(runs: list[int], keep: float, seed: int, theta: float, after: int) -> None:
    cut, count = cut_of(runs, seed, after=after), max(1, round(keep * sum(runs)))
    assert kept(CDPruner(keep, theta=theta), cut) == cdpruner_by_hand(cut, runs, count, theta, after)


@settings(max_examples=40, deadline=None)
@given(lengths, shares)
def test_stride_is_its_definition(runs: list[int], keep: float) -> None:
    total, count = sum(runs), max(1, round(keep * sum(runs)))
    found = kept(Stride(keep), cut_of(runs))
    assert found == [math.floor((i + 0.5) * total / count + 1e-9) for i in range(count)]
    assert {b - a for a, b in pairwise(found)} <= {total // count, -(-total // count)}


def test_random_draws_uniformly_by_seed_and_prompt() -> None:
    cuts = [cut_of([20, 20], seed) for seed in range(150)]
    draws = [kept(RandomTokens(0.25), cut) for cut in cuts]
    counts = np.bincount(np.concatenate(draws), minlength=40)
    assert counts.sum() == 1500
    assert (np.abs(counts - 37.5) < 4.5 * math.sqrt(150 * 0.25 * 0.75)).all()
    assert kept(RandomTokens(0.25), cuts[3]) == draws[3]
    assert kept(RandomTokens(0.25, seed=1), cuts[3]) != draws[3]


@every_method
@settings(max_examples=40, deadline=None)
@given(lengths, shares, st.integers(1, 3))
def test_as_many_stay_as_are_asked_for(method: type[DropVision], runs: list[int], keep: float, width: int) -> None:
    """Also where the features are few and alike, so that none adds anything."""
    cut = cut_of(runs, width=width)
    for hidden in (cut.hidden, torch.zeros_like(cut.hidden), cut.hidden.sign(), torch.ones_like(cut.hidden)):
        assert len(kept(method(keep), replace(cut, hidden=hidden))) == max(1, round(keep * sum(runs)))


def test_where_the_rank_is_used_up_the_most_relevant_follow() -> None:
    cut = cut_of([30], width=4)
    features, question = cut.hidden[cut.vision].double().numpy(), cut.hidden[-3:].double().numpy()
    relevance = [float(np.mean([cosine(token, word) for word in question])) for token in features]
    diverse = kept(CDPruner(4 / 30), cut)
    rest = sorted((i for i in range(30) if i not in diverse), key=lambda i: -relevance[i])
    assert kept(CDPruner(12 / 30), cut) == sorted([*diverse, *rest[:8]])


def test_they_are_made_by_name_and_refuse_what_cannot_be() -> None:
    for method in METHODS + OF_PROMPTS:
        assert PATCHES[method.name] is method
        assert not method.takes_heads
        assert method.single
        assert make_patch(method.name, keep=0.5, layer=1) == method(0.5, 1)
    assert make_patch("dart", keep=0.5).describe() == {
        "patch": "dart", "keep": 0.5, "layer": 0, "vision_pivots": 4, "text_pivots": 4, "positions": "kept",
    }  # fmt: skip
    assert named_patch(adapter("internvl"), "dart", None, "top", None, 0, keep=0.5) == Dart(0.5)
    for message, make in {
        "keep is 0, expected above 0": lambda: Stride(0),
        "keep is 1.5, expected above 0": lambda: Dart(1.5),
        "keep is True": lambda: Dart(True),
        "layer is -1, expected a whole number of at least 0": lambda: RandomTokens(layer=-1),
        "layer is 2, expected 0 to 1": lambda: Stride(layer=2)(adapter("internvl").model),
        "seed is -3": lambda: RandomTokens(seed=-3),
        "vision_pivots is 0": lambda: Dart(vision_pivots=0),
        "text_pivots is -1": lambda: Dart(text_pivots=-1),
        "theta is 1, expected at least 0 and below 1": lambda: CDPruner(theta=1),
        "takes no heads": lambda: named_patch(adapter("internvl"), "dart", None, "top", 0.1, 0),
    }.items():
        with pytest.raises(UserError) as error:
            make()
        assert message in str(error.value)
