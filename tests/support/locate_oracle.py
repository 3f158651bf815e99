"""The pixels' own say on what each vision token sees, and random prompts to ask it about.

All media are black but for the regions. They go through the real processor (without its mean and deviation, so that
black stays zero) and, for LLaVA-OneVision and InternVL, through the model's own packing of features, with a vision
tower that gives for each patch the largest number in it. A token whose feature is not zero then sees a region.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from adapter_cases import image_part, text_part, video_part
from family_cases import model, processor
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.families.registry import family
from coreheads.adapters.prompt.messages import Source
from coreheads.adapters.prompt.processing import LoadedMedium
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.media.video import Video
from coreheads.regions import Region

Box = tuple[float, float, float, float]

SEEN, CERTAIN, SURVIVES_ROUNDING = 1e-14, 1e-4, 0.3
"""Features above the first come from a region; a map must have those above the second. 8-bit pixels show those that
are brighter than the third: they hold no negative numbers, so the filter's lobes (0.14 at most) are cut off in each of
its two passes."""


@dataclass(frozen=True)
class Shown:
    """A medium and what of it is a region: boxes in pixels, for a video within a span of seconds."""

    width: int
    height: int
    boxes: tuple[Box, ...] = ()
    frames: int = 0
    fps: float = 2.0
    span: tuple[float, float] | None = None

    def pixels(self, seed: int) -> NDArray[np.uint8]:
        """Black, each pixel that a box overlaps at least a quarter as bright as can be."""
        shape = (max(self.frames, 1), self.height, self.width, 3)
        values = np.zeros(shape, np.uint8)
        light = np.random.default_rng(seed).integers(64, 256, shape, dtype=np.uint8)
        start, end = self.span or (-math.inf, math.inf)
        lit = [index for index in range(shape[0]) if not self.frames or start <= index / self.fps < end]
        for x0, y0, x1, y1 in self.boxes:
            area = (slice(math.floor(y0), math.ceil(y1)), slice(math.floor(x0), math.ceil(x1)))
            for index in lit:
                values[index][area] = light[index][area]
        return values if self.frames else values[0]

    def part(self, seed: int) -> dict[str, Any]:
        pixels = self.pixels(seed)
        return video_part(Video(pixels, self.fps)) if self.frames else image_part(Image.fromarray(pixels))

    def regions(self, media: int) -> list[Region]:
        start, end = self.span or (None, None)
        size = (self.width, self.height, self.width, self.height)
        boxes = [tuple(edge / side for edge, side in zip(box, size, strict=True)) for box in self.boxes]
        return [Region(media, box, start, end) for box in boxes]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """A prompt of some media, with text before each where there is one, and other prompts before it in a batch."""

    media: tuple[Shown, ...]
    texts: tuple[str, ...] = field(default=())
    system: bool = False
    longer: int = 0

    def messages(self) -> list[dict[str, Any]]:
        parts = []
        for number, shown in enumerate(self.media):
            if number < len(self.texts) and self.texts[number]:
                parts.append(text_part(self.texts[number]))
            parts.append(shown.part(number))
        system = [{"role": "system", "content": "you look at pictures"}] if self.system else []
        return [*system, {"role": "user", "content": [*parts, text_part("where is it ?")]}]

    def regions(self) -> list[Region]:
        return [region for number, shown in enumerate(self.media) for region in shown.regions(number)]


def check(model_type: str, case: Case, published: bool = False) -> None:
    """``locate`` finds exactly the tokens that depend on the regions' pixels; those of 8-bit pixels are among them.

    Pictures one pixel wide are asked about in 8-bit pixels only: torch's resizing of floats, which no adapter uses,
    mixes all rows of a picture that has one column and keeps it.
    """
    exact, rounded = (adapter(model_type, published, kind) for kind in ("float", "uint8"))
    prompt = exact.prepare(case.messages())
    found = set(prompt.locate(case.regions()).tolist())
    positions = prompt.vision_tokens

    def above(values: Tensor, least: float) -> set[int]:
        return set(positions[values > least].tolist())

    bright = torch.zeros(len(positions))
    if all(shown.width > 1 for shown in case.media):
        strength, bright = features(exact, prompt, case.longer)
        assert above(strength, CERTAIN) <= found <= above(strength, SEEN)
    prompt = rounded.prepare(case.messages())
    assert set(prompt.locate(case.regions()).tolist()) == found
    changed = above(features(rounded, prompt, case.longer)[0], 0)
    assert above(bright, SURVIVES_ROUNDING) <= changed <= found


def features(made: Adapter, prompt: Prompt, longer: int) -> tuple[Tensor, Tensor]:
    """What the language model is given of the media at each vision token: its largest number without and with its
    sign, both [V].

    longer: so many tokens more has the prompt that stands before this one in the batch; 0 is no batch.
    """
    prompts = [prompt]
    if longer:
        text = "question " * (prompt.tokens + longer)
        prompts = [made.prepare([{"role": "user", "content": text}]), prompt]
    batch = made.collate(prompts)
    places = batch["input_ids"].shape[1] - prompt.tokens + prompt.vision_tokens
    assert torch.isin(batch["input_ids"][-1], torch.tensor(made.vision_token_ids)).nonzero()[:, 0].equal(places)
    if made.model_type == "qwen3_vl":
        return _qwen_features(made, batch, places)
    with caught(made.model) as embedded, torch.no_grad():
        made.model(**batch)
    # each patch has as many channels with as without its sign; a token of InternVL joins four patches
    patches = embedded[0][-1, places].view(len(places), -1, 2, CHANNELS // 2)
    return patches[:, :, 0].flatten(1).amax(1), patches[:, :, 1].flatten(1).amax(1)


def _qwen_features(made: Adapter, batch: dict[str, Tensor], places: Tensor) -> tuple[Tensor, Tensor]:
    merge = made.processor.image_processor.merge_size**2
    largest = torch.zeros(2, len(places), dtype=torch.float64)
    kinds = batch["mm_token_type_ids"][-1, places]
    for kind, name in ((1, "pixel_values"), (2, "pixel_values_videos")):
        if name in batch:
            # the processor lists the patches of a merged token one after the other
            for row, values in enumerate((batch[name].abs(), batch[name])):
                largest[row, kinds == kind] = values.amax(-1).view(-1, merge).amax(-1).double()
    return largest[0], largest[1]


CHANNELS = 16
"""Of a patch; the language model of the test has 64, so LLaVA-OneVision's patches are given to it four times over."""


class Stop(Exception):
    pass


@contextmanager
def caught(made: Any) -> Iterator[list[Tensor]]:
    """Keeps what the language model is given, and ends the forward call there."""
    seen: list[Tensor] = []

    def catch(_module: nn.Module, _args: Any, kwargs: dict[str, Any]) -> None:
        seen.append(kwargs["inputs_embeds"])
        raise Stop

    hook = made.model.language_model.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        yield seen
    except Stop:
        pass
    finally:
        hook.remove()


class Largest(nn.Module):
    """In place of a vision tower: for each patch of 14 x 14 pixels the largest number in it, without its sign in the
    first half of the channels, with it in the second."""

    def __init__(self, internvl: bool) -> None:
        super().__init__()
        self.class_token, self.copies = int(internvl), 1 if internvl else 4

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        pixels = nn.functional.unfold(pixel_values.double(), 14, stride=14)
        patches = torch.stack([pixels.abs().amax(1), pixels.amax(1).clamp(min=0)], dim=-1)
        states = nn.functional.pad(patches, (0, 0, self.class_token, 0)).repeat_interleave(CHANNELS // 2, dim=-1)
        states = states.repeat(1, 1, self.copies)
        return BaseModelOutputWithPooling(last_hidden_state=states, hidden_states=(states,))


@cache
def adapter(model_type: str, published: bool, kind: str) -> Adapter:
    """The family's adapter on a model that shows what its tokens are given. kind: of pixels, "uint8" or "float"."""
    base = family(model_type, "test")
    name = f"{base.__name__}On{kind}"
    made_type = type(name, (base,), {"_load": _load_as_floats} if kind == "float" else {})
    plain = processor(model_type, published, image_mean=[0.0] * 3, image_std=[1.0] * 3)
    settings = {} if model_type == "qwen3_vl" else {"num_frames": 4}
    made: Adapter = made_type(_showing_model(model_type, published), plain, id=name, **settings)
    return made


@cache
def _showing_model(model_type: str, published: bool) -> Any:
    if model_type == "qwen3_vl":
        return model(model_type, published)
    from copy import deepcopy

    made = deepcopy(model(model_type, published)).double()
    made.model.multi_modal_projector = nn.Identity()
    internvl = model_type == "internvl"
    made.model.vision_tower = Largest(internvl)
    if not internvl:
        nn.init.zeros_(made.model.image_newline)
    return made


def _load_as_floats(self: Adapter, source: Source) -> LoadedMedium:
    loaded = super(type(self), self)._load(source)
    if loaded.video is not None:
        return replace(loaded, video=replace(loaded.video, frames=loaded.video.frames.astype(np.float64)))
    picture: Any = loaded.picture
    pixels: Any = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).double()
    pixels.width, pixels.height = picture.width, picture.height
    return replace(loaded, picture=pixels)


@st.composite
def cases(draw: st.DrawFn, model_type: str, largest: int, media: int = 3) -> Case:
    """Prompts of up to ``media`` pictures and videos with sides up to ``largest`` pixels, some very thin."""
    count = draw(st.integers(1, media))
    shown = [draw(_shown(model_type, largest, wanted=number == count - 1)) for number in range(count)]
    texts = tuple(draw(st.lists(st.sampled_from(["", "page 1", " a 🦄 ", "<|im_start|>"]), max_size=count)))
    return Case(tuple(draw(st.permutations(shown))), texts, draw(st.booleans()), draw(st.sampled_from([0, 0, 1, 17])))


@st.composite
def _shown(draw: st.DrawFn, model_type: str, largest: int, wanted: bool) -> Shown:
    long = draw(st.integers(1, largest))
    thinnest = math.ceil(long / 200) if model_type == "qwen3_vl" else 1  # the processor refuses thinner ones
    short = draw(st.one_of(st.integers(thinnest, long), st.integers(thinnest, min(long, thinnest + 3))))
    width, height = draw(st.permutations([long, short]))
    frames = draw(st.sampled_from([0, 0, 1, 2, 3, 5]))
    fps = draw(st.sampled_from([1.0, 2.0, 3.0, 25 / 7, 29.97]))
    span = None
    if frames and draw(st.booleans()):
        # between the frames, so that rounding of a frame's time says nothing
        start = (draw(st.integers(-1, frames)) - 0.5) / fps
        span = (start, start + draw(st.integers(0, frames)) / fps)
    boxes = draw(st.lists(_box(width, height), min_size=int(wanted), max_size=2))
    return Shown(width, height, tuple(boxes), frames, fps, span)


@st.composite
def _box(draw: st.DrawFn, width: int, height: int) -> Box:
    """In quarters of a pixel, at least one wide."""
    x0, y0 = draw(st.integers(0, 4 * width - 1)), draw(st.integers(0, 4 * height - 1))
    reach = draw(st.sampled_from([1, 4, 40, 4 * max(width, height)]))
    x1 = draw(st.integers(x0 + 1, min(4 * width, x0 + reach)))
    y1 = draw(st.integers(y0 + 1, min(4 * height, y0 + reach)))
    return x0 / 4, y0 / 4, x1 / 4, y1 / 4
