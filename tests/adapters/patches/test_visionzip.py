"""VisionZip against its definition written out slowly, and what is read of the vision tower of each family."""

from __future__ import annotations

import math
from copy import deepcopy
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from adapter_cases import image_part, mixed, picture, text_part, user, video, video_part
from drop_cases import cosine, parts_by_hand
from family_cases import FAMILIES, adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import logits, state
from torch import Tensor, nn

from coreheads import UserError
from coreheads.adapters.generation.structure import vision_tower
from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.patches import tower
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.patches.tower import NOT_SEEN, received, tower_read
from coreheads.adapters.patches.visionzip import VisionZip

every_family = pytest.mark.parametrize("kind", FAMILIES)
CASES = {
    "mixed": mixed,
    "picture": lambda: user(image_part(picture(61, 60)), text_part("where ?")),
    "video": lambda: user(video_part(video(5, 64, 48)), text_part("where ?")),
}


class Told:
    """A tower that attends as is said."""

    def __init__(self, scores: Tensor, keys: Tensor) -> None:
        self.scores, self.keys = scores, keys

    def tokens(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        assert len(ids) == len(self.scores)
        return self.scores, self.keys


def by_hand(
    runs: list[int], keep: float, part: float, scores: list[float], keys: np.ndarray, states: np.ndarray
) -> dict[int, np.ndarray]:
    """What is read of each token that stays."""
    total, read, start = sum(runs), {}, 0
    count = max(1, round(keep * total))
    quotas = parts_by_hand(count, [Fraction(count * run, total) for run in runs], [0] * len(runs), runs)
    for run, quota in zip(runs, quotas, strict=True):
        own = list(range(start, start + run))
        start += run
        seen = [i for i in own if scores[i] != NOT_SEEN]
        contextual = round(part * quota) if quota <= len(seen) else 0
        dominant = sorted(own, key=lambda i: (-scores[i], i))[: quota - contextual]
        read |= {i: states[i] for i in dominant}
        rest = [i for i in seen if i not in dominant]
        if contextual:
            targets = rest[:: len(rest) // contextual][:contextual]
            went: dict[int, list[int]] = {target: [] for target in targets}
            for i in rest:
                if i not in targets:
                    went[max(targets, key=lambda t, i=i: (round(cosine(keys[i], keys[t]), 6), -t))].append(i)  # type: ignore[misc]
            for target, members in went.items():
                mean = np.mean([states[i] for i in members], axis=0) if members else 0
                read[target] = states[target] + mean
    return read


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=3),
    st.floats(0.02, 0.99),
    st.sampled_from([0.0, 10 / 64, 0.5, 1.0]),
    st.integers(0, 99),
    st.booleans(),
)
def test_it_is_its_definition(runs: list[int], keep: float, part: float, seed: int, ties: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    is_vision = torch.tensor([flag for run in runs for flag in [False, *[True] * run]] + [False])
    hidden = torch.randn(len(is_vision), 6, generator=generator, dtype=torch.float64)
    scores = torch.rand(sum(runs), generator=generator)
    scores = (scores * 3).round() / 4 if ties else scores
    scores[torch.rand(sum(runs), generator=generator) < 0.1] = NOT_SEEN
    keys = torch.randn(sum(runs), 5, generator=generator)
    keys = torch.eye(5)[keys.argmax(1)] if ties else keys
    places = torch.arange(len(is_vision))
    told: Any = Told(scores, keys)
    expected = by_hand(runs, keep, part, scores.tolist(), keys.double().numpy(), hidden[is_vision].numpy())
    found = VisionZip(keep, contextual=part).stay(Cut(0, hidden, places, places, is_vision, tower=told))
    if found is None:
        assert len(expected) == sum(runs)
        return
    stay, states = found
    assert stay[is_vision].nonzero()[:, 0].tolist() == sorted(expected)
    rows = iter(np.stack([expected[i] for i in sorted(expected)]))
    for place, row in zip(stay.nonzero()[:, 0].tolist(), states, strict=True):
        np.testing.assert_allclose(row, next(rows) if is_vision[place] else hidden[place], atol=1e-9)


def block(kind: str, model: Any) -> Any:
    inner = vision_tower(model)
    if kind == "qwen3_vl":
        return inner.blocks[0].attn
    return inner.encoder.layer[0].attention if kind == "internvl" else inner.encoder.layers[0].self_attn


def maps_by_hand(kind: str, own: Any, batch: dict[str, Any]) -> list[np.ndarray]:
    """[pictures, patches, 1 + width] of each call of the tower: scores, and keys of all heads."""
    module, seen = block(kind, own.model), []

    def watch(_module: Any, args: tuple[Any, ...], call: dict[str, Any]) -> None:
        hidden = args[0] if args else call["hidden_states"]
        if kind != "qwen3_vl":
            q, k = module.q_proj(hidden), module.k_proj(hidden)
            seen.append(([(*pair,) for pair in zip(q, k, strict=True)], hidden.shape[1]))
            return
        q, k, _ = module.qkv(hidden).chunk(3, dim=-1)
        cos, sin = call["position_embeddings"]
        turned = []
        for states in (q, k):
            heads = states.reshape(len(states), module.num_heads, -1)
            half = heads.shape[2] // 2
            other = torch.cat([-heads[..., half:], heads[..., :half]], -1)
            turned.append((heads * cos[:, None] + other * sin[:, None]).flatten(1))
        edges = call["cu_seqlens"].tolist()
        seen.append(([tuple(s[a:b] for s in turned) for a, b in pairwise(edges)], 0))

    hook = module.register_forward_pre_hook(watch, with_kwargs=True)
    logits(own.model, batch)
    hook.remove()
    calls = []
    for pairs, _ in seen:
        rows = []
        for q, k in pairs:
            heads, width, total = module.num_heads, q.shape[1] // module.num_heads, np.zeros(len(k))
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)
                products = (q[:, part] @ k[:, part].T).double().numpy() / math.sqrt(width)
                weights = np.exp(products - products.max(1, keepdims=True))
                weights /= weights.sum(1, keepdims=True)
                total += (weights[0] if kind == "internvl" else weights.mean(0)) / heads
            row = np.concatenate([total[:, None], k.double().numpy()], 1)
            rows.append(row[1:] if kind == "internvl" else row)
        calls.append(np.concatenate(rows)[None] if kind == "qwen3_vl" else np.stack(rows))
    return calls


class Says(nn.Module):
    """A projector of features that are known."""

    def __init__(self, maps: list[np.ndarray]) -> None:
        super().__init__()
        self.maps = iter(maps)

    def forward(self, features: Tensor) -> Tensor:
        return torch.from_numpy(next(self.maps)).reshape(*features.shape[:2], -1)


def of_tokens(kind: str, own: Any, batch: dict[str, Any], maps: list[np.ndarray]) -> np.ndarray:
    if kind == "qwen3_vl":
        rows = [np.stack([m[0, i : i + 4].mean(0) for i in range(0, m.shape[1], 4)]) for m in maps]
        ids = batch["input_ids"][0]
        kinds = [
            row for row in (own.model.config.image_token_id, own.model.config.video_token_id) if (ids == row).any()
        ]
        left = {number: iter(row) for number, row in zip(kinds, rows, strict=True)}
        return np.stack([next(left[int(number)]) for number in ids if int(number) in left])
    if kind == "internvl":
        side = math.isqrt(maps[0].shape[1])
        return np.stack([
            np.mean([tile[(2 * y + b) * side + 2 * x + a] for b in (0, 1) for a in (0, 1)], 0)
            for tile in maps[0] for y in range(side // 2) for x in range(side // 2)
        ])  # fmt: skip
    # LLaVA-OneVision: the model's own way with features, when the projector gives these
    inner = deepcopy(own.model.model).double()
    inner.multi_modal_projector = Says(maps)
    newline = torch.zeros(maps[0].shape[2]).double()
    newline[0] = NOT_SEEN
    inner.image_newline = nn.Parameter(newline)
    ids, found = batch["input_ids"][0], {}
    with torch.inference_mode():
        if "pixel_values" in batch:
            names = ("image_sizes", "batch_num_images")
            call = {name: batch[name] for name in names if name in batch}
            packed = inner.get_image_features(batch["pixel_values"].double(), **call).pooler_output
            found[own.model.config.image_token_id] = iter(torch.cat(list(packed)).numpy())
        if "pixel_values_videos" in batch:
            packed = inner.get_video_features(batch["pixel_values_videos"].double()).pooler_output
            if packed.shape[:2].numel() < int((ids == own.model.config.video_token_id).sum()):
                # older transformers put the newline behind a video later on
                packed = torch.cat([packed, newline.expand(len(packed), 1, -1)], 1)
            found[own.model.config.video_token_id] = iter(packed.flatten(0, 1).numpy())
    return np.stack([next(found[int(number)]) for number in ids if int(number) in found])


@every_family
@pytest.mark.parametrize("case", CASES)
def test_what_the_tower_says_of_tokens(kind: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tower, "ROOM", 5000)  # a few rows at a time
    own = adapter(kind)
    batch = own.collate([own.prepare(CASES[case]())])
    ids = batch["input_ids"][0]
    expected = of_tokens(kind, own, batch, maps_by_hand(kind, own, batch))
    before, found = state(own.model), []
    plain = logits(own.model, batch)
    with tower_read(own.model) as reader:
        inner = own.model.model.language_model
        hook = inner.register_forward_pre_hook(
            lambda *_: found.append(reader.tokens(ids[torch.isin(ids, torch.tensor(own.vision_token_ids))]))
        )
        assert torch.equal(logits(own.model, batch), plain)
        hook.remove()
    assert state(own.model) == before
    scores, keys = found[0]
    np.testing.assert_allclose(scores, expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(keys, expected[:, 1:], atol=1e-4)
    assert ((scores == NOT_SEEN).any()) == (kind == "llava_onevision")


@every_family
def test_features_from_memory_have_what_was_read(kind: str) -> None:
    own, memory, runs = adapter(kind), VisionCache(), []
    prompt, patch = own.prepare(mixed()), VisionZip(0.3)
    with patch(own.model):
        expected = own.generate([prompt], 4)[0]
    dense = own.generate([prompt], 4)[0]
    hook = block(kind, own.model).register_forward_hook(lambda *_: runs.append(1))
    # LLaVA-OneVision joins pictures' tiles anew in every call, and remembers its videos only
    expected_runs = {"qwen3_vl": 2 * 2, "internvl": 2, "llava_onevision": 6 + 2}[kind]
    for _ in range(2):
        with memory.active(own.vision_modules):
            assert own.generate([prompt], 4)[0] == dense
            size = memory.bytes
            for _ in range(2):
                with patch(own.model):
                    assert own.generate([prompt], 4)[0] == expected
    hook.remove()
    assert len(runs) == expected_runs
    assert memory.bytes == size
    memory.clear()
    with memory.active(own.vision_modules):
        own.generate([prompt], 1)
        features = memory.bytes
        with patch(own.model):
            own.generate([prompt], 1)
    assert memory.bytes > 2 * features


def test_received_is_a_mean_of_rows() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 3, 7, 4), torch.randn(2, 3, 9, 4)
    expected = torch.softmax(query @ key.transpose(2, 3) * 0.5, -1).mean((1, 2))
    torch.testing.assert_close(received(query, key, 0.5), expected)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(UserError, match=r"contextual is 1\.5, expected a number from 0 to 1"):
        VisionZip(contextual=1.5)
    model = deepcopy(adapter("internvl").model)
    layer = model.model.vision_tower.encoder.layer[0]
    layer.lambda_1 = nn.Parameter(torch.zeros_like(layer.lambda_1))
    with pytest.raises(UserError, match="attention is switched off"):
        VisionZip()(model)
    model.config.model_type = "llava"
    with pytest.raises(UserError, match="vision tower of 'llava' cannot be read, expected one of internvl"):
        VisionZip()(model)
    own = adapter("qwen3_vl")
    batch = own.collate([own.prepare(CASES["picture"]())])
    ids = batch["input_ids"]
    with VisionZip()(own.model), pytest.raises(ValueError, match="call the model with pixels"):
        logits(own.model, {"input_ids": ids, "position_ids": torch.arange(ids.shape[1]).expand(3, 1, -1)})
